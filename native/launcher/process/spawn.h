// Children that run in the caller's memory until their exec or exit, as those of vfork(2) and posix_spawn(3) do: a copy
// of it costs more than all else that a start asks of the kernel.
#pragma once
#include <sys/types.h>

#include "../../syscalls.h"

struct ChildStack {
  char* base = nullptr;  // null: children get a copy of the memory, as by fork(2)
  size_t size = 0;
};

// Takes time: for a launcher that gets ready. Null where the architecture has no code for it.
ChildStack prepare_child_stack();

// clone3(2): the child runs `run`, which never returns, with `argument`. It may change no memory that the caller uses
// before its exec or exit, and has all signals blocked at first. The caller must not touch errno meanwhile; with
// CLONE_VFORK it cannot. Nothing is shared where users may trace what has changed its user (fs.suid_dumpable).
// Not for a child that enters a time namespace, which takes a copy of the memory (time_namespaces(7)), nor, without
// CLONE_VFORK, for one that the kernel may kill for lack of memory: all that share it are killed (mm/oom_kill.c).
// Returns its pid, or -1 with errno.
pid_t spawn(CloneArgs args, const ChildStack& stack, void (*run)(void*), void* argument);
