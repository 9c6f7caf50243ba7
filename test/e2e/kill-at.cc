// kill-at VICTIM STEP PID…: kills the process VICTIM when the processes PID, all their threads and what they start are
// about to make their STEP-th call that others can see. When it is not the victim's own call, whoever makes it is held
// there until the standard input ends. Everything goes on then, as if it had never been watched.
//
// Says "watching", then, when it comes to that, "killed at CALL". Programs that a watched process executes are not
// watched.
#include <dirent.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <poll.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>

namespace {

// sys/ptrace.h and linux/ptrace.h cannot be included together.
struct SyscallInfo {
  uint8_t op;
  uint32_t arch;
  uint64_t instruction_pointer, stack_pointer;
  uint64_t number, args[6];
};
constexpr uint8_t entry = 1;

// Calls that leave something behind for others to find. Between two of them the moment does not matter.
const struct {
  long number;
  const char* name;
} visible[] = {
    {SYS_write, "write"},       {SYS_writev, "writev"},
    {SYS_pwrite64, "pwrite64"}, {SYS_sendmsg, "sendmsg"},
    {SYS_sendto, "sendto"},     {SYS_shutdown, "shutdown"},
    {SYS_mkdirat, "mkdirat"},   {SYS_unlinkat, "unlinkat"},
    {SYS_renameat, "renameat"}, {SYS_renameat2, "renameat2"},
    {SYS_openat, "openat"},     {SYS_ftruncate, "ftruncate"},
    {SYS_setxattr, "setxattr"}, {SYS_fsetxattr, "fsetxattr"},
    {SYS_flock, "flock"},       {SYS_bpf, "bpf"},
    {SYS_kill, "kill"},         {SYS_pidfd_send_signal, "pidfd_send_signal"},
    {SYS_clone, "clone"},       {SYS_clone3, "clone3"},
    {SYS_execve, "execve"},     {SYS_exit_group, "exit_group"},
#ifdef SYS_mkdir  // of older architectures
    {SYS_mkdir, "mkdir"},       {SYS_rmdir, "rmdir"},
    {SYS_unlink, "unlink"},     {SYS_rename, "rename"},
    {SYS_fork, "fork"},         {SYS_vfork, "vfork"},
#endif
};

constexpr long options =
    PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;

pid_t victim;
long step;
long seen = 0;
bool is_killed = false;
std::set<pid_t> watched;
std::set<pid_t> unready;  // not yet stopped for the first time

[[noreturn]] void die(const char* what) {
  fprintf(stderr, "kill-at: %s: %s\n", what, strerror(errno));
  exit(1);
}

void say(const char* what, const char* more = "") {
  printf("%s%s\n", what, more);
  fflush(stdout);
}

// Wake-ups within the event loop, and the daemon's own log.
bool is_private_write(pid_t pid, uint64_t fd) {
  if (fd <= 2) return true;
  char target[PATH_MAX];
  std::string link = "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(fd);
  ssize_t n = readlink(link.c_str(), target, sizeof target - 1);
  return n > 0 && (target[n] = '\0', strstr(target, "[eventfd]"));
}

// The name of the call that the thread is about to make, if it counts.
const char* visible_call(pid_t pid) {
  SyscallInfo info{};
  if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) < 0 || info.op != entry) return nullptr;
  long number = static_cast<long>(info.number);
  if (number == SYS_write && is_private_write(pid, info.args[0])) return nullptr;
  if (number == SYS_openat && !(info.args[2] & O_CREAT)) return nullptr;
  if (number == SYS_bpf && info.args[0] == BPF_MAP_LOOKUP_ELEM) return nullptr;
  for (const auto& call : visible)
    if (call.number == number) return call.name;
  return nullptr;
}

void watch(pid_t pid) {
  if (ptrace(PTRACE_SEIZE, pid, 0, options) < 0) die("PTRACE_SEIZE");
  if (ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0) die("PTRACE_INTERRUPT");
  watched.insert(pid);
  unready.insert(pid);
}

void watch_threads(pid_t pid) {
  std::string path = "/proc/" + std::to_string(pid) + "/task";
  DIR* tasks = opendir(path.c_str());
  if (!tasks) die(path.c_str());
  while (dirent* task = readdir(tasks))
    if (task->d_name[0] != '.') watch(atoi(task->d_name));
  closedir(tasks);
}

void stopped(pid_t pid, int status) {
  int signal = WSTOPSIG(status), event = status >> 16;
  watched.insert(pid);  // a child, which is watched from its birth
  unready.erase(pid);
  if (event == PTRACE_EVENT_EXEC) {
    ptrace(PTRACE_DETACH, pid, 0, 0);
    watched.erase(pid);
    return;
  }
  if (event == PTRACE_EVENT_STOP &&
      (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU)) {
    ptrace(PTRACE_LISTEN, pid, 0, 0);
    return;
  }
  bool is_call = event == 0 && signal == (SIGTRAP | 0x80);
  const char* call = is_call && !is_killed ? visible_call(pid) : nullptr;
  if (call && ++seen == step) {
    is_killed = true;
    if (kill(victim, SIGKILL) < 0) die("kill");
    say("killed at ", call);
    return;  // held
  }
  ptrace(PTRACE_SYSCALL, pid, 0, event || is_call ? 0 : signal);
}

void look_after() {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, __WALL | WNOHANG)) > 0;) {
    if (WIFSTOPPED(status))
      stopped(pid, status);
    else
      watched.erase(pid), unready.erase(pid);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return fprintf(stderr, "usage: kill-at VICTIM STEP PID…\n"), 2;
  victim = atoi(argv[1]);
  step = atol(argv[2]);
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  sigprocmask(SIG_BLOCK, &children, nullptr);
  int changes = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
  if (changes < 0) die("signalfd");
  for (int i = 3; i < argc; i++) watch_threads(atoi(argv[i]));
  for (bool is_told = false;;) {
    look_after();
    if (!is_told && unready.empty()) {
      say("watching");
      is_told = true;
    }
    pollfd ready[] = {{STDIN_FILENO, POLLIN, 0}, {changes, POLLIN, 0}};
    if (poll(ready, 2, -1) < 0) continue;
    if (ready[0].revents) return 0;  // the kernel lets go of all that is watched (ptrace(2), "Detaching")
    signalfd_siginfo told;
    while (read(changes, &told, sizeof told) == static_cast<ssize_t>(sizeof told)) {
    }
  }
}
