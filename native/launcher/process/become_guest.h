#pragma once
#include "../protocol/failure.h"
#include "../protocol/spec.h"
#include "account.h"

// In the guest's namespaces, with the host's powers still: who the process is by the guest's own files, then what it
// may call and hold. Nothing of the host's is left to it afterwards.
Failed become_guest(Spec* spec, AccountRoom* room);
