#include "exits.h"

#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <cerrno>
#include <cstring>
#include <unordered_map>

#include "fd.h"
#include "proc.h"

namespace {

constexpr int receive_buffer = 16 << 20;

Fd events;
std::unordered_map<pid_t, ContextPtr> tracked;

void see_fork(const proc_event& event) {
  if (!any_contexts()) return;
  pid_t child = event.event_data.fork.child_pid, leader = event.event_data.fork.child_tgid;
  // The kernel names the new task's parent, which with CLONE_PARENT or CLONE_THREAD is not who called fork.
  ContextPtr context;
  if (xid_of(child, &context) == 0 && has_ended(child)) {
    auto found = tracked.find(child == leader ? event.event_data.fork.parent_pid : leader);
    if (found != tracked.end()) context = found->second;
  }
  if (!context) return;
  context->forks++;
  track(child, context);
}

void see_exit(const proc_event& event) {
  pid_t pid = event.event_data.exit.process_pid;
  auto found = tracked.find(pid);
  if (found == tracked.end()) return;
  ContextPtr context = found->second;
  tracked.erase(found);
  context->exit_code = static_cast<int>(event.event_data.exit.exit_code);
  if (context->init == pid) context->init = 0;
  // The kernel tells of an empty cgroup at most every 10 ms.
  if (--context->tracked == 0) check_context(context);
}

// Some events were lost: forget the tasks that are no more.
void resynchronise() {
  for (auto at = tracked.begin(); at != tracked.end();) {
    if (has_ended(at->first)) {
      at->second->tracked--;
      at = tracked.erase(at);
    } else {
      ++at;
    }
  }
}

}  // namespace

std::string start_exits() {
  events.reset(socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = CN_IDX_PROC;
  if (!events || bind(events.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
    return std::string("process events: ") + strerror(errno);
  setsockopt(events.get(), SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer, sizeof receive_buffer);

  struct {
    nlmsghdr header;
    alignas(4) unsigned char message[sizeof(cn_msg) + sizeof(uint32_t)];
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = NLMSG_DONE;
  cn_msg message{};
  message.id = {CN_IDX_PROC, CN_VAL_PROC};
  message.len = sizeof(uint32_t);
  uint32_t listen = PROC_CN_MCAST_LISTEN;
  memcpy(request.message, &message, sizeof message);
  memcpy(request.message + sizeof message, &listen, sizeof listen);
  if (send(events.get(), &request, sizeof request, 0) < 0) return std::string("process events: ") + strerror(errno);
  return "";
}

int exits_fd() { return events.get(); }

void read_exits() {
  alignas(nlmsghdr) char bytes[4096];
  while (true) {
    ssize_t n = recv(events.get(), bytes, sizeof bytes, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == ENOBUFS) {
      resynchronise();
      continue;
    }
    if (n < 0) return;
    constexpr size_t start = NLMSG_HDRLEN + sizeof(cn_msg);
    if (static_cast<size_t>(n) < start + offsetof(proc_event, event_data)) continue;
    proc_event event{};
    memcpy(&event, bytes + start, std::min(sizeof event, static_cast<size_t>(n) - start));
    if (event.what == proc_event::PROC_EVENT_FORK) see_fork(event);
    if (event.what == proc_event::PROC_EVENT_EXIT) see_exit(event);
  }
}

void track(pid_t tid, const ContextPtr& context) {
  auto found = tracked.find(tid);
  if (found != tracked.end()) {
    found->second->tracked--;
    tracked.erase(found);
  }
  if (!context) return;
  context->tracked++;
  tracked[tid] = context;
}

void forget_tracked(const ContextPtr& context) {
  if (context->tracked == 0) return;
  for (auto at = tracked.begin(); at != tracked.end();) at = at->second == context ? tracked.erase(at) : std::next(at);
  context->tracked = 0;
}
