// The call interface of a Linux-VServer kernel as this program sees it. Written a second time on purpose: definitions
// shared with the program under test would be wrong on both sides at once.
#pragma once

#include <cstddef>
#include <cstdint>

namespace abi {

constexpr int vserver_call = 236;  // x86_64

constexpr uint32_t first_xid = 2, last_xid = 65535, spectator = 1;

// Context flags.
constexpr uint64_t INFO_PRIVATE = 1ULL << 3, INFO_INIT = 1ULL << 4, HIDE_VINFO = 1ULL << 26;
constexpr uint64_t STATE_SETUP = 1ULL << 32, STATE_INIT = 1ULL << 33, STATE_ADMIN = 1ULL << 34;
constexpr uint64_t SC_HELPER = 1ULL << 36, REBOOT_KILL = 1ULL << 37, PERSISTENT = 1ULL << 38;
constexpr uint64_t ONE_TIME = STATE_SETUP | STATE_INIT | STATE_ADMIN;

constexpr uint64_t SET_UTSNAME = 1;   // context capability
constexpr uint64_t MIGRATE_INIT = 1;  // ctx_migrate: become its init; the reaper bit has no visible effect
constexpr int SYS_BOOT = 22, SYS_ADMIN = 21, SYS_RESOURCE = 24, KILL = 5, CONTEXT = 63;  // capabilities
constexpr uint64_t WITH_FS = 0x200;                                                      // CLONE_FS in a space mask
constexpr uint64_t space_mask = 0x7c020200;
constexpr uint32_t vci = 0x10001f01;

constexpr uint32_t name_fields = 7;  // 0 is the context's label, 1 to 6 are those of uname(2), in its order
constexpr size_t name_size = 65;

struct VxInfo {
  uint32_t xid, initpid;
};
struct CtxStat {
  uint32_t usecnt, tasks;
};
struct VirtStat {
  uint64_t offset, uptime;
  uint32_t nr_threads, nr_running, nr_uninterruptible, nr_onhold, nr_forks, load[3];
};
struct Word {  // ctx_create, ctx_migrate, the spaces
  uint64_t word;
};
struct Masked {  // flags and capabilities
  uint64_t value, mask;
};
struct VhiName {
  uint32_t field;
  char name[name_size];
};
struct CtxKill {
  int32_t pid, sig;
};
struct WaitExit {
  int32_t reboot_cmd, exit_code;
};

union Data {
  VxInfo info;
  CtxStat stat;
  VirtStat virt;
  Word word;
  Masked masked;
  VhiName name;
  CtxKill kill;
  WaitExit wait;
};

}  // namespace abi
