#include "cgroups.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <vector>

#include "fd.h"
#include "proc.h"

namespace {

constexpr char prefix[] = "contextd-emulator-";
std::string tree, tree_line;  // as a path, and as /proc/PID/cgroup shows it

std::string mount_point() {
  std::string text, line;
  if (!read_file("/proc/self/mountinfo", &text)) return "";
  std::istringstream lines(text);
  while (std::getline(lines, line))
    if (line.find(" - cgroup2 ") != std::string::npos) {
      std::istringstream words(line);
      std::string skip, at;
      words >> skip >> skip >> skip >> skip >> at;
      return at;
    }
  return "";
}

std::vector<std::string> directories_in(const std::string& path) {
  std::vector<std::string> names;
  DIR* dir = opendir(path.c_str());
  if (!dir) return names;
  while (const dirent* entry = readdir(dir))
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') names.push_back(entry->d_name);
  closedir(dir);
  return names;
}

bool remove_tree(const std::string& path) {
  for (const std::string& name : directories_in(path)) rmdir((path + "/" + name).c_str());
  return rmdir(path.c_str()) == 0 || errno == ENOENT;
}

// What emulators left that were killed themselves.
void remove_stale(const std::string& mount) {
  for (const std::string& name : directories_in(mount)) {
    if (name.rfind(prefix, 0) != 0) continue;
    pid_t owner = atoi(name.c_str() + strlen(prefix));
    if (owner <= 0 || kill(owner, 0) == 0 || errno != ESRCH) continue;
    std::string path = mount + "/" + name;
    Fd all(open((path + "/cgroup.kill").c_str(), O_WRONLY | O_CLOEXEC));
    bool killed = all && write(all.get(), "1", 1) == 1;
    for (int tries = 0; killed && is_populated(path) && tries < 100; tries++) usleep(10'000);
    remove_tree(path);
  }
}

}  // namespace

std::string make_cgroup_tree() {
  std::string mount = mount_point();
  if (mount.empty()) return "no cgroup2 file system is mounted";
  remove_stale(mount);
  std::string name = prefix + std::to_string(getpid());
  tree = mount + "/" + name;
  tree_line = "\n0::/" + name + "/";
  if (mkdir(tree.c_str(), 0755) < 0) return tree + ": " + strerror(errno);
  return "";
}

const std::string& cgroup_tree() { return tree; }

void remove_cgroup_tree() {
  Fd all(open((tree + "/cgroup.kill").c_str(), O_WRONLY | O_CLOEXEC));
  for (int tries = 0; tries < 500; tries++) {
    if (all && write(all.get(), "1", 1) < 0 && errno == ENODEV) break;
    if (!is_populated(tree) && remove_tree(tree)) break;
    usleep(10'000);
  }
}

bool is_populated(const std::string& cgroup) {
  std::string text;
  return read_file(cgroup + "/cgroup.events", &text) && text.find("populated 1") != std::string::npos;
}

int move_to_cgroup(const std::string& cgroup, pid_t tgid) {
  Fd fd(open((cgroup + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
  std::string text = std::to_string(tgid);
  return fd && write(fd.get(), text.data(), text.size()) > 0 ? 0 : -errno;
}

std::string cgroup_of(pid_t tid) {
  std::string text = "\n", file;
  if (!read_file("/proc/" + std::to_string(tid) + "/cgroup", &file)) return "";
  text += file;
  size_t at = text.find(tree_line);
  if (at == std::string::npos) return "";
  at += tree_line.size();
  return text.substr(at, text.find_first_of(" /\n", at) - at);  // " (deleted)" may follow
}
