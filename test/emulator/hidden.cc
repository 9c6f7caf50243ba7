// /proc as this kernel shows it: tasks of other contexts are not there, and there are files that Linux does not have.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <cinttypes>
#include <climits>
#include <cstdio>
#include <cstring>

#include "contexts.h"
#include "options.h"
#include "proc.h"
#include "traps.h"
#include "virtual.h"

namespace {

constexpr char proc_prefix[] = "/proc/";
constexpr size_t prefix_size = sizeof proc_prefix - 1;

std::string vinfo_of(uint32_t xid, Context* context) {
  std::string text = "XID:\t" + std::to_string(xid) + "\n";
  if (!context) return text;
  char rest[160];
  snprintf(rest, sizeof rest, "BCaps:\t%016" PRIx64 "\nCCaps:\t%016" PRIx64 "\nCFlags:\t%016" PRIx64 "\nCIPid:\t%d\n",
           context->bcaps, context->ccaps, context->flags, init_of(context));
  return text + rest;
}

// Answers an open(2) with a file of this content.
long show(const Call& call, const std::string& text) {
  auto flags = static_cast<int>(call.args[call.number == SYS_open ? 1 : 2]);
  Fd file(memfd_create("vserver", MFD_CLOEXEC));
  if (!file || write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) return -ENOMEM;
  lseek(file.get(), 0, SEEK_SET);
  int there = give_descriptor(call.notif, file.get(), flags & O_CLOEXEC, true);
  return there < 0 && there != -ENOENT ? there : answered;
}

bool is_open(const Call& call) { return call.number == SYS_open || call.number == SYS_openat; }

// Of nearly all paths the beginning is enough: they are neither below /proc nor in our own directory.
bool is_wanted(const Call& call, uint64_t at) {
  char start[prefix_size];
  if ((at & 4095) > 4096 - prefix_size) return true;
  return read_memory(call.tid, at, start, sizeof start) &&
         (memcmp(start, proc_prefix, sizeof start) == 0 || memcmp(start, virtual_path().c_str(), sizeof start) == 0);
}

// The task that "self/..." or "123/..." is about; 0 for other files.
pid_t task_in(const std::string& name, pid_t caller) {
  if (name == "self" || name == "thread-self") return caller;
  if (name.empty() || name.find_first_not_of("0123456789") != std::string::npos || name.size() > 9) return 0;
  return static_cast<pid_t>(strtol(name.c_str(), nullptr, 10));
}

}  // namespace

long trap_path(Call* call) {
  uint64_t at = call->args[find_trap(call->number)->path];
  if (!is_wanted(*call, at)) return run_it;
  std::string path;
  if (!read_string(call->tid, at, PATH_MAX, &path)) return run_it;
  if (path.compare(0, virtual_path().size(), virtual_path()) == 0) check_all_contexts();
  if (path.compare(0, prefix_size, proc_prefix) != 0) return run_it;
  path.erase(0, prefix_size);
  if (path == "sys/kernel/vshelper" && is_open(*call)) {
    const std::string& helper = options.vshelper;
    return show(*call, (helper.empty() ? "/sbin/vshelper" : helper) + "\n");
  }
  size_t slash = path.find('/');
  pid_t pid = task_in(path.substr(0, slash), call->tid);
  if (pid == 0) return run_it;
  static const ino_t own = namespace_of(getpid(), "pid");
  if (pid != call->tid && namespace_of(call->tid, "pid") != own) return run_it;

  ContextPtr context;
  uint32_t xid = xid_of(pid, &context);
  uint32_t viewer = pid == call->tid ? xid : xid_of(call->tid, nullptr);
  bool visible = xid == viewer || viewer == abi::spectator || pid == 1;
  if (!visible) return -ENOENT;
  bool vinfo = slash != std::string::npos && path.compare(slash + 1, std::string::npos, "vinfo") == 0;
  if (!vinfo || !is_open(*call) || !state_of(pid)) return run_it;
  if (context && context->flags & abi::HIDE_VINFO) return -ENOENT;
  return show(*call, vinfo_of(xid, context.get()));
}
