#include "door.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "spec.h"

namespace {

// Clock ticks since boot, from /proc/self/stat: with the pid it names this process for ever (proc(5)).
unsigned long long start_time = 0;

int read_start_time() {
  int fd = openat(PROC_FD, "self/stat", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  char text[1024];
  ssize_t n = read(fd, text, sizeof text - 1);
  int code = n < 0 ? errno : 0;
  close(fd);
  if (code) return code;
  text[n] = '\0';
  const char* at = strrchr(text, ')');
  constexpr const char* fields_3_to_22 =
      ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu";
  return at && sscanf(at, fields_3_to_22, &start_time) == 1 ? 0 : EPROTO;
}

}  // namespace

int make_door() {
  int ends[2];
  // Messages, not a stream: what a daemon that was killed has sent in part is never there.
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) return errno;
  if (dup3(ends[0], DOOR_FD, O_CLOEXEC) < 0 || dup3(ends[1], OUTER_DOOR_FD, O_CLOEXEC) < 0) return errno;
  for (int end : ends) close(end);
  return read_start_time();
}

void announce_door() {
  char text[64];
  int n = snprintf(text, sizeof text, "%d %llu %u", getpid(), start_time, PROTOCOL);
  fsetxattr(CGROUP_FD, "trusted.contextd.shim", text, static_cast<size_t>(n), 0);
}

bool admit_daemon() {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  uint32_t protocol = 0;
  iovec part{&protocol, sizeof protocol};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t n = recvmsg(DOOR_FD, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  cmsghdr* rights = n < 0 ? nullptr : CMSG_FIRSTHDR(&message);
  if (!rights || rights->cmsg_type != SCM_RIGHTS || rights->cmsg_len != CMSG_LEN(sizeof(int))) return false;
  int socket;
  memcpy(&socket, CMSG_DATA(rights), sizeof socket);
  bool welcome = n == static_cast<ssize_t>(sizeof protocol) && protocol == PROTOCOL;
  if (welcome) dup3(socket, CONTROL_FD, O_CLOEXEC);
  close(socket);  // one of another version sees the end of it, and does without
  return welcome;
}
