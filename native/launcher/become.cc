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

#include "syscalls.h"

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

// execve(2) with the search of execvp(3), but along the guest's own PATH. Returns the errno.
int exec_search(const Spec& spec) {
  const char* name = spec.argv.items[0];
  if (strchr(name, '/')) {
    execve(name, spec.argv.items, spec.env.items);
    return errno;
  }
  int result = ENOENT;
  for (const char* at = path_of(spec); *at;) {
    size_t size = strcspn(at, ":");
    char candidate[PATH_MAX];
    int n = snprintf(candidate, sizeof candidate, "%.*s/%s", static_cast<int>(size), at, name);
    if (size > 0 && n > 0 && static_cast<size_t>(n) < sizeof candidate) {
      execve(candidate, spec.argv.items, spec.env.items);
      // As execvp(3): go on after "not here", remember "here, but not allowed".
      if (errno == EACCES)
        result = EACCES;
      else if (errno != ENOENT && errno != ENOTDIR)
        return errno;
    }
    at += size;
    if (*at == ':') at++;
  }
  return result;
}

}  // namespace

// Needs SETPCAP, so it comes before the other sets are cut.
static Failed cut_bounding_set(uint64_t bcaps) {
  // PR_CAPBSET_DROP fails with EINVAL past the kernel's last capability (prctl(2)).
  for (int cap = 0; cap < 64; cap++)
    if (!(bcaps >> cap & 1) && prctl(PR_CAPBSET_DROP, cap) < 0) {
      if (errno == EINVAL) break;
      return {errno, "prctl", "PR_CAPBSET_DROP"};
    }
  return {};
}

Failed take_user(const Spec& spec) {
  if (setgroups(spec.group_count, spec.groups) < 0) return {errno, "setgroups", ""};
  if (setresgid(spec.gid, spec.gid, spec.gid) < 0) return {errno, "setresgid", ""};
  if (setresuid(spec.uid, spec.uid, spec.uid) < 0) return {errno, "setresuid", ""};
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
  Failed failed = cut_bounding_set(spec.bcaps);
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

void shed_inheritance() {
  // Node raises its soft limit to the hard one; programs that walk all descriptors up to it would crawl.
  rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur > default_soft_files) {
    files.rlim_cur = default_soft_files;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  // A keyring of its own: the daemon's may hold keys. ENOSYS where the kernel has none.
  syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr);
  int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (score >= 0) {
    ssize_t ignored = write(score, "0", 1);  // lowering it may need CAP_SYS_RESOURCE, raising it does not
    (void)ignored;
    close(score);
  }
}

Failed start_command(const Spec& spec) {
  umask(022);
  if (chdir(spec.cwd) < 0) return {errno, "chdir", spec.cwd};
  // CVE-2024-21626: nothing but 0-2 may reach the guest. What stays open until exec is closed by it.
  if (sys_close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) < 0) return {errno, "close_range", ""};
  return {exec_search(spec), "execve", spec.argv.items[0]};
}
