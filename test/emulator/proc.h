// What the real kernel says about processes.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>
#include <cstdint>
#include <string>
#include <vector>

struct Status {
  char state = '?';
  pid_t tgid = 0;
  uid_t uid = 0, euid = 0;
  uint64_t caught = 0, inheritable = 0, permitted = 0, effective = 0, bounding = 0;
};

bool read_status(pid_t tid, Status* status);
// One letter, as in /proc/PID/stat; 0 when there is no such task.
char state_of(pid_t tid);
bool has_ended(pid_t tid);  // zombies have
// The inode of /proc/TID/ns/NAME, 0 when it is not to be had.
ino_t namespace_of(pid_t tid, const char* name);

bool read_file(const std::string& path, std::string* text);
bool write_file(const std::string& path, const std::string& text);
std::vector<pid_t> read_pids(const std::string& path);
std::vector<pid_t> threads_of(pid_t tgid);
