#pragma once

#include <memory>

#include "fd.h"

struct Uts;
// The names of an UTS namespace. Contexts with the same namespace share them, as in the kernel.
std::shared_ptr<Uts> names_of_namespace(const Fd& fd);
