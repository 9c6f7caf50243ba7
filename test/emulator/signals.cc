// Who can signal whom. No signal of a guest may leave its context, whatever it was meant for.
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <cerrno>
#include <csignal>

#include "capabilities.h"
#include "commands.h"
#include "contexts.h"
#include "injection.h"
#include "proc.h"
#include "traps.h"

namespace {

bool is_signal(int sig) { return sig >= 0 && sig <= 64; }

// 0 or -errno. By descriptor, so that it cannot be another process that got the number meanwhile.
long send_to_member(const Context& context, pid_t pid, int sig) {
  Fd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  ContextPtr of;
  // A thread has no such descriptor; its number is as good for kill(2).
  if (!process && errno != EINVAL && errno != ENOENT) return -ESRCH;
  xid_of(pid, &of);
  if (of.get() != &context) return -ESRCH;
  if (!is_signal(sig)) return -EINVAL;
  long sent = process ? syscall(SYS_pidfd_send_signal, process.get(), sig, nullptr, 0) : kill(pid, sig);
  return sent < 0 ? -errno : 0;
}

// As kill(2) decides, for signals that are sent in the caller's place.
bool may_signal(const Call& call, const Status& caller, pid_t pid) {
  if (capabilities_of(call) >> abi::KILL & 1) return true;
  Status target;
  if (!read_status(pid, &target)) return true;
  return caller.euid == target.uid || caller.uid == target.uid;
}

long send_for(const Call& call, const Status& caller, pid_t pid, int sig) {
  return may_signal(call, caller, pid) ? send_to_member(*call.context, pid, sig) : -EPERM;
}

// A guest's init never dies of a signal that another guest process sends.
bool is_ignored_by_init(Context* context, pid_t pid, int sig) {
  if (pid != init_of(context) || sig < 1 || sig > 64) return false;
  Status init;
  return read_status(pid, &init) && !(init.caught >> (sig - 1) & 1);
}

// kill(2) of several: `group` 0 means all but the caller and init.
long kill_members(Call* call, pid_t group, int sig) {
  Status caller;
  if (!read_status(call->tid, &caller)) return -ESRCH;
  std::vector<pid_t> chosen;
  bool own = false;
  for (pid_t pid : processes_in(*call->context)) {
    bool match = group ? getpgid(pid) == group : pid != caller.tgid && pid != init_of(call->context.get());
    if (!match || pid <= 1) continue;
    own |= pid == caller.tgid;
    chosen.push_back(pid);
  }
  // The caller would be interrupted by its own signal, and start its call again.
  if (own && !(call->injection = Injection::begin(*call))) return answered;
  long result = -ESRCH, last = -ESRCH;
  for (pid_t pid : chosen) {
    bool ignored = is_ignored_by_init(call->context.get(), pid, sig);
    last = ignored ? 0 : send_for(*call, caller, pid, sig);
    if (last == 0) result = 0;
  }
  return result == 0 ? 0 : last;
}

long kill_one(Call* call, pid_t pid, int sig) {
  Context* context = call->context.get();
  if (context && pid == 1 && context->flags & abi::INFO_INIT && init_of(context)) {
    Status caller;
    if (is_ignored_by_init(context, context->init, sig)) return 0;
    return read_status(call->tid, &caller) ? send_for(*call, caller, context->init, sig) : -ESRCH;
  }
  if (xid_of(pid, nullptr) != call->xid) return -ESRCH;
  if (context && is_ignored_by_init(context, pid, sig)) return 0;
  return run_it;
}

// Numbers of another PID namespace mean nothing here, and reach nobody outside of it either.
bool has_own_pids(const Call& call) {
  static const ino_t own = namespace_of(getpid(), "pid");
  return namespace_of(call.tid, "pid") != own;
}

}  // namespace

long ctx_kill(Call* call) {
  Context& context = *call->target;
  pid_t pid = call->data.kill.pid;
  int sig = call->data.kill.sig;
  pid_t init = init_of(&context);
  bool administrable = context.flags & abi::STATE_ADMIN;
  if (!administrable && ((pid < 1 && init) || pid > 1)) return -EACCES;
  if (pid == 0 || pid == -1) {
    long result = -ESRCH;
    for (pid_t member : processes_in(context)) {
      if (member <= 1 || (pid && member == init)) continue;
      long sent = send_to_member(context, member, sig);
      if (sent != -EPERM) result = sent;
    }
    return result;
  }
  if (pid == 1 && init) {
    size_t tasks = threads_in(context).size() + (context.flags & abi::PERSISTENT ? 1 : 0);
    if (!administrable && tasks > 1) sig = SIGINT;
    pid = init;
  }
  return pid > 0 ? send_to_member(context, pid, sig) : -ESRCH;
}

long trap_kill(Call* call) {
  auto pid = static_cast<pid_t>(call->args[0]);
  auto sig = static_cast<int>(call->args[1]);
  if (has_own_pids(*call)) return run_it;
  look_up_caller(call);
  if (pid > 0) return kill_one(call, pid, sig);
  if (call->context) {
    if (!is_signal(sig)) return -EINVAL;
    return kill_members(call, pid == -1 ? 0 : pid == 0 ? getpgid(call->tid) : -pid, sig);
  }
  // This machine is no virtual one for the program under test: "everything" is never what it should signal.
  if (pid == -1) return -EPERM;
  if (pid == 0) return run_it;
  return xid_of(-pid, nullptr) == call->xid ? run_it : -ESRCH;
}

long trap_signal(Call* call) {
  bool traces = call->number == SYS_ptrace;
  if (traces && static_cast<int>(call->args[0]) == PTRACE_TRACEME) return run_it;
  auto pid = static_cast<pid_t>(call->args[traces ? 1 : 0]);
  if (pid <= 0 || pid == call->tid || has_own_pids(*call)) return run_it;
  look_up_caller(call);
  // The group that is named with a thread is checked by the kernel.
  return xid_of(pid, nullptr) == call->xid ? run_it : -ESRCH;
}
