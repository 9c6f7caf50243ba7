#include "spawn.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <csignal>
#include <cstring>

#include "../fd.h"
#include "../launcher/protocol/spec.h"
#include "../syscalls.h"

namespace {

int make_read_only(int mount) {
  mount_attr attr{};
  attr.attr_set = MOUNT_ATTR_RDONLY;
  return sys_mount_setattr(mount, "", AT_EMPTY_PATH, attr);
}

// A tmpfs that is attached nowhere. Returns its descriptor or -1.
int make_tmpfs() {
  Fd context(sys_fsopen("tmpfs"));
  if (!context.valid()) return -1;
  if (sys_fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr) < 0) return -1;
  return sys_fsmount(context.get(), 0);
}

Result copy(const std::string& path, int to) {
  Fd from(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!from.valid()) return failed("open");
  struct stat info;
  if (fstat(from.get(), &info) < 0) return failed("fstat");
  for (off_t at = 0; at < info.st_size;)
    if (sendfile(to, from.get(), &at, static_cast<size_t>(info.st_size - at)) <= 0) return failed("sendfile");
  return ok();
}

Result copy_into(int directory, const std::string& path) {
  // Closed for writing before anybody executes it, which would fail with ETXTBSY.
  Fd to(openat(directory, "contextd-launcher", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0500));
  return to.valid() ? copy(path, to.get()) : failed("openat");
}

Fd open_again(int fd, int flags) {
  return Fd(open(("/proc/self/fd/" + std::to_string(fd)).c_str(), flags | O_CLOEXEC));
}

// Linux before 5.2: a sealed file in memory (3.17). Its mode can be changed, which start_zygote undoes. The host's own
// /dev/null must not reach a guest; a Linux-VServer guest is given its own in its place.
Result prepare_old_launcher(const std::string& path, LauncherFiles* files) {
  Fd memory(memfd_create("contextd-launcher", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory.valid()) return failed("memfd_create");
  Result copied = copy(path, memory.get());
  if (copied.code) return copied;
  constexpr int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
  if (fcntl(memory.get(), F_ADD_SEALS, seals) < 0) return failed("fcntl");
  Fd program(open_again(memory.get(), O_RDONLY));
  Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!program.valid() || !null.valid()) return failed("open");
  files->program = program.release();
  files->null = null.release();
  return ok();
}

// Out of the way of the descriptors that a launcher is given.
int duplicate(int fd) { return fcntl(fd, F_DUPFD_CLOEXEC, LAST_FD + 1); }

}  // namespace

Result prepare_launcher(const std::string& path, LauncherFiles* files) {
  Fd tmpfs(make_tmpfs());
  if (!tmpfs.valid() && errno == ENOSYS) return prepare_old_launcher(path, files);
  if (!tmpfs.valid()) return failed("fsmount");
  Result copied = copy_into(tmpfs.get(), path);
  if (copied.code) return copied;
  if (make_read_only(tmpfs.get()) < 0) return failed("mount_setattr");
  Fd program(openat(tmpfs.get(), "contextd-launcher", O_RDONLY | O_CLOEXEC));
  if (!program.valid()) return failed("openat");

  Fd tree(sys_open_tree(AT_FDCWD, "/dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!tree.valid()) return failed("open_tree");
  if (make_read_only(tree.get()) < 0) return failed("mount_setattr");
  // Devices can be written on a read-only mount; their mode and owner cannot.
  Fd null(open_again(tree.get(), O_RDWR));
  if (!null.valid()) return failed("open");
  files->program = program.release();
  files->null = null.release();
  // The mounts live as long as these descriptors, which is as long as the daemon.
  tmpfs.release();
  tree.release();
  return ok();
}

Result start_zygote(const LauncherFiles& files, int forks, int forks_map, int* socket) {
  fchmod(files.program, 0500);  // EROFS where nobody can change it
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) return failed("socketpair");
  Fd ours(pair[0]), theirs(pair[1]);
  Fd control(duplicate(theirs.get())), program(duplicate(files.program)), null(duplicate(files.null));
  Fd link(duplicate(forks < 0 ? files.null : forks)), map(duplicate(forks_map < 0 ? files.null : forks_map));
  for (const Fd* fd : {&control, &program, &null, &link, &map})
    if (!fd->valid()) return failed("fcntl");

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int fd = 0; fd < 3; fd++) posix_spawn_file_actions_adddup2(&actions, null.get(), fd);
  posix_spawn_file_actions_adddup2(&actions, control.get(), CONTROL_FD);
  posix_spawn_file_actions_adddup2(&actions, link.get(), FORKS_FD);
  posix_spawn_file_actions_adddup2(&actions, map.get(), FORKS_MAP_FD);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  // A session of its own: Ctrl-C in the daemon's terminal is not for guests.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);

  std::string path = "/proc/self/fd/" + std::to_string(program.get());
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

namespace {

Result send_with_descriptors(int socket, const void* data, size_t size, const int* fds, size_t count) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof order_fds)] = {};
  iovec part{const_cast<void*>(data), size};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(rights), fds, count * sizeof(int));
  }
  ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0) return failed("sendmsg");
  return static_cast<size_t>(sent) == size ? ok() : failed("sendmsg", EMSGSIZE);
}

}  // namespace

Result fork_launcher(int zygote, Wanted wanted) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) return failed("socketpair");
  Fd ours(pair[0]), theirs(pair[1]);
  int passed = theirs.get();
  Result sent = send_with_descriptors(zygote, &wanted, sizeof wanted, &passed, 1);
  return sent.code ? sent : ok(ours.release());
}

// An order is at most a request body in size, well below the socket's buffer (net.core.wmem_default).
Result send_order(int socket, const void* data, size_t size, std::initializer_list<int> descriptors) {
  int passed[sizeof order_fds / sizeof *order_fds];
  size_t count = 0;
  for (int fd : descriptors)
    if (fd >= 0) passed[count++] = fd;
  return send_with_descriptors(socket, data, size, passed, count);
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
  Fd dir(sys_openat2(AT_FDCWD, path.c_str(), how));
  return dir.valid() ? ok() : failed("openat2");
}
