#include "peer.h"

#include <sys/file.h>
#include <sys/socket.h>

Result peer_credentials(int socket, Peer* peer) {
  ucred cred{};
  socklen_t size = sizeof cred;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0) return failed("getsockopt");
  *peer = {cred.pid, cred.uid, cred.gid};
  return ok();
}

Result try_lock(int fd) {
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return ok(1);
  return errno == EWOULDBLOCK ? ok(0) : failed("flock");
}
