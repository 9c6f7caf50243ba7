// The names of contexts. The kernel keeps six of them in the UTS namespace, and lets the host change each.
#include "names.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <cerrno>
#include <cstring>
#include <map>

#include "capabilities.h"
#include "commands.h"
#include "contexts.h"
#include "proc.h"
#include "traps.h"

struct Uts {
  ino_t inode = 0;
  Fd fd;
  utsname names{};
};

namespace {

constexpr size_t longest_name = 64;
constexpr uint32_t nodename = 2, domainname = 6;
static_assert(sizeof(utsname) == 6 * abi::name_size, "the names are an array");

std::map<ino_t, std::weak_ptr<Uts>> known;

ino_t own_inode() {
  static ino_t inode = namespace_of(getpid(), "uts");
  return inode;
}

char* field_of(Uts* uts, uint32_t field) { return reinterpret_cast<char*>(&uts->names) + (field - 1) * abi::name_size; }

// Only this thread goes there, and it comes back: whatever happens, names are never set on the host.
template <typename F>
void inside(const Uts& uts, F what) {
  static Fd home(open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC));
  if (uts.inode == own_inode() || setns(uts.fd.get(), CLONE_NEWUTS) < 0) return;
  what();
  setns(home.get(), CLONE_NEWUTS);
}

void tell_kernel(const Uts& uts, uint32_t field, const char* name) {
  size_t size = strnlen(name, longest_name);
  if (field == nodename) inside(uts, [&] { sethostname(name, size); });
  if (field == domainname) inside(uts, [&] { setdomainname(name, size); });
}

std::shared_ptr<Uts> names_of_caller(const Call& call) {
  if (known.empty()) return nullptr;
  auto found = known.find(namespace_of(call.tid, "uts"));
  return found == known.end() ? nullptr : found->second.lock();
}

char* name_of(Call* call) {
  uint32_t field = call->data.name.field;
  if (field == 0) return call->target->label;
  Uts* uts = call->target->spaces.uts.get();
  return uts && field < abi::name_fields ? field_of(uts, field) : nullptr;
}

bool may_set_names(const Call& call) {
  if (capabilities_of(call) >> abi::SYS_ADMIN & 1) return true;
  Status status;
  return call.context && call.context->ccaps & abi::SET_UTSNAME && read_status(call.tid, &status) && status.euid == 0;
}

}  // namespace

std::shared_ptr<Uts> names_of_namespace(const Fd& fd) {
  struct stat about;
  if (!fd || fstat(fd.get(), &about) < 0) return nullptr;
  for (auto at = known.begin(); at != known.end();) at = at->second.expired() ? known.erase(at) : std::next(at);
  std::weak_ptr<Uts>& slot = known[about.st_ino];
  if (auto there = slot.lock()) return there;
  auto made = std::make_shared<Uts>();
  made->inode = about.st_ino;
  made->fd.reset(fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
  uname(&made->names);
  inside(*made, [&] { uname(&made->names); });
  slot = made;
  return made;
}

long set_vhi_name(Call* call) {
  char* name = name_of(call);
  if (!name) return -EINVAL;
  memcpy(name, call->data.name.name, abi::name_size);  // terminated or not
  if (call->data.name.field) tell_kernel(*call->target->spaces.uts, call->data.name.field, name);
  return 0;
}

long get_vhi_name(Call* call) {
  const char* name = name_of(call);
  if (!name) return -EINVAL;
  memcpy(call->data.name.name, name, abi::name_size);
  return 0;
}

long trap_uname(Call* call) {
  std::shared_ptr<Uts> uts = names_of_caller(*call);
  if (!uts) return run_it;
  return write_memory(call->tid, call->args[0], &uts->names, sizeof uts->names) ? 0 : -EFAULT;
}

long trap_set_name(Call* call) {
  look_up_caller(call);
  std::shared_ptr<Uts> uts = names_of_caller(*call);
  bool guest = call->xid >= abi::first_xid;
  if (!guest && !uts) return run_it;
  if (!may_set_names(*call)) return -EPERM;
  auto size = static_cast<int32_t>(call->args[1]);
  if (size < 0 || static_cast<size_t>(size) > longest_name) return -EINVAL;
  char name[abi::name_size] = {};
  if (size && !read_memory(call->tid, call->args[0], name, static_cast<size_t>(size))) return -EFAULT;
  // A guest that shares the host's namespace would rename this machine; it is told that it did.
  if (!uts) return 0;
  uint32_t field = call->number == SYS_sethostname ? nodename : domainname;
  memcpy(field_of(uts.get(), field), name, sizeof name);
  tell_kernel(*uts, field, name);
  return 0;
}
