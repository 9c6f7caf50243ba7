#include "virtual.h"

#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>

#include "contexts.h"
#include "options.h"
#include "proc.h"

namespace {

constexpr const char* files[] = {"info", "status", "cvirt", "nsproxy", "limit", "cacct", "sched"};
std::string top;
std::set<uint32_t> present;

template <typename... Args>
std::string format(const char* how, Args... args) {
  char text[512];
  snprintf(text, sizeof text, how, args...);
  return text;
}

std::string content(const std::string& file, const Context& context) {
  if (file == "info") return format("ID:\t%u\nInfo:\t(null)\nInit:\t%d\nOOM:\t0\n", context.xid, context.init);
  if (file == "status")
    return format("UseCnt:\t2\nTasks:\t1\nFlags:\t%016" PRIx64 "\nBCaps:\t%016" PRIx64 "\nCCaps:\t%016" PRIx64
                  "\nUmask:\t%16x\nWmask:\t%16x\nSpaces:\t%08" PRIx64 " 00000000\n",
                  context.flags, context.bcaps, context.ccaps, 0, 0, context.spaces.mask);
  if (file == "cvirt")
    return "BiasUptime:\t0.00\nnr_threads:\t1\nnr_running:\t1\nnr_unintr:\t0\nnr_onhold:\t0\nload_updates:\t0\n"
           "loadavg:\t0.00 0.00 0.00\ntotal_forks:\t0\n";
  return "";
}

void write_status(size_t contexts) {
  write_file(top + "/status.new", format("#CTotal:\t%zu\n#CActive:\t%zu\n", contexts, contexts));
  rename((top + "/status.new").c_str(), (top + "/status").c_str());
}

}  // namespace

std::string make_virtual() {
  char path[] = "/tmp/contextd-emulator-XXXXXX";
  if (!mkdtemp(path)) return std::string("mkdtemp: ") + strerror(errno);
  top = path;
  chmod(path, 0755);
  write_file(top + "/info", format("VCIVersion:\t%04x:%04x\nVCISyscall:\t%d\nVCIKernel:\t%08x\n", options.version >> 16,
                                   options.version & 0xffff, abi::vserver_call, abi::vci));
  write_status(0);
  return "";
}

const std::string& virtual_path() { return top; }

void add_virtual(const Context& context, size_t contexts) {
  std::string dir = top + "/" + std::to_string(context.xid);
  mkdir(dir.c_str(), 0755);
  for (const char* file : files) write_file(dir + "/" + file, content(file, context));
  present.insert(context.xid);
  write_status(contexts);
}

void remove_virtual(uint32_t xid, size_t contexts) {
  std::string dir = top + "/" + std::to_string(xid);
  for (const char* file : files) unlink((dir + "/" + file).c_str());
  rmdir(dir.c_str());
  present.erase(xid);
  write_status(contexts);
}

void remove_all_virtual() {
  while (!present.empty()) remove_virtual(*present.begin(), present.size() - 1);
  for (const char* file : {"/info", "/status"}) unlink((top + file).c_str());
  rmdir(top.c_str());
}
