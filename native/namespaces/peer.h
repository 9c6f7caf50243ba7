// Who is at the other end of a Unix socket.
#pragma once
#include <sys/types.h>

#include <vector>

#include "../result.h"

struct Peer {
  pid_t pid;  // 0 when the peer is in a PID namespace that this process cannot see
  uid_t uid;
  gid_t gid;
};

// SO_PEERCRED of unix(7): the credentials at connect(2), checked by the kernel.
Result peer_credentials(int socket, Peer* peer);

// SO_PEERGROUPS (Linux 4.13): the supplementary groups at connect(2). ENOPROTOOPT where the kernel is older.
Result peer_groups(int socket, std::vector<gid_t>* groups);

// Whether the process that connected still is: what was read by its pid before this was about no other. Value 1: it
// is, or the kernel cannot tell (SO_PEERPIDFD, Linux 6.5); 0: it has ended.
Result peer_is_alive(int socket);

// Whether the peer has closed its end, or both directions of it (shutdown(2)). Value 1: it has; 0: it may still read,
// though it may have said that it sends no more.
Result has_hung_up(int socket);

// fcntl(2) F_OFD_SETLK for writing, without waiting, on a descriptor open for writing. Not flock(2): that one can be
// held by anybody who may read the file. Value 1: taken; 0: another process holds it.
Result try_lock(int fd);
