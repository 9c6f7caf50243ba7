// A child of a launcher, watched and, if need be, killed.
#pragma once
#include <sys/types.h>
#include <cstdint>

struct Child {
  pid_t pid = 0;
  int ended = -1;    // polls readable when it has ended: a pidfd, or without those (before 5.3) a signalfd
  uint32_t xid = 0;  // of the Linux-VServer context that it enters, where kill(2) no longer reaches it; 0: none
};

// It has ended and can be waited for. Children that a guest has made ours (CLONE_PARENT) are waited for on the way.
bool has_ended(const Child& child);
// There is no child, not even one that has ended, nor can a guest make another one ours: only a child could.
bool is_childless();
// Waits for one that was killed, but not for ever: whoever traces it can keep its end from us.
void reap_soon(const Child& child);
constexpr long reap_limit_ms = 3000;

// SIGKILL for it, and for its process group with it. It has not been waited for, so its pid is nobody else's.
void kill_child(const Child& child);
void kill_group(const Child& child);
