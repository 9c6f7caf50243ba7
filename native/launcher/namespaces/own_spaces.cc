#include "own_spaces.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <initializer_list>

#include "../../syscalls.h"

namespace {

constexpr int64_t ns_per_s = 1000000000;

int64_t now_ns(clockid_t clock) {
  timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec * ns_per_s + t.tv_nsec;
}

// What makes the clock start at 0, as timens_offsets wants it: nanoseconds are never negative (time_namespaces(7)).
int print_offset(char* text, size_t size, const char* clock, int64_t now) {
  int64_t seconds = -(now / ns_per_s), rest = now % ns_per_s;
  if (rest > 0) seconds--, rest = ns_per_s - rest;
  return snprintf(text, size, "%s %" PRId64 " %" PRId64 "\n", clock, seconds, rest);
}

// The host's /sys shows the host's interfaces, to whoever looks: a sysfs belongs to the network namespace of its maker.
Failed cover_sys() {
  int target = open("/sys", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (target < 0) return {};  // then it shows none
  int context = sys_fsopen("sysfs");
  if (context < 0 || sys_fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr) < 0)
    return {errno, "fsconfig", "sysfs"};
  int mount = sys_fsmount(context, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  if (mount < 0) return {errno, "fsmount", "sysfs"};
  if (sys_move_mount(mount, target) < 0) return {errno, "move_mount", "/sys"};
  for (int fd : {mount, context, target}) close(fd);
  return {};
}

}  // namespace

Failed prepare_time() {
  // The caller itself stays where it is.
  if (unshare(CLONE_NEWTIME) < 0) return {errno, "unshare", "CLONE_NEWTIME"};
  int offsets = openat(PROC_FD, "self/timens_offsets", O_WRONLY | O_CLOEXEC);
  if (offsets < 0) return {errno, "open", "timens_offsets"};
  char text[128];
  int64_t boottime = now_ns(CLOCK_BOOTTIME);
  int n = print_offset(text, sizeof text, "monotonic", now_ns(CLOCK_MONOTONIC));
  n += print_offset(text + n, sizeof text - static_cast<size_t>(n), "boottime", boottime);
  if (write(offsets, text, static_cast<size_t>(n)) != n) return {errno, "write", "timens_offsets"};
  close(offsets);
  n = snprintf(text, sizeof text, "%" PRId64, boottime);
  if (fsetxattr(CGROUP_FD, "trusted.contextd.offset", text, static_cast<size_t>(n), 0) < 0)
    return {errno, "fsetxattr", "offset"};
  return {};
}

Failed set_up_network(const Spec& spec) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return {errno, "socket", "AF_INET"};
  ifreq request{};
  strcpy(request.ifr_name, "lo");
  if (ioctl(fd, SIOCGIFFLAGS, &request) < 0) return {errno, "ioctl", "SIOCGIFFLAGS"};
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (ioctl(fd, SIOCSIFFLAGS, &request) < 0) return {errno, "ioctl", "SIOCSIFFLAGS"};
  close(fd);
  return spec.root ? Failed{} : cover_sys();
}
