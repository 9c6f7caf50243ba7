#include "list.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "../../vserver/commands.h"
#include "../protocol/report.h"

namespace {

constexpr uint32_t spectator = 1;

// Reads a small file of /proc. Returns the bytes read, 0 when it is gone.
size_t read_file(pid_t pid, const char* name, char* text, size_t room) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t n = read(fd, text, room - 1);
  close(fd);
  text[n > 0 ? n : 0] = '\0';
  return n > 0 ? static_cast<size_t>(n) : 0;
}

// task_xid is the kernel's word, also where HIDE_VINFO hides /proc/PID/vinfo.
bool is_in(pid_t pid, uint32_t xid) {
  Result asked = vserver::task_xid(pid);
  if (asked.code == 0) return static_cast<uint32_t>(asked.value) == xid;
  if (asked.code == ESRCH) return false;
  char vinfo[512];
  unsigned said = 0;
  return read_file(pid, "vinfo", vinfo, sizeof vinfo) > 0 && sscanf(vinfo, "XID: %u", &said) == 1 && said == xid;
}

using Found = void (*)(void* to, pid_t pid, const char* stat, size_t size);

// Calls `found` for each process of the context. The caller is moved to the spectator context for good.
Result scan(uint32_t xid, Found found, void* to) {
  Result moved = vserver::ctx_migrate(spectator, 0);
  if (moved.code) return moved;
  DIR* proc = opendir("/proc");
  if (!proc) return failed("opendir");
  while (dirent* entry = readdir(proc)) {
    pid_t pid = atoi(entry->d_name);
    if (pid <= 1 || !is_in(pid, xid)) continue;
    char stat[1024];
    if (size_t size = read_file(pid, "stat", stat, sizeof stat)) found(to, pid, stat, size);
  }
  closedir(proc);
  return ok();
}

struct Text {
  char* data = nullptr;
  size_t size = 0, room = 0;
  bool is_whole = true;
};

void append(void* to, pid_t, const char* stat, size_t size) {
  Text& text = *static_cast<Text*>(to);
  if (text.size + size + 1 > text.room) {
    size_t room = (text.room + size + 1) * 2;
    void* grown = realloc(text.data, room);
    if (!grown) {
      text.is_whole = false;
      return;
    }
    text.data = static_cast<char*>(grown);
    text.room = room;
  }
  memcpy(text.data + text.size, stat, size + 1);
  text.size += size + 1;
}

struct Group {
  pid_t leader;
  int pipe_fd;
};

void tell_member(void* to, pid_t pid, const char* stat, size_t) {
  const Group& group = *static_cast<Group*>(to);
  const char* end = strrchr(stat, ')');  // comm may hold anything
  char state = '\0';
  int pgrp = 0;
  if (!end || sscanf(end + 1, " %c %*d %d", &state, &pgrp) != 2) return;
  if (pgrp != group.leader || state == 'Z' || state == 'X') return;
  ssize_t ignored = write(group.pipe_fd, &pid, sizeof pid);
  (void)ignored;
}

// One round: true when somebody was there to be killed.
bool kill_members(uint32_t xid, pid_t group) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return false;
  // A fork that sends no SIGCHLD when it ends: that signal tells of the guest's process.
  pid_t scanner = static_cast<pid_t>(syscall(SYS_clone, 0, 0, 0, 0, 0));
  if (scanner == 0) {
    Group wanted{group, ends[1]};
    scan(xid, tell_member, &wanted);
    _exit(0);
  }
  close(ends[1]);
  bool found = false;
  for (pid_t pid; scanner > 0 && read(ends[0], &pid, sizeof pid) == static_cast<ssize_t>(sizeof pid);)
    if (vserver::ctx_kill(xid, pid, SIGKILL).code == 0) found = true;
  close(ends[0]);
  if (scanner > 0) waitpid(scanner, nullptr, __WCLONE);
  return found;
}

}  // namespace

int run_vserver_list(const Spec& spec) {
  Text text;
  Result scanned = scan(spec.xid, append, &text);
  if (!scanned.code && !text.is_whole) scanned = failed("realloc", ENOMEM);
  if (scanned.code) {
    send_failure(make_failure(scanned.code, scanned.call, ""));
    return 1;
  }
  FrameView list{Frame::out, text.data, text.size};
  send_frames(&list, 1);
  send_text(Frame::started, "%d", 0);
  free(text.data);
  return 0;
}

void kill_vserver_group(uint32_t xid, pid_t group) {
  constexpr int rounds = 50;  // a group that forks all the while is killed faster than it grows
  for (int round = 0; round < rounds && kill_members(xid, group); round++) usleep(1000);
}
