#include "descriptors.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cerrno>
#include <initializer_list>

#include "../../syscalls.h"
#include "../protocol/spec.h"

int close_from(int first, bool at_exec) {
  if (sys_close_range(static_cast<unsigned>(first), ~0u, at_exec ? CLOSE_RANGE_CLOEXEC : 0) == 0) return 0;
  if (errno != ENOSYS) return errno;
  // Before Linux 5.9: each that there can be.
  rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) < 0) return errno;
  for (int fd = first; fd < static_cast<int>(files.rlim_cur); fd++) {
    if (at_exec)
      fcntl(fd, F_SETFD, FD_CLOEXEC);
    else
      close(fd);
  }
  return 0;
}

void close_host_descriptors() {
  if (sys_close_range(CONTROL_FD, LAST_FD, 0) == 0) return;
  for (int fd = CONTROL_FD; fd <= LAST_FD; fd++) close(fd);  // before Linux 5.9
}

void let_go_of_daemon() {
  for (int fd : {CONTROL_FD, CGROUP_FD, PID1_FD}) close(fd);
}

void let_go_of_context() {
  for (int fd : {CGROUP_FD, PID1_FD}) dup3(DOOR_FD, fd, O_CLOEXEC);
}
