// System calls that Debian 12's C library does not wrap. Numbers are the same on every architecture (5.x table).
#pragma once
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>
#include <cstdint>

struct CloneArgs {  // clone_args of clone3(2), size CLONE_ARGS_SIZE_VER2 (Linux 5.7, CLONE_INTO_CGROUP)
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};
static_assert(sizeof(CloneArgs) == 88);

inline pid_t sys_clone3(CloneArgs args) { return static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof args)); }
// fork(2) with flags. The stack stays as it is, and so does its copy.
inline pid_t sys_clone(unsigned long flags) {
#if defined(__s390__) || defined(__CRIS__)
  return static_cast<pid_t>(syscall(SYS_clone, nullptr, flags, nullptr, nullptr, nullptr));
#else
  return static_cast<pid_t>(syscall(SYS_clone, flags, nullptr, nullptr, nullptr, nullptr));
#endif
}
inline int sys_close_range(unsigned first, unsigned last, unsigned flags) {
  return static_cast<int>(syscall(SYS_close_range, first, last, flags));
}
inline int sys_openat2(int dir, const char* path, open_how how) {
  return static_cast<int>(syscall(SYS_openat2, dir, path, &how, sizeof how));
}
inline int sys_pidfd_open(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }
inline int sys_pidfd_getfd(int pidfd, int fd) { return static_cast<int>(syscall(SYS_pidfd_getfd, pidfd, fd, 0)); }
inline int sys_pidfd_send_signal(int pidfd, int sig) {
  return static_cast<int>(syscall(SYS_pidfd_send_signal, pidfd, sig, nullptr, 0));
}
inline int sys_pivot_root(const char* to, const char* put_old) {
  return static_cast<int>(syscall(SYS_pivot_root, to, put_old));
}

// umount2(2) by number: <sys/mount.h> and <linux/mount.h> cannot both be included with glibc 2.36,
// and glibc before 2.36 (Ubuntu 22.04) has none of the newer calls.
inline int sys_umount_detach(const char* target) {
  return static_cast<int>(syscall(SYS_umount2, target, 2 /* MNT_DETACH */));
}
inline int sys_open_tree(int dir, const char* path, unsigned flags) {
  return static_cast<int>(syscall(SYS_open_tree, dir, path, flags));
}
// From one descriptor onto another, no path in between that could change.
inline int sys_move_mount(int from, int to) {
  return static_cast<int>(syscall(SYS_move_mount, from, "", to, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
}
// Onto a name in a directory where nobody else can put anything, such as a procfs. A link there is not followed.
inline int sys_move_mount_to(int from, int dir, const char* name) {
  return static_cast<int>(syscall(SYS_move_mount, from, "", dir, name, MOVE_MOUNT_F_EMPTY_PATH));
}
inline int sys_fsopen(const char* type) { return static_cast<int>(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC)); }
inline int sys_fsconfig(int context, unsigned command, const char* key, const char* value) {
  return static_cast<int>(syscall(SYS_fsconfig, context, command, key, value, 0));
}
inline int sys_fsmount(int context, unsigned attributes) {
  return static_cast<int>(syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes));
}
inline int sys_mount_setattr(int dir, const char* path, unsigned flags, mount_attr attr) {
  return static_cast<int>(syscall(SYS_mount_setattr, dir, path, flags, &attr, sizeof attr));
}
