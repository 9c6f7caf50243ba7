// The mounts a guest sees.
#pragma once
#include "spec.h"

// Filesystems of a guest that need not know which guest it is. They are made before an order comes, attached to
// nothing, so that making them costs a new context no time.
struct GuestMounts {
  int dev = -1;   // tmpfs with devices and links
  int pts = -1;   // devpts
  int shm = -1;   // tmpfs for /dev/shm
  int run = -1;   // tmpfs for /run
  int host = -1;  // the host's mount namespace, to go back to
  int tmp = -1;   // tmpfs for /tmp
  int code = 0;   // errno of what failed, 0 for none
  const char* call = "";
  const char* detail = "";
};

// Also gives the caller the mount and IPC namespaces that its PID 1 will have: making them is slow, and ending them
// too, which thereby is done when the shim ends, after it has told of the end of the guest.
GuestMounts prepare_mounts();
void close_mounts(const GuestMounts& mounts);

// Runs in PID 1 before any guest code, in a fresh mount namespace. With spec.root that directory becomes "/"; without,
// the host's root, read-only and without device nodes. Either way /proc and /dev are the guest's own.
// On failure fails the child through pipe_fd.
void set_up_mounts(const Spec& spec, const GuestMounts& mounts, int pipe_fd);
