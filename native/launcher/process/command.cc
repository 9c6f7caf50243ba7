#include "command.h"

#include <linux/limits.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "descriptors.h"
#include "limits.h"
#include "pipes.h"

namespace {

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

void restore_signals() {
  signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

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
