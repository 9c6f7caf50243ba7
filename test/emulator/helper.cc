#include "helper.h"

#include <linux/reboot.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdio>

#include "capabilities.h"
#include "commands.h"
#include "options.h"
#include "proc.h"
#include "traps.h"

namespace {

constexpr unsigned startup = 1, shutdown = 2;  // VS_CMD of the two

struct Job {
  pid_t pid;
  ContextPtr context;
  std::unique_ptr<Call> call;  // of startup and reboot
  unsigned command;
};
std::list<Job> jobs;

struct Action {
  unsigned command;
  const char* name;
  bool kills;
};
constexpr Action actions[] = {{LINUX_REBOOT_CMD_RESTART, "restart", true},
                              {LINUX_REBOOT_CMD_HALT, "halt", true},
                              {LINUX_REBOOT_CMD_POWER_OFF, "poweroff", true},
                              {LINUX_REBOOT_CMD_SW_SUSPEND, "swsusp", false}};

const Action* find_action(unsigned command) {
  for (const Action& action : actions)
    if (action.command == command) return &action;
  return nullptr;
}

// Returns the process, or -errno when it cannot be executed.
pid_t start_helper(const char* action, uint32_t xid, std::vector<std::string> environment) {
  if (options.vshelper.empty()) return -ENOENT;
  std::string id = std::to_string(xid), path = options.vshelper;
  char* argv[] = {path.data(), const_cast<char*>(action), id.data(), nullptr};
  environment.insert(environment.begin(), {"HOME=/", "TERM=linux", "PATH=/sbin:/usr/sbin:/bin:/usr/bin"});
  std::vector<char*> envp;
  for (std::string& word : environment) envp.push_back(word.data());
  envp.push_back(nullptr);
  // vfork(2): the error of the exec is in memory that both see, and the parent goes on after the exec only.
  volatile int error = 0;
  pid_t pid = vfork();
  if (pid == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    signal(SIGPIPE, SIG_DFL);
    execve(argv[0], argv, envp.data());
    error = errno;
    _exit(127);
  }
  if (pid < 0) return -errno;
  if (!error) return pid;
  waitpid(pid, nullptr, 0);
  return -error;
}

std::string word(const char* how, unsigned value) {
  char text[32];
  snprintf(text, sizeof text, how, value);
  return text;
}

void kill_all(Context* context) {
  for (pid_t pid : processes_in(*context)) {
    ContextPtr of;
    xid_of(pid, &of);
    if (of.get() == context) kill(pid, SIGKILL);
  }
}

void finish_startup(Job* job, bool succeeded) {
  Call& call = *job->call;
  long result = -ENOEXEC;
  if (succeeded) {
    result = create_after_startup(&call);
  } else {
    job->context->flags &= ~abi::PERSISTENT;
    release_hold(job->context);
  }
  if (result != answered) finish_call(&call, result);
}

bool is_magic(uint64_t first, uint64_t second) {
  auto magic = static_cast<uint32_t>(second);
  return static_cast<uint32_t>(first) == LINUX_REBOOT_MAGIC1 &&
         (magic == LINUX_REBOOT_MAGIC2 || magic == LINUX_REBOOT_MAGIC2A || magic == LINUX_REBOOT_MAGIC2B ||
          magic == LINUX_REBOOT_MAGIC2C);
}

}  // namespace

bool start_startup_helper(Call* call) {
  if (!(call->target->flags & abi::SC_HELPER) || options.vshelper.empty()) return false;
  pid_t pid = start_helper("startup", call->id, {word("VS_CMD=%08x", startup)});
  // What cannot be executed has failed; that is found out below, as for the others.
  ContextPtr context = call->target;
  jobs.push_back({pid, context, std::make_unique<Call>(std::move(*call)), startup});
  if (pid < 0) raise(SIGCHLD);
  return true;
}

void start_shutdown_helper(const ContextPtr& context) {
  if (!(context->flags & abi::SC_HELPER) || options.vshelper.empty()) return;
  pid_t pid = start_helper("shutdown", context->xid, {word("VS_CMD=%08x", shutdown)});
  if (pid < 0) return;
  context->helping = true;
  jobs.push_back({pid, context, nullptr, shutdown});
}

// Never carried out on this machine, for nobody.
long trap_reboot(Call* call) {
  look_up_caller(call);
  if (!call->context) return -EPERM;
  ContextPtr context = call->context;
  if (!(capabilities_of(*call) >> abi::SYS_BOOT & 1)) return -EPERM;
  if (!is_magic(call->args[0], call->args[1])) return -EINVAL;
  auto command = static_cast<unsigned>(call->args[2]);
  const Action* action = find_action(command);
  if (!action) {
    context->reboot_cmd = static_cast<int>(command);
    return 0;
  }
  Status status;
  if (!read_status(call->tid, &status)) return -EPERM;
  pid_t pid = start_helper(action->name, context->xid,
                           {word("VS_UID=%u", status.uid), word("VS_PID=%u", static_cast<unsigned>(call->tid)),
                            word("VS_CMD=%08x", command)});
  if (pid < 0) return -EPERM;
  // The kernel neither waits for it nor asks how it has ended.
  jobs.push_back({pid, context, nullptr, command});
  context->reboot_cmd = static_cast<int>(command);
  if (action->kills && context->flags & abi::REBOOT_KILL) kill_all(context.get());
  return 0;
}

void reap_helpers() {
  for (auto at = jobs.begin(); at != jobs.end();) {
    int status = -1;
    if (at->pid > 0 && waitpid(at->pid, &status, WNOHANG) == 0) {
      ++at;
      continue;
    }
    Job job = std::move(*at);
    at = jobs.erase(at);
    if (job.command == startup || job.command == shutdown) job.context->helping = false;
    if (job.command == startup) finish_startup(&job, status == 0);
  }
}
