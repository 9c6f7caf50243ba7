// contextd-launcher: the helper that becomes a guest's process. Started by the daemon only, never by hand.
//
// The daemon starts one, the zygote, which forks the others: a fork of this small process costs a fraction of an exec.
// A fork gets ready, then waits for its one order.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <initializer_list>

#include "become.h"
#include "join.h"
#include "mounts.h"
#include "report.h"
#include "shim.h"
#include "spec.h"
#include "syscalls.h"

namespace {

// Carries out the one order that comes on CONTROL_FD. Returns the exit code.
int run_launcher(bool makes_mounts) {
  prctl(PR_SET_NAME, "contextd-shim");
  shed_inheritance();  // here and not in the zygote: each context gets a keyring of its own
  // Getting ready is for later; whoever carries out an order now goes first.
  int nice_value = getpriority(PRIO_PROCESS, 0);
  setpriority(PRIO_PROCESS, 0, nice_value + 5);
  GuestMounts mounts;
  if (makes_mounts) mounts = prepare_mounts();
  setpriority(PRIO_PROCESS, 0, nice_value);

  char* buffer = nullptr;
  SpecHeader header{};
  Spec spec;
  int err = read_spec_message(CONTROL_FD, &buffer, &header, true);
  if (err == EPIPE) return 0;  // never needed
  if (err) return send_failure(make_failure(err, "recvmsg", "launcher message")), 1;
  err = parse_spec(buffer, header, &spec);
  if (err) return send_failure(make_failure(err, "launcher", "launcher message")), 1;
  switch (spec.mode) {
    case Mode::probe: return run_probe(mounts);
    case Mode::init:
    case Mode::reaper: return run_shim(spec, mounts);
    case Mode::exec: return run_join(spec);
    case Mode::none: break;
  }
  return 2;
}

// The socket of a launcher to be, and whether it will make mounts ('s') or join what is there ('e').
// Returns -1 when the daemon is gone.
int receive_socket(char* kind) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  for (;;) {
    iovec part{kind, 1};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t n = recvmsg(CONTROL_FD, &message, MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return -1;
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    if (!rights || rights->cmsg_type != SCM_RIGHTS) continue;
    int socket;
    memcpy(&socket, CMSG_DATA(rights), sizeof socket);
    return socket;
  }
}

int run_zygote() {
  prctl(PR_SET_NAME, "contextd-zygote");
  // Launchers are nobody's to wait for: the kernel clears them away (sigaction(2), SA_NOCLDWAIT).
  signal(SIGCHLD, SIG_IGN);
  char kind;
  for (int socket; (socket = receive_socket(&kind)) >= 0; close(socket)) {
    if (fork() != 0) continue;  // out of memory: the daemon sees the end of its socket
    signal(SIGCHLD, SIG_DFL);
    dup3(socket, CONTROL_FD, O_CLOEXEC);
    close(socket);
    setsid();
    _exit(run_launcher(kind == 's'));
  }
  return 0;
}

}  // namespace

int main() {
  struct stat control;
  if (fstat(CONTROL_FD, &control) < 0 || !S_ISSOCK(control.st_mode)) {
    fputs("contextd-launcher: started by the contextd daemon, not by hand\n", stderr);
    return 2;
  }
  // The daemon opens everything close-on-exec; a library in it that does not must not reach a guest either.
  sys_close_range(CONTROL_FD + 1, ~0u, 0);
  // Reserves 4 and 5 for what comes with an order.
  for (int fd : {CGROUP_FD, PID1_FD})
    if (open("/dev/null", O_PATH | O_CLOEXEC) != fd) return 2;
  // The daemon's working directory is no business of a guest's.
  if (chdir("/") < 0) return 2;
  // CVE-2016-9962: nothing of this process's memory or descriptors is for a guest to read while it joins one.
  prctl(PR_SET_DUMPABLE, 0);
  return run_zygote();
}
