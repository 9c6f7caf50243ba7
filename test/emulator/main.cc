// emulator: runs a program as on a kernel with the Linux-VServer system call. Needs root, cgroup2 and Linux 6.6.
//
// A seccomp filter hands chosen system calls of the program and its children to this process. A context is a cgroup.
// What differs from the real kernel: a whole process moves, not one thread; bcaps are taken from a process when it
// comes in, so a later change reaches new processes only; kill(2) of "every process" on the host is refused.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "capabilities.h"
#include "contexts.h"
#include "exits.h"
#include "filter.h"
#include "injection.h"
#include "loop.h"
#include "options.h"
#include "trace.h"
#include "virtual.h"

namespace {

constexpr int cannot_run = 127;

int fail(const std::string& what) {
  fprintf(stderr, "emulator: %s\n", what.c_str());
  return 1;
}

bool send_descriptor(int socket, int fd) {
  char byte = 0;
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  return sendmsg(socket, &message, 0) == 1;
}

int receive_descriptor(int socket) {
  char byte;
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  int fd = -1;
  if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1) return -1;
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header && header->cmsg_type == SCM_RIGHTS) memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return fd;
}

int exec_command() {
  execvp(options.command[0], options.command);
  fprintf(stderr, "emulator: %s: %s\n", options.command[0], strerror(errno));
  return cannot_run;
}

[[noreturn]] void run_command(int socket, const sigset_t& mask, const rlimit& files) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // without an emulator every trapped call would fail
  setrlimit(RLIMIT_NOFILE, &files);
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  setenv("CONTEXTD_PROC_VIRTUAL", virtual_path().c_str(), 1);
  int fd = install_filter();
  if (fd < 0) {
    fprintf(stderr, "emulator: seccomp: %s\n", strerror(errno));
    _exit(1);
  }
  if (!send_descriptor(socket, fd)) _exit(1);
  close(fd);
  _exit(exec_command());
}

int run_stub() {
  if (install_stub() < 0) return fail(std::string("seccomp: ") + strerror(errno));
  return exec_command();
}

}  // namespace

int main(int argc, char** argv) {
  if (int code = parse_options(argc, argv); code >= 0) return code;
  if (geteuid() != 0) return fail("must be run as root");
  if (options.stub) return run_stub();

  rlimit files, all;
  getrlimit(RLIMIT_NOFILE, &files);
  all = {files.rlim_max, files.rlim_max};
  setrlimit(RLIMIT_NOFILE, &all);
  start_capabilities();
  for (auto start : {start_trace, start_exits, start_contexts})
    if (std::string problem = start(); !problem.empty()) return fail(problem);

  sigset_t taken, before;
  sigemptyset(&taken);
  for (int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&taken, signal);
  sigprocmask(SIG_BLOCK, &taken, &before);
  Fd signals(signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK));
  signal(SIGPIPE, SIG_IGN);

  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) return fail(strerror(errno));
  command_pid = fork();
  if (command_pid < 0) return fail(strerror(errno));
  if (command_pid == 0) {
    signal(SIGPIPE, SIG_DFL);
    close(pair[0]);
    run_command(pair[1], before, files);
  }
  close(pair[1]);
  listener = receive_descriptor(pair[0]);
  close(pair[0]);
  if (listener >= 0)
    run_loop(signals.get());
  else
    waitpid(command_pid, &command_status, 0);
  stop_contexts();
  return WIFSIGNALED(command_status) ? 128 + WTERMSIG(command_status) : WEXITSTATUS(command_status);
}
