#pragma once

#include <sys/types.h>
#include <string>

// One directory for this emulator in the cgroup2 hierarchy. Returns an error message, or "".
std::string make_cgroup_tree();
// Kills everything in it first.
void remove_cgroup_tree();
const std::string& cgroup_tree();

bool is_populated(const std::string& cgroup);
int move_to_cgroup(const std::string& cgroup, pid_t tgid);  // 0 or -errno
// The name of the task's cgroup below the tree, "" when it is elsewhere.
std::string cgroup_of(pid_t tid);
