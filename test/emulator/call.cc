#include "call.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <cerrno>
#include <cstring>

#include "contexts.h"
#include "injection.h"

int listener = -1;

Call::Call(const seccomp_notif& from)
    : notif(from.id), tid(static_cast<pid_t>(from.pid)), number(from.data.nr), ip(from.data.instruction_pointer) {
  for (int i = 0; i < 6; i++) args[i] = from.data.args[i];
}
Call::Call(Call&&) noexcept = default;
Call& Call::operator=(Call&&) noexcept = default;
Call::~Call() = default;

void look_up_caller(Call* call) { call->xid = xid_of(call->tid, &call->context); }

bool read_memory(pid_t tid, uint64_t at, void* to, size_t size) {
  iovec local{to, size}, remote{reinterpret_cast<void*>(at), size};
  return process_vm_readv(tid, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size);
}

bool write_memory(pid_t tid, uint64_t at, const void* from, size_t size) {
  iovec local{const_cast<void*>(from), size}, remote{reinterpret_cast<void*>(at), size};
  return process_vm_writev(tid, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size);
}

bool read_string(pid_t tid, uint64_t at, size_t limit, std::string* text) {
  text->clear();
  char bytes[256];
  while (text->size() < limit) {
    // Not across a page's end: the next page need not be there.
    size_t size = std::min(sizeof bytes, 4096 - (at & 4095));
    if (!read_memory(tid, at, bytes, size)) return false;
    size_t used = strnlen(bytes, size);
    text->append(bytes, used);
    if (used < size) return text->size() <= limit;
    at += size;
  }
  return false;
}

bool still_waiting(uint64_t notif) { return ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &notif) == 0; }

// ENOENT from the listener in what follows: the caller was interrupted or has died, and nobody waits.
void answer(uint64_t notif, long result) {
  seccomp_notif_resp response{};
  response.id = notif;
  if (result < 0)
    response.error = static_cast<int>(result);
  else
    response.val = result;
  ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

void let_run(uint64_t notif) {
  seccomp_notif_resp response{};
  response.id = notif;
  response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

int give_descriptor(uint64_t notif, int fd, bool cloexec, bool as_answer) {
  seccomp_notif_addfd add{};
  add.id = notif;
  add.flags = as_answer ? SECCOMP_ADDFD_FLAG_SEND : 0;
  add.srcfd = static_cast<uint32_t>(fd);
  add.newfd_flags = cloexec ? O_CLOEXEC : 0;
  int there = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
  return there < 0 ? -errno : there;
}
