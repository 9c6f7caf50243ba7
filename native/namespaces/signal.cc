#include "signal.h"

#include <fcntl.h>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <set>
#include <vector>

#include "../fd.h"
#include "../syscalls.h"
#include "attributes.h"

namespace {

constexpr int max_passes = 64;  // a fork bomb is ended by cgroup.kill, not by signals one by one

using File = std::unique_ptr<FILE, int (*)(FILE*)>;

File open_file(const std::string& path) { return File(fopen(path.c_str(), "re"), fclose); }

// Only these say that a process, or a cgroup, is not there any more. ENODEV is what a read of a cgroup's file says.
bool is_gone(int err) { return err == ENOENT || err == ESRCH || err == ENODEV; }

// ESRCH: it is not in the cgroup, or gone. Another errno: that cannot be known now.
Result check_member(const Members& members, pid_t pid) {
  File file = open_file("/proc/" + std::to_string(pid) + "/cgroup");
  if (!file) return failed("open", is_gone(errno) ? ESRCH : errno);
  char line[4352];
  while (fgets(line, sizeof line, file.get())) {
    if (strncmp(line, members.line.c_str(), members.line.size()) != 0) continue;
    // The cgroup itself, or one the guest has made below it.
    char next = line[members.line.size()];
    if (next == '\n' || next == '/') return ok();
  }
  return failed("open", ESRCH);
}

bool ends_by_default(int sig) {
  switch (sig) {
    case 0:
    case SIGCHLD:
    case SIGCONT:
    case SIGURG:
    case SIGWINCH:
    case SIGSTOP:
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU: return false;
    default: return true;
  }
}

// 1 when `sig` is neither caught, ignored nor blocked (proc(5), SigCgt, SigIgn, SigBlk).
Result has_default_action(pid_t pid, int sig) {
  File file = open_file("/proc/" + std::to_string(pid) + "/status");
  if (!file) return failed("open", is_gone(errno) ? ESRCH : errno);
  uint64_t taken = 0, mask;
  char line[256];
  while (fgets(line, sizeof line, file.get()))
    if (sscanf(line, "SigBlk: %" SCNx64, &mask) == 1 || sscanf(line, "SigIgn: %" SCNx64, &mask) == 1 ||
        sscanf(line, "SigCgt: %" SCNx64, &mask) == 1)
      taken |= mask;
  return ok(!(taken >> (sig - 1) & 1));
}

// `cgroup` keeps which signal was asked for, where SIGKILL stands in for it: the report of the end is to say so.
Result send_signal(int pidfd, pid_t pid, int sig, pid_t init, const std::string& cgroup) {
  if (pid == init && sig != SIGKILL && ends_by_default(sig)) {
    Result ends = has_default_action(pid, sig);
    if (ends.code) return ends;
    if (ends.value) {
      set_attribute(cgroup, "trusted.contextd.asked", std::to_string(sig));
      sig = SIGKILL;
    }
  }
  return sys_pidfd_send_signal(pidfd, sig) < 0 ? failed("pidfd_send_signal") : ok();
}

Result read_pids(const std::string& cgroup, std::vector<pid_t>* pids) {
  File file = open_file(cgroup + "/cgroup.procs");
  if (!file) return failed("open");
  for (pid_t pid; fscanf(file.get(), "%d", &pid) == 1;)
    if (pid > 0) pids->push_back(pid);
  return ok();
}

// In the cgroup and in those that a guest has made below it; one of these may be gone by the time it is read.
Result read_all_pids(const std::string& cgroup, std::vector<pid_t>* pids) {
  Result listed = read_pids(cgroup, pids);
  if (listed.code) return listed;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator at(cgroup, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (!at->is_directory(ignored)) continue;
    Result below = read_pids(at->path(), pids);
    if (below.code && !is_gone(below.code)) return below;
  }
  return error && !is_gone(error.value()) ? failed("readdir", error.value()) : ok();
}

}  // namespace

Result open_member(const Members& members, pid_t pid) {
  Fd pidfd(sys_pidfd_open(pid));
  if (!pidfd.valid()) return failed("pidfd_open");
  Result member = check_member(members, pid);
  if (member.code) return member;
  return ok(pidfd.release());
}

Result signal_member(const Members& members, pid_t pid, int sig, pid_t init) {
  Result opened = open_member(members, pid);
  if (opened.code) return opened;
  Fd pidfd(static_cast<int>(opened.value));
  return send_signal(pidfd.get(), pid, sig, init, members.path);
}

Result signal_members(const Members& members, int sig, pid_t init, pid_t except) {
  std::set<pid_t> reached;
  for (int pass = 0; pass < max_passes; pass++) {
    std::vector<pid_t> pids;
    Result listed = read_all_pids(members.path, &pids);
    if (is_gone(listed.code)) break;  // the context has ended and is gone
    if (listed.code) return listed;
    bool anyone_new = false;
    for (pid_t pid : pids) {
      if (pid == except || reached.count(pid)) continue;
      Result sent = signal_member(members, pid, sig, init);
      if (sent.code == ESRCH) continue;  // ended meanwhile
      if (sent.code) return sent;
      reached.insert(pid);
      anyone_new = true;
    }
    if (!anyone_new) break;
  }
  return ok(static_cast<long>(reached.size()));
}
