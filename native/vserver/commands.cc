#include "commands.h"

#include <unistd.h>
#include <cstring>

namespace vserver {

namespace {

template <typename Data>
Result call(const char* name, uint32_t cmd, uint32_t id, Data* data) {
  if constexpr (call_number < 0) {
    return failed(name, ENOSYS);
  } else {
    long value = syscall(call_number, cmd, id, data);
    return value < 0 ? failed(name) : ok(value);
  }
}

Result call(const char* name, uint32_t cmd, uint32_t id) { return call<void>(name, cmd, id, nullptr); }

Result call_with_word(const char* name, uint32_t cmd, uint32_t id, uint64_t value) {
  Word word{value};
  return call(name, cmd, id, &word);
}

}  // namespace

Result ctx_create(uint32_t xid, uint64_t flags) { return call_with_word("ctx_create", cmd_ctx_create, xid, flags); }
Result ctx_migrate(uint32_t xid, uint64_t flags) { return call_with_word("ctx_migrate", cmd_ctx_migrate, xid, flags); }
Result task_xid(pid_t pid) { return call("task_xid", cmd_task_xid, static_cast<uint32_t>(pid)); }
Result vx_info(uint32_t xid, VxInfo* info) { return call("vx_info", cmd_vx_info, xid, info); }
Result ctx_stat(uint32_t xid, CtxStat* stat) { return call("ctx_stat", cmd_ctx_stat, xid, stat); }
Result virt_stat(uint32_t xid, VirtStat* stat) { return call("virt_stat", cmd_virt_stat, xid, stat); }
Result set_bcaps(uint32_t xid, MaskedWord word) { return call("set_bcaps", cmd_set_bcaps, xid, &word); }
Result get_bcaps(uint32_t xid, MaskedWord* word) { return call("get_bcaps", cmd_get_bcaps, xid, word); }
Result set_ccaps(uint32_t xid, MaskedWord word) { return call("set_ccaps", cmd_set_ccaps, xid, &word); }
Result get_ccaps(uint32_t xid, MaskedWord* word) { return call("get_ccaps", cmd_get_ccaps, xid, word); }
Result set_cflags(uint32_t xid, MaskedWord word) { return call("set_cflags", cmd_set_cflags, xid, &word); }
Result get_cflags(uint32_t xid, MaskedWord* word) { return call("get_cflags", cmd_get_cflags, xid, word); }

Result set_vhi_name(uint32_t xid, uint32_t field, const char* name) {
  VhiName data{};
  size_t size = strlen(name);
  if (size >= name_size) return failed("set_vhi_name", EINVAL);
  data.field = field;
  memcpy(data.name, name, size);
  return call("set_vhi_name", cmd_set_vhi_name, xid, &data);
}

Result get_vhi_name(uint32_t xid, uint32_t field, char name[name_size]) {
  VhiName data{};
  data.field = field;
  Result result = call("get_vhi_name", cmd_get_vhi_name, xid, &data);
  memcpy(name, data.name, name_size);
  name[name_size - 1] = '\0';
  return result;
}

Result ctx_kill(uint32_t xid, pid_t pid, int sig) {
  CtxKill data{pid, sig};
  return call("ctx_kill", cmd_ctx_kill, xid, &data);
}

Result wait_exit(uint32_t xid, WaitExit* result) { return call("wait_exit", cmd_wait_exit, xid, result); }

Result get_version() { return call("get_version", cmd_get_version, 0); }
Result get_vci() { return call("get_vci", cmd_get_vci, 0); }

Result get_space_mask(uint64_t* mask) {
  Word word{};
  Result result = call("get_space_mask", cmd_get_space_mask, 0, &word);
  *mask = word.value;
  return result;
}

Result set_space(uint32_t xid, uint64_t mask) { return call_with_word("set_space", cmd_set_space, xid, mask); }

Result enter_space(uint32_t xid, uint64_t mask) {
  // Of a context without namespaces the kernel gives the caller none at all then, and dies of its next set_space.
  if (mask == 0) return failed("enter_space", EINVAL);
  return call_with_word("enter_space", cmd_enter_space, xid, mask);
}

}  // namespace vserver
