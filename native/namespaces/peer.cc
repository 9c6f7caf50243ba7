#include "peer.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "../fd.h"

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59  // asm-generic/socket.h of Linux 4.13
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77  // asm-generic/socket.h of Linux 6.5
#endif

Result peer_credentials(int socket, Peer* peer) {
  ucred cred{};
  socklen_t size = sizeof cred;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0) return failed("getsockopt");
  *peer = {cred.pid, cred.uid, cred.gid};
  return ok();
}

Result peer_groups(int socket, std::vector<gid_t>* groups) {
  groups->resize(32);
  for (;;) {
    socklen_t size = static_cast<socklen_t>(groups->size() * sizeof(gid_t));
    int done = getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups->data(), &size);
    if (done < 0 && (errno != ERANGE || size <= groups->size() * sizeof(gid_t))) return failed("getsockopt");
    groups->resize(size / sizeof(gid_t));
    if (done == 0) return ok();
  }
}

Result peer_is_alive(int socket) {
  int raw = -1;
  socklen_t size = sizeof raw;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &raw, &size) < 0) {
    if (errno == ENOPROTOOPT) return ok(1);
    return errno == ESRCH || errno == EINVAL ? ok(0) : failed("getsockopt");
  }
  Fd pidfd(raw);
  pollfd ended{pidfd.get(), POLLIN, 0};
  int n = poll(&ended, 1, 0);
  return n < 0 ? failed("poll") : ok(n == 0 ? 1 : 0);
}

// unix_poll() of net/unix/af_unix.c: a peer that is closed shuts both directions down here, POLLHUP; one that has
// called shutdown(SHUT_WR) only ours to read, POLLRDHUP.
Result has_hung_up(int socket) {
  pollfd peer{socket, 0, 0};
  int n = poll(&peer, 1, 0);
  return n < 0 ? failed("poll") : ok(peer.revents & (POLLHUP | POLLERR | POLLNVAL) ? 1 : 0);
}

Result try_lock(int fd) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  int taken = fcntl(fd, F_OFD_SETLK, &lock);
  // Before Linux 3.15. Such a lock is the process's, which opens the file once.
  if (taken < 0 && errno == EINVAL) taken = fcntl(fd, F_SETLK, &lock);
  if (taken == 0) return ok(1);
  return errno == EAGAIN || errno == EACCES ? ok(0) : failed("fcntl");
}
