// contextd-launcher: the helper that becomes a guest's process. Started by the daemon only, never by hand.
//
// The daemon starts one, the zygote, which forks the others: a fork of this small process costs a fraction of an exec.
// A fork gets ready, then waits for its one order.
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "children/oom.h"
#include "log/log.h"
#include "mounts/mounts.h"
#include "namespaces/join.h"
#include "namespaces/shim.h"
#include "process/become.h"
#include "process/seccomp.h"
#include "process/spawn.h"
#include "protocol/door.h"
#include "protocol/report.h"
#include "protocol/spec.h"
#include "vserver/create.h"
#include "vserver/enter.h"
#include "vserver/list.h"

namespace {

constexpr int lower_nice = 5;
// For a shim to end takes a while, too: mounts and namespaces end with it. Nobody waits for that after its last word.
constexpr int lowest_nice = 19;

// Getting ready is for later; whoever carries out an order now goes first. Returns the usual priority.
sched_param lower_priority() {
  setpriority(PRIO_PROCESS, 0, lower_nice);
  sched_param usual{};
  if (sched_getparam(0, &usual) < 0 || usual.sched_priority <= 1) return {};
  sched_param lower{usual.sched_priority - 1};
  sched_setparam(0, &lower);
  return usual;
}

void restore_priority(const sched_param& usual) {
  setpriority(PRIO_PROCESS, 0, 0);
  if (usual.sched_priority > 0) sched_setparam(0, &usual);
}

// What launchers have from the zygote.
struct Inherited {
  Failed unfiltered;
  sched_param usual;
  int host_list;  // of GuestMounts
};

int fail(int code, const char* call, const char* detail) {
  send_failure(make_failure(code, call, detail));
  return 1;
}

// What is ready before the order is known.
struct Ready {
  GuestMounts mounts;
  Join join;
  ChildStack stack;
  Pipes pipes;
  int no_pipes = 0;
  int no_door = 0;
  Failed uncut;
};

// What each order has of its own.
void get_ready_again(const Wanted& wanted, Ready* ready) {
  // Guests are not to meet in a keyring.
  take_own_keyring();
  if (wanted.kind == Kind::join) ready->join = prepare_join(ready->join);
  ready->pipes = {};
  ready->no_pipes = make_output_pipes(&ready->pipes);
}

Ready get_ready(const Wanted& wanted, int host_list) {
  Ready ready;
  get_ready_again(wanted, &ready);
  if (wanted.kind == Kind::shim) {
    ready.mounts = prepare_mounts(host_list);
    ready.no_door = make_door();
  }
  if (wanted.kind != Kind::plain) ready.stack = prepare_child_stack();
  ready.uncut = cut_bounding_set(wanted.bcaps);
  return ready;
}

// Carries out the next order that comes on CONTROL_FD. Returns the exit code.
int carry_out_order(const Wanted& wanted, const Failed& unfiltered, Ready* ready, bool* takes_next) {
  char* buffer = nullptr;
  SpecHeader header{};
  Spec spec;
  int err = read_spec_message(CONTROL_FD, &buffer, &header, true);
  if (err == EPIPE) return 0;  // not needed any more
  if (err) return fail(err, "recvmsg", "launcher message");
  err = parse_spec(buffer, header, &spec);
  if (err) return fail(err, "launcher", "launcher message");
  // A kernel before 3.17, or one without filters, could refuse a guest nothing; all that have what namespaces need can.
  bool may_lack = spec.mode >= Mode::vs_create && (unfiltered.code == ENOSYS || unfiltered.code == EINVAL);
  if (unfiltered.code && !may_lack) return fail(unfiltered.code, unfiltered.call, unfiltered.detail);
  spec.bounding = wanted.bcaps;
  const auto& [mounts, join, stack, pipes, no_pipes, no_door, uncut] = *ready;
  if (uncut.code) return fail(uncut.code, uncut.call, uncut.detail);
  if (no_door) return fail(no_door, "socketpair", "door");
  if (no_pipes) return fail(no_pipes, "pipe2", "output");
  int code = 2;
  switch (spec.mode) {
    case Mode::probe: return run_probe(mounts);
    case Mode::init:
    case Mode::reaper: return run_shim(spec, &ready->mounts, pipes, stack);
    case Mode::exec: code = run_join(spec, join, pipes, stack, takes_next); break;
    case Mode::vs_create: return run_vserver_create(spec);
    case Mode::vs_enter: return run_vserver_enter(spec, pipes);
    case Mode::vs_list: return run_vserver_list(spec);
    case Mode::none: break;
  }
  free_lists(&spec);
  free(buffer);
  return code;
}

// Carries out orders: one, or, where nothing of the last one is left, others after it.
int run_launcher(const Wanted& wanted, const Inherited& inherited) {
  prctl(PR_SET_NAME, "contextd-shim");
  Ready ready = get_ready(wanted, inherited.host_list);
  restore_priority(inherited.usual);
  for (;;) {
    bool takes_next = false;
    int code = carry_out_order(wanted, inherited.unfiltered, &ready, &takes_next);
    if (!takes_next) return code;
    note_oom_kills();
    get_ready_again(wanted, &ready);
  }
}

// The socket of a launcher to be. Returns -1 when the daemon is gone.
int receive_socket(Wanted* wanted) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  for (;;) {
    iovec part{wanted, sizeof *wanted};
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
  shed_inheritance();
  Inherited inherited{refuse_system_calls(), lower_priority(), -1};
  Wanted wanted;
  for (int socket; (socket = receive_socket(&wanted)) >= 0; close(socket)) {
    note_oom_kills();
    inherited.host_list = wanted.kind == Kind::shim ? look_at_host_mounts() : -1;
    pid_t pid = fork();  // out of memory: the daemon sees the end of its socket
    if (pid != 0 && inherited.host_list >= 0) close(inherited.host_list);
    if (pid != 0) continue;
    close_host_watch();
    signal(SIGCHLD, SIG_DFL);
    dup3(socket, CONTROL_FD, O_CLOEXEC);
    close(socket);
    // The scheduler counts priorities within a session only (sched(7), "The autogroup feature"): what gets ready or
    // ends beside an order that is carried out shares one with it. Guests have their own.
    if (wanted.kind == Kind::plain) setsid();
    int code = run_launcher(wanted, inherited);
    if (code == 0 && wanted.kind == Kind::shim) setpriority(PRIO_PROCESS, 0, lowest_nice);
    _exit(code);
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
  close_from(PROC_FD, false);
  for (int fd : {FORKS_FD, FORKS_MAP_FD})
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return 2;
  // Reserves the numbers of what comes later, or not at all.
  const int reserved[] = {CGROUP_FD, PID1_FD, DOOR_FD, OUTER_DOOR_FD};
  for (int fd : reserved) close(fd);
  for (int fd : reserved)
    if (open("/dev/null", O_PATH | O_CLOEXEC) != fd) return 2;
  if (open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC) != PROC_FD) return 2;
  if (open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC) != DEV_FD) return 2;
  if (open("/dev/null", O_PATH | O_CLOEXEC) != LOG_FD) return 2;
  // The daemon's working directory is no business of a guest's.
  if (chdir("/") < 0) return 2;
  // CVE-2016-9962: nothing of this process's memory or descriptors is for a guest to read while it joins one.
  prctl(PR_SET_DUMPABLE, 0);
  return run_zygote();
}
