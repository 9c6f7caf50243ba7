// The contexts. A task's context is the cgroup it is in: children inherit that, and nothing they do gets them out.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "call.h"
#include "fd.h"

struct Uts;

struct Spaces {
  uint64_t mask = 0;
  bool set = false;
  std::vector<std::pair<uint64_t, Fd>> namespaces;  // by CLONE_NEW* bit
  Fd root, cwd;
  std::shared_ptr<Uts> uts;
};

struct Context {
  uint32_t xid = 0;
  std::string cgroup;  // its directory; never used twice
  int watch = -1;
  uint64_t flags = 0, bcaps = ~0ULL, ccaps = 0;
  pid_t init = 0;
  Spaces spaces;
  char label[abi::name_size] = {};
  int exit_code = 0, reboot_cmd = 0;
  uint32_t forks = 0;
  uint64_t created = 0;  // ns
  int holds = 0;         // while it is being made
  bool helping = false;  // a helper runs for it
  int tracked = 0;       // tasks whose exit has not been seen
  bool dead = false;
  uint64_t patience = 0;  // when dead: answer the waits at this time even if an exit is missing
  std::list<Call> waits;
};

// Makes the cgroup and the directory that looks like /proc/virtual. Returns an error message, or "".
std::string start_contexts();
// Kills what is left in them and removes everything.
void stop_contexts();
int cgroup_watch();  // inotify descriptor
void read_cgroup_watch();

ContextPtr find_context(uint32_t xid);
// 0 or -errno; the new context has one hold.
int create_context(uint32_t xid, uint64_t flags, ContextPtr* made);
void release_hold(const ContextPtr& context);
// Ends it if nothing keeps it alive any more.
void check_context(const ContextPtr& context);
void check_all_contexts();
// Answers the waits for dead contexts. Returns the milliseconds until it must be called again, or -1.
int finish_dead();
bool any_contexts();
// Notices the waits that were interrupted. False when there are none at all.
bool prune_all_waits();

int move_into(const ContextPtr& context, pid_t tgid);
int move_into_spectator(pid_t tgid);

uint32_t xid_of(pid_t tid, ContextPtr* context);
std::vector<pid_t> processes_in(const Context& context);
std::vector<pid_t> threads_in(const Context& context);
// 0 as soon as that process has ended.
pid_t init_of(Context* context);
uint64_t now_ns();
