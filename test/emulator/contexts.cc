#include "contexts.h"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <map>
#include <unordered_map>

#include "cgroups.h"
#include "commands.h"
#include "exits.h"
#include "helper.h"
#include "proc.h"
#include "virtual.h"

namespace {

constexpr uint64_t patience_ns = 300'000'000;

std::map<uint32_t, ContextPtr> live;
std::unordered_map<std::string, ContextPtr> by_cgroup;  // by name; the dead too, until their waits are answered
std::unordered_map<int, ContextPtr> by_watch;
std::list<ContextPtr> dead;
std::list<std::string> leftovers;  // directories that could not be removed yet
Fd watch;
uint32_t serial = 0;

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

void remove_leftovers() {
  for (auto at = leftovers.begin(); at != leftovers.end();)
    at = rmdir(at->c_str()) == 0 || errno == ENOENT ? leftovers.erase(at) : std::next(at);
}

// From here on the xid is free, and every call on it fails with ESRCH.
void end_context(const ContextPtr& context) {
  context->dead = true;
  context->patience = now_ns() + patience_ns;
  inotify_rm_watch(watch.get(), context->watch);
  by_watch.erase(context->watch);
  live.erase(context->xid);
  remove_virtual(context->xid, live.size());
  if (rmdir(context->cgroup.c_str()) < 0) leftovers.push_back(context->cgroup);
  dead.push_back(context);
  start_shutdown_helper(context);
  context->spaces = Spaces{};
}

}  // namespace

uint64_t now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

std::string start_contexts() {
  std::string problem = make_cgroup_tree();
  if (!problem.empty()) return problem;
  watch.reset(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!watch) return std::string("inotify: ") + strerror(errno);
  if (mkdir((cgroup_tree() + "/1").c_str(), 0755) < 0) return std::string("mkdir: ") + strerror(errno);
  return make_virtual();
}

void stop_contexts() {
  remove_cgroup_tree();
  remove_all_virtual();
}

int cgroup_watch() { return watch.get(); }

void read_cgroup_watch() {
  alignas(inotify_event) char bytes[8192];
  for (ssize_t n; (n = read(watch.get(), bytes, sizeof bytes)) > 0;)
    for (ssize_t at = 0; at < n;) {
      auto event = reinterpret_cast<const inotify_event*>(bytes + at);
      at += static_cast<ssize_t>(sizeof *event + event->len);
      auto found = by_watch.find(event->wd);
      if (found == by_watch.end()) continue;
      ContextPtr context = found->second;
      check_context(context);
    }
}

ContextPtr find_context(uint32_t xid) {
  auto found = live.find(xid);
  if (found == live.end()) return nullptr;
  ContextPtr context = found->second;
  check_context(context);
  return context->dead ? nullptr : context;
}

int create_context(uint32_t xid, uint64_t flags, ContextPtr* made) {
  if (ContextPtr there = find_context(xid)) return there->flags & abi::STATE_SETUP ? -EBUSY : -EEXIST;
  remove_leftovers();
  auto context = std::make_shared<Context>();
  context->xid = xid;
  context->flags = flags;
  context->cgroup = cgroup_tree() + "/" + std::to_string(xid) + "." + std::to_string(++serial);
  if (mkdir(context->cgroup.c_str(), 0755) < 0) return -ENOMEM;
  context->watch = inotify_add_watch(watch.get(), (context->cgroup + "/cgroup.events").c_str(), IN_MODIFY);
  if (context->watch < 0) {
    rmdir(context->cgroup.c_str());
    return -ENOMEM;
  }
  context->created = now_ns();
  context->holds = 1;
  live[xid] = context;
  by_cgroup[name_of(context->cgroup)] = context;
  by_watch[context->watch] = context;
  add_virtual(*context, live.size());
  *made = context;
  return 0;
}

void release_hold(const ContextPtr& context) {
  context->holds--;
  check_context(context);
}

void check_context(const ContextPtr& context) {
  if (context->dead || context->holds > 0 || context->flags & abi::PERSISTENT) return;
  if (!is_populated(context->cgroup)) end_context(context);
}

int finish_dead() {
  if (!leftovers.empty()) remove_leftovers();
  int again = leftovers.empty() ? -1 : 100;
  uint64_t now = now_ns();
  for (auto at = dead.begin(); at != dead.end();) {
    const ContextPtr& context = *at;
    bool waits = context->tracked > 0 && now < context->patience;
    if (context->helping || waits) {
      if (waits) again = again < 0 ? 20 : std::min(again, 20);
      ++at;
      continue;
    }
    forget_tracked(context);
    by_cgroup.erase(name_of(context->cgroup));
    for (Call& call : context->waits) finish_wait(&call, *context);
    context->waits.clear();
    at = dead.erase(at);
  }
  return again;
}

void check_all_contexts() {
  std::vector<ContextPtr> all;
  for (const auto& entry : live) all.push_back(entry.second);
  for (const ContextPtr& context : all) check_context(context);
}

bool prune_all_waits() {
  bool any = false;
  for (const auto& entry : live) {
    if (!entry.second->waits.empty()) prune_waits(entry.second.get());
    any |= !entry.second->waits.empty();
  }
  return any;
}

bool any_contexts() { return !live.empty() || !dead.empty(); }

int move_into(const ContextPtr& context, pid_t tgid) {
  read_exits();  // forks made before the move are not the context's
  if (context->dead) return -EFAULT;
  int error = move_to_cgroup(context->cgroup, tgid);
  if (!error)
    for (pid_t tid : threads_of(tgid)) track(tid, context);
  return error;
}

int move_into_spectator(pid_t tgid) {
  read_exits();
  int error = move_to_cgroup(cgroup_tree() + "/1", tgid);
  if (!error)
    for (pid_t tid : threads_of(tgid)) track(tid, nullptr);
  return error;
}

uint32_t xid_of(pid_t tid, ContextPtr* context) {
  if (context) context->reset();
  std::string name = cgroup_of(tid);
  if (name.empty()) return 0;
  if (context) {
    auto found = by_cgroup.find(name);
    if (found != by_cgroup.end()) *context = found->second;
  }
  return static_cast<uint32_t>(strtoul(name.c_str(), nullptr, 10));
}

std::vector<pid_t> processes_in(const Context& context) { return read_pids(context.cgroup + "/cgroup.procs"); }
std::vector<pid_t> threads_in(const Context& context) { return read_pids(context.cgroup + "/cgroup.threads"); }

pid_t init_of(Context* context) {
  if (context->init && has_ended(context->init)) context->init = 0;
  return context->init;
}
