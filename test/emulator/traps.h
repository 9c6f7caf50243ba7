// The system calls that are looked at, and who looks.
#pragma once

#include "call.h"

struct Trap {
  int number;
  long (*handle)(Call*);
  int path;  // index of the argument that is a path, or -1
};

constexpr int trap_count = 21;
extern const Trap traps[trap_count];
const Trap* find_trap(int number);

long trap_vserver(Call* call);   // commands.cc
long trap_path(Call* call);      // hidden.cc: a call that names a file
long trap_kill(Call* call);      // signals.cc
long trap_signal(Call* call);    // signals.cc: a call that signals one process
long trap_uname(Call* call);     // names.cc
long trap_set_name(Call* call);  // names.cc
long trap_reboot(Call* call);    // helper.cc
