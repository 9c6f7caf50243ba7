#include "become.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <linux/limits.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "../../syscalls.h"
#include "limits.h"
#include "pipes.h"

namespace {

constexpr rlim_t default_soft_files = 1024;  // what select(2) can take, and what systemd gives

// capget(2)/capset(2) by number: libcap is not needed for two calls.
int get_caps(__user_cap_data_struct data[2]) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  return static_cast<int>(syscall(SYS_capget, &header, data));
}
int set_caps(const __user_cap_data_struct data[2]) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  return static_cast<int>(syscall(SYS_capset, &header, data));
}

const char* path_of(const Spec& spec) {
  for (size_t i = 0; i < spec.env.count; i++)
    if (!strncmp(spec.env.items[i], "PATH=", 5)) return spec.env.items[i] + 5;
  return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

const char* program_of(const Spec& spec) {
  return *spec.argv.items[0] ? spec.argv.items[0] : "the name of the program is empty";
}

// What to do with a path that the program may be at. Returns 0 when it was this one, or an errno.
using Attempt = int (*)(const char* path, const Spec& spec);

int try_exec(const char* path, const Spec& spec) {
  execve(path, spec.argv.items, spec.env.items);
  return errno;
}

int try_access(const char* path, const Spec&) {
  struct stat info;
  if (stat(path, &info) < 0) return errno;
  if (!S_ISREG(info.st_mode)) return EACCES;
  return access(path, X_OK) < 0 ? errno : 0;
}

// The search of execvp(3), but along the guest's own PATH.
int search(const Spec& spec, Attempt attempt) {
  const char* name = spec.argv.items[0];
  if (!*name) return ENOENT;  // as execvp(3) has it, and not the first directory of PATH
  if (strchr(name, '/')) return attempt(name, spec);
  int result = ENOENT;
  for (const char* at = path_of(spec); *at;) {
    size_t size = strcspn(at, ":");
    char candidate[PATH_MAX];
    int n = snprintf(candidate, sizeof candidate, "%.*s/%s", static_cast<int>(size), at, name);
    if (size > 0 && n > 0 && static_cast<size_t>(n) < sizeof candidate) {
      int err = attempt(candidate, spec);
      // As execvp(3): go on after "not here", remember "here, but not allowed".
      if (err == EACCES)
        result = EACCES;
      else if (err != ENOENT && err != ENOTDIR)
        return err;
    }
    at += size;
    if (*at == ':') at++;
  }
  return result;
}

}  // namespace

// Needs SETPCAP, so it comes before the other sets are cut.
Failed cut_bounding_set(uint64_t bcaps, uint64_t left) {
  // PR_CAPBSET_DROP fails with EINVAL past the kernel's last capability (prctl(2)).
  for (int cap = 0; cap < 64; cap++)
    if (left & ~bcaps & (uint64_t{1} << cap) && prctl(PR_CAPBSET_DROP, cap) < 0) {
      if (errno == EINVAL) break;
      return {errno, "prctl", "PR_CAPBSET_DROP"};
    }
  return {};
}

Failed take_user(const Spec& spec) {
  if (setgroups(spec.group_count, spec.groups) < 0) return {errno, "setgroups", ""};
  if (setresgid(spec.gid, spec.gid, spec.gid) < 0) return {errno, "setresgid", ""};
  if (setresuid(spec.uid, spec.uid, spec.uid) < 0) return {errno, "setresuid", ""};
  // The change has set this to fs.suid_dumpable, which a host may have opened (CVE-2016-9962).
  if (prctl(PR_SET_DUMPABLE, 0) < 0) return {errno, "prctl", "PR_SET_DUMPABLE"};
  return {};
}

Failed take_user_for_now(const Spec& spec) {
  if (prctl(PR_SET_KEEPCAPS, 1) < 0) return {errno, "prctl", "PR_SET_KEEPCAPS"};
  return take_user(spec);
}

Failed raise_powers() {
  __user_cap_data_struct caps[2];
  if (get_caps(caps) < 0) return {errno, "capget", ""};
  for (auto& half : caps) {
    half.effective = half.permitted;
    half.inheritable = 0;  // and with it the ambient set
  }
  if (set_caps(caps) < 0) return {errno, "capset", ""};
  return {};
}

