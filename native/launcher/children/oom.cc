#include "oom.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <initializer_list>

#include "../protocol/report.h"
#include "../protocol/spec.h"

namespace {

long kills_before = -1;
long long ready_us = 0;

long long now_us() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC_RAW, &t);  // what runs closest to the clock of the kernel's log
  return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

// The number after `name` in a file of "NAME NUMBER" lines, -1 when there is none.
long read_count(int directory, const char* path, const char* name) {
  int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  char text[16384];
  size_t size = 0;
  for (ssize_t n; size < sizeof text - 1 && (n = read(fd, text + size, sizeof text - 1 - size)) > 0;)
    size += static_cast<size_t>(n);
  close(fd);
  text[size] = '\0';
  for (char* line = text; line; line = strchr(line, '\n')) {
    if (*line == '\n') line++;
    size_t length = strlen(name);
    if (!strncmp(line, name, length) && line[length] == ' ') return strtol(line + length, nullptr, 10);
  }
  return -1;
}

// vmstat's counter is raised before the signal is sent (mm/oom_kill.c, __oom_kill_process); Linux 4.13.
long count_kills() { return read_count(PROC_FD, "vmstat", "oom_kill"); }

// The kernel's log numbers processes as the initial PID namespace does (linux/proc_ns.h, PROC_PID_INIT_INO).
bool in_initial_pid_namespace() {
  constexpr ino_t initial = 0xEFFFFFFC;
  struct stat info;
  return fstatat(PROC_FD, "self/ns/pid", &info, 0) == 0 && info.st_ino == initial;
}

// The pid of a record of the kernel about a process that it has killed for lack of memory, else 0. Only the start of a
// line is looked at: what follows the pid is a name that the process gave itself.
pid_t killed_process(const char* record, long long* us) {
  unsigned priority = 0;
  int end = 0;
  if (sscanf(record, "%u,%*u,%lld,%n", &priority, us, &end) != 2 || end == 0) return 0;
  constexpr unsigned levels = 8;
  if (priority >= levels) return 0;  // of a facility other than the kernel, the one that user space cannot write as
  const char* text = strchr(record, ';');
  if (!text) return 0;
  for (const char* reason :
       {"Memory cgroup out of memory", "Out of memory", "Out of memory (oom_kill_allocating_task)"}) {
    size_t length = strlen(reason);
    pid_t pid = 0;
    if (!strncmp(text + 1, reason, length) && sscanf(text + 1 + length, ": Killed process %d (", &pid) == 1) return pid;
  }
  return 0;
}

struct Search {
  bool readable = false;
  bool found = false;
  long told = 0;  // kills since note_oom_kills that the log tells of
};

// The newest `kills` records about kills are those since note_oom_kills; an older one is of another process by now.
Search search_log(pid_t pid, long kills) {
  Search result;
  int log = openat(DEV_FD, "kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (log < 0) return result;
  constexpr long long slack_us = 2000000;
  long seen = 0, seen_ours = -1;
  for (;;) {
    char record[8193];
    ssize_t n = read(log, record, sizeof record - 1);
    if (n < 0 && (errno == EPIPE || errno == EINTR)) continue;  // overwritten: the next read is of the oldest one
    if (n <= 0) {
      result.readable = n < 0 && errno == EAGAIN;
      break;
    }
    record[n] = '\0';
    long long us = 0;
    pid_t killed = killed_process(record, &us);
    if (killed == 0) continue;
    seen++;
    if (us >= ready_us - slack_us) result.told++;
    if (killed == pid) seen_ours = seen;
  }
  close(log);
  result.found = seen_ours > seen - kills;
  return result;
}

}  // namespace

void note_oom_kills() {
  constexpr long long fresh_us = 1000000;  // no pid is used again so soon
  if (ready_us != 0 && now_us() - ready_us < fresh_us) return;
  kills_before = count_kills();
  ready_us = now_us();
}

OomKilled oom_killed(pid_t pid, int status) {
  if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) return OomKilled::no;
  long kills = kills_before < 0 ? -1 : count_kills() - kills_before;
  if (kills == 0) return OomKilled::no;
  // Where the memory controller is there it counts those of this context; they are never forgotten.
  if (read_count(CGROUP_FD, "memory.events", "oom_kill") == 0) return OomKilled::no;
  if (kills < 0 || !in_initial_pid_namespace()) return OomKilled::unknown;
  // It is told of after the signal; whoever dies fast is here first.
  for (int attempt = 0;; attempt++) {
    Search search = search_log(pid, kills);
    if (!search.readable) return OomKilled::unknown;
    if (search.found) return OomKilled::yes;
    constexpr int attempts = 10;
    if (search.told >= kills || attempt == attempts) return OomKilled::no;
    usleep(5000);
  }
}
