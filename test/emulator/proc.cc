#include "proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "fd.h"

namespace {

std::string path_of(pid_t tid, const char* name) { return "/proc/" + std::to_string(tid) + "/" + name; }

// The words after "\nNAME:\t".
const char* value_of(const std::string& text, const char* name) {
  size_t at = text.find(name);
  return at == std::string::npos ? "" : text.c_str() + at + strlen(name);
}

}  // namespace

bool read_file(const std::string& path, std::string* text) {
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return false;
  text->clear();
  char bytes[8192];
  for (ssize_t n; (n = read(fd.get(), bytes, sizeof bytes)) != 0;) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    text->append(bytes, static_cast<size_t>(n));
  }
  return true;
}

bool write_file(const std::string& path, const std::string& text) {
  Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0444));
  return fd && write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

bool read_status(pid_t tid, Status* status) {
  std::string text;
  if (!read_file(path_of(tid, "status"), &text)) return false;
  // The name comes first and could imitate a line, but a newline in it is shown as \n.
  const char* state = value_of(text, "\nState:\t");
  status->state = *state ? *state : '?';
  status->tgid = static_cast<pid_t>(strtol(value_of(text, "\nTgid:\t"), nullptr, 10));
  char* next;
  status->uid = static_cast<uid_t>(strtoul(value_of(text, "\nUid:\t"), &next, 10));
  status->euid = static_cast<uid_t>(strtoul(next, nullptr, 10));
  status->caught = strtoull(value_of(text, "\nSigCgt:\t"), nullptr, 16);
  status->inheritable = strtoull(value_of(text, "\nCapInh:\t"), nullptr, 16);
  status->permitted = strtoull(value_of(text, "\nCapPrm:\t"), nullptr, 16);
  status->effective = strtoull(value_of(text, "\nCapEff:\t"), nullptr, 16);
  status->bounding = strtoull(value_of(text, "\nCapBnd:\t"), nullptr, 16);
  return status->tgid > 0;
}

char state_of(pid_t tid) {
  std::string text;
  if (!read_file(path_of(tid, "stat"), &text)) return 0;
  size_t end = text.rfind(')');  // the name before it may hold anything
  return end == std::string::npos || end + 2 >= text.size() ? '\0' : text[end + 2];
}

bool has_ended(pid_t tid) {
  char state = state_of(tid);
  return state == 0 || state == 'Z' || state == 'X';
}

ino_t namespace_of(pid_t tid, const char* name) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/%s", tid, name);
  struct stat about;
  return stat(path, &about) < 0 ? 0 : about.st_ino;
}

std::vector<pid_t> read_pids(const std::string& path) {
  std::vector<pid_t> pids;
  std::string text;
  if (!read_file(path, &text)) return pids;
  const char* at = text.c_str();
  while (*at) {
    char* end;
    long pid = strtol(at, &end, 10);
    if (end == at) break;
    // 0 stands for a process of a PID namespace above this one.
    if (pid > 0) pids.push_back(static_cast<pid_t>(pid));
    at = end + strspn(end, "\n");
  }
  return pids;
}

std::vector<pid_t> threads_of(pid_t tgid) {
  std::vector<pid_t> tids;
  DIR* dir = opendir(path_of(tgid, "task").c_str());
  if (!dir) return tids;
  while (const dirent* entry = readdir(dir)) {
    int tid = atoi(entry->d_name);
    if (tid > 0) tids.push_back(tid);
  }
  closedir(dir);
  return tids;
}