Failed drop_powers(const Spec& spec) {
  if (spec.uid == 0) return {};
  const __user_cap_data_struct none[2] = {};
  if (set_caps(none) < 0) return {errno, "capset", ""};
  return {};
}

static Failed cut_capabilities(uint64_t bcaps) {
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) return {errno, "prctl", "PR_CAP_AMBIENT"};
  __user_cap_data_struct caps[2];
  if (get_caps(caps) < 0) return {errno, "capget", ""};
  for (int i = 0; i < 2; i++) {
    uint32_t allowed = static_cast<uint32_t>(bcaps >> (32 * i));
    caps[i].permitted &= allowed;
    caps[i].effective &= allowed;
    caps[i].inheritable &= allowed;
  }
  if (set_caps(caps) < 0) return {errno, "capset", ""};
  return {};
}

Failed drop_privileges(const Spec& spec) {
  // Ids while SETUID and SETGID are still held: bcaps limit what the guest may do, not what it is started as.
  Failed failed = cut_bounding_set(spec.bcaps, spec.bounding);
  if (!failed.code) failed = take_user(spec);
  if (!failed.code) failed = cut_capabilities(spec.bcaps);
  return failed;
}

bool holds_exactly(uint64_t bcaps) {
  uint64_t bounding = 0, asked = 0;
  for (int cap = 0, has; (has = prctl(PR_CAPBSET_READ, cap)) >= 0; cap++) {
    bounding |= static_cast<uint64_t>(has) << cap;
    asked |= bcaps & (uint64_t{1} << cap);
  }
  return bounding == asked;
}

void restore_signals() {
  signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

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

// What the kernel counts for all that a uid has, the host's own processes and every guest's among it, is lowered to
// half: however much guests use, the host's uid 0 has the other half.
static void leave_half_to_host(__rlimit_resource resource) {
  rlimit limit;
  if (getrlimit(resource, &limit) < 0 || limit.rlim_max == RLIM_INFINITY) return;
  limit.rlim_max /= 2;
  if (limit.rlim_cur > limit.rlim_max) limit.rlim_cur = limit.rlim_max;
  setrlimit(resource, &limit);
}

void shed_inheritance() {
  // Node raises its soft limit to the hard one; programs that walk all descriptors up to it would crawl.
  rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur > default_soft_files) {
    files.rlim_cur = default_soft_files;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  // The priority of a daemon is not its guests', and what LimitNICE= or LimitRTPRIO= give to it would raise theirs
  // without a capability.
  setpriority(PRIO_PROCESS, 0, 0);
  for (auto resource : {RLIMIT_NICE, RLIMIT_RTPRIO}) {
    constexpr rlimit nothing{0, 0};
    setrlimit(resource, &nothing);
  }
  for (auto resource : {RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE}) leave_half_to_host(resource);
  int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (score >= 0) {
    ssize_t ignored = write(score, "0", 1);  // lowering it may need CAP_SYS_RESOURCE, raising it does not
    (void)ignored;
    close(score);
  }
}

void take_own_keyring() { syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr); }

Failed check_command(const Spec& spec) {
  if (chdir(spec.cwd) < 0) return {errno, "chdir", spec.cwd};
  int err = search(spec, try_access);
  // Nowhere that the guest could lead us to before it sees this process: its links may point out of its root.
  if (chdir("/") < 0) return {errno, "chdir", "/"};
  return {err, "execve", program_of(spec)};
}

Failed start_command(const Spec& spec) {
  umask(spec.mask);
  use_guests_null();
  if (chdir(spec.cwd) < 0) return {errno, "chdir", spec.cwd};
  // CVE-2024-21626: nothing but 0-2 may reach the guest. What stays open until exec is closed by it.
  if (int err = close_from(3, true)) return {err, "close_range", ""};
  if (Failed failed = limit_resources(spec); failed.code) return failed;
  return {search(spec, try_exec), "execve", program_of(spec)};
}
