// Who is at the other end of a Unix socket.
#pragma once
#include <sys/types.h>

#include "result.h"

struct Peer {
  pid_t pid;  // 0 when the peer is in a PID namespace that this process cannot see
  uid_t uid;
  gid_t gid;
};

// SO_PEERCRED of unix(7): the credentials at connect(2), checked by the kernel.
Result peer_credentials(int socket, Peer* peer);

// flock(2), exclusive, without waiting. Value 1: taken; 0: another process holds it.
Result try_lock(int fd);
