// The guest's command, in the place of the launcher.
#pragma once
#include "../protocol/failure.h"
#include "../protocol/spec.h"

// What can be told of start_command's failure without doing it: whether directory and program are there.
Failed check_command(const Spec& spec);
// Directory, descriptors, exec. Returns only when one of them failed.
Failed start_command(const Spec& spec);

// Empties the mask and gives SIGPIPE its default back, all that a launcher changes; handlers end with exec.
void restore_signals();
