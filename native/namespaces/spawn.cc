#include "spawn.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <csignal>

#include "../launcher/spec.h"
#include "fd.h"

Result sealed_copy(const std::string& path) {
  Fd from(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!from.valid()) return failed("open");
  struct stat info;
  if (fstat(from.get(), &info) < 0) return failed("fstat");
  Fd copy(static_cast<int>(memfd_create("contextd-launcher", MFD_CLOEXEC | MFD_ALLOW_SEALING)));
  if (!copy.valid()) return failed("memfd_create");
  for (off_t at = 0; at < info.st_size;)
    if (sendfile(copy.get(), from.get(), &at, static_cast<size_t>(info.st_size - at)) <= 0) return failed("sendfile");
  if (fchmod(copy.get(), 0500) < 0) return failed("fchmod");
  if (fcntl(copy.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
    return failed("fcntl");
  // Opened again for reading only: exec refuses a file that somebody has open for writing (ETXTBSY).
  std::string self = "/proc/self/fd/" + std::to_string(copy.get());
  Fd readable(open(self.c_str(), O_RDONLY | O_CLOEXEC));
  if (!readable.valid()) return failed("open");
  return ok(readable.release());
}

Result spawn_launcher(int launcher, int cgroup, int pid1, int* socket) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) return failed("socketpair");
  Fd ours(pair[0]), theirs(pair[1]);
  // Moved out of the way first: dup2 onto 3-5 must not run over a descriptor that is still to be passed.
  struct {
    int from;
    int to;
  } passed[] = {{theirs.get(), CONTROL_FD}, {cgroup, CGROUP_FD}, {pid1, PID1_FD}};
  Fd moved[3];
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int fd = 0; fd < 3; fd++) posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
  for (int i = 0; i < 3; i++) {
    if (passed[i].from < 0) continue;
    moved[i] = Fd(fcntl(passed[i].from, F_DUPFD_CLOEXEC, 16));
    if (!moved[i].valid()) {
      posix_spawn_file_actions_destroy(&actions);
      return failed("fcntl");
    }
    posix_spawn_file_actions_adddup2(&actions, moved[i].get(), passed[i].to);
  }

  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  // A session of its own: Ctrl-C in the daemon's terminal is not for guests.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);

  std::string path = "/proc/self/fd/" + std::to_string(launcher);
  char name[] = "contextd-launcher";
  char* argv[] = {name, nullptr};
  char* envp[] = {nullptr};
  pid_t pid = -1;
  int code = posix_spawn(&pid, path.c_str(), &actions, &attributes, argv, envp);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (code != 0) return failed("posix_spawn", code);
  *socket = ours.release();
  return ok(pid);
}

Result reap(pid_t pid) {
  pid_t result = waitpid(pid, nullptr, WNOHANG);
  if (result == 0) return ok(0);
  return result > 0 || errno == ECHILD ? ok(1) : failed("waitpid");
}

Result check_root(const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  Fd dir(static_cast<int>(syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how)));
  return dir.valid() ? ok() : failed("openat2");
}
