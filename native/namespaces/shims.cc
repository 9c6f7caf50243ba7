#include "shims.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "../fd.h"
#include "../launcher/protocol/spec.h"
#include "../syscalls.h"

namespace {

// Field 22 of /proc/PID/stat into `start`.
Result start_time_of(pid_t pid, uint64_t* start) {
  char text[1024];
  snprintf(text, sizeof text, "/proc/%d/stat", pid);
  Fd stat(open(text, O_RDONLY | O_CLOEXEC));
  if (!stat.valid()) return failed("open", errno == ENOENT ? ESRCH : errno);
  ssize_t n = read(stat.get(), text, sizeof text - 1);
  if (n < 0) return failed("read");
  text[n] = '\0';
  // comm may hold anything; the last parenthesis ends it.
  const char* at = strrchr(text, ')');
  constexpr int before = 20;
  for (int field = 0; at && field < before; field++) at = strchr(at + 1, ' ');
  return at && sscanf(at, "%" SCNu64, start) == 1 ? ok() : failed("read", EPROTO);
}

// A descriptor that is not the shim's own half of a socket pair is not what we look for, whatever we were told.
bool is_door(int fd, pid_t shim) {
  int type = 0;
  ucred maker{};
  socklen_t type_size = sizeof type, maker_size = sizeof maker;
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size) == 0 && type == SOCK_SEQPACKET &&
         getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &maker, &maker_size) == 0 && maker.pid == shim;
}

}  // namespace

Result connect_shim(pid_t pid, uint64_t start_time, uint32_t protocol) {
  Fd pidfd(sys_pidfd_open(pid));
  if (!pidfd.valid()) return failed("pidfd_open");
  // Looked up after the process was taken hold of, so it is about that one or about none.
  uint64_t started = 0;
  if (Result read = start_time_of(pid, &started); read.code) return read;
  if (started != start_time) return failed("pidfd_open", ESRCH);
  Fd door(sys_pidfd_getfd(pidfd.get(), OUTER_DOOR_FD));
  if (!door.valid()) return failed("pidfd_getfd");
  if (!is_door(door.get(), pid)) return failed("pidfd_getfd", EPROTO);
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) return failed("socketpair");
  Fd ours(pair[0]), theirs(pair[1]);
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  iovec part{&protocol, sizeof protocol};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  int passed = theirs.get();
  memcpy(CMSG_DATA(rights), &passed, sizeof passed);
  if (sendmsg(door.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    // EPIPE: it has ended just now.
    return failed("sendmsg", errno == EPIPE || errno == ECONNRESET ? ESRCH : errno);
  }
  return ok(ours.release());
}

// A guest that finds a way to hold the lock keeps a daemon waiting for a while, about nothing but its own context.
void mark_at_work(int cgroup) { flock(cgroup, LOCK_SH | LOCK_NB); }

Result has_launcher(const std::string& path) {
  Fd directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return errno == ENOENT ? ok(0) : failed("open");
  return ok(flock(directory.get(), LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK ? 1 : 0);
}
