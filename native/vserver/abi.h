// vserver(2), the Linux-VServer system call: its number, its commands and their data. Source: the public headers of
// Linux-VServer 2.2 and 2.3 (linux/vserver/*.h), libvserver's vserver.h.
//   long vserver(uint32_t command, uint32_t id, void* data)
#pragma once
#include <cstddef>
#include <cstdint>

namespace vserver {

// System call numbers by machine, as uname(2) and Debian name it. Architectures with the generic table (arm64, riscv64,
// loongarch64) never got a number: another call may have it there, so it must not be made at all.
struct Machine {
  const char* name;
  int number;
};
constexpr Machine machines[] = {{"x86_64", 236},  {"i386", 273},   {"arm", 313},      {"ppc", 257},
                                {"ppc64", 257},   {"s390", 263},   {"s390x", 263},    {"sparc", 267},
                                {"sparc64", 267}, {"parisc", 263}, {"parisc64", 263}, {"alpha", 428},
                                {"ia64", 1269},   {"mips", 4277},  {"mips64", 5236},  {"mipsn32", 6240}};

constexpr bool same(const char* a, const char* b) { return *a == *b && (*a == '\0' || same(a + 1, b + 1)); }

// The number on that machine, or -1.
constexpr int number_on(const char* machine) {
  for (const Machine& m : machines)
    if (same(m.name, machine)) return m.number;
  return -1;
}

// VSERVER_MACHINE stands in for another machine in a test of this table.
#if defined(VSERVER_MACHINE)
constexpr const char* this_machine = VSERVER_MACHINE;
#elif defined(__x86_64__) && !defined(__ILP32__)
constexpr const char* this_machine = "x86_64";
#elif defined(__i386__)
constexpr const char* this_machine = "i386";
#elif defined(__arm__)
constexpr const char* this_machine = "arm";
#elif defined(__powerpc__)
constexpr const char* this_machine = "ppc";
#elif defined(__s390__)
constexpr const char* this_machine = "s390";
#elif defined(__sparc__)
constexpr const char* this_machine = "sparc";
#elif defined(__hppa__)
constexpr const char* this_machine = "parisc";
#elif defined(__alpha__)
constexpr const char* this_machine = "alpha";
#elif defined(__ia64__)
constexpr const char* this_machine = "ia64";
#elif defined(__mips__) && _MIPS_SIM == _ABIO32
constexpr const char* this_machine = "mips";
#elif defined(__mips__) && _MIPS_SIM == _ABI64
constexpr const char* this_machine = "mips64";
#elif defined(__mips__) && _MIPS_SIM == _ABIN32
constexpr const char* this_machine = "mipsn32";
#else
constexpr const char* this_machine = "one without the call";
#endif
constexpr int call_number = number_on(this_machine);

constexpr uint32_t command(uint32_t category, uint32_t index, uint32_t version) {
  return (category & 0x3f) << 24 | (index & 0xff) << 16 | (version & 0xfff);
}

constexpr uint32_t cmd_get_version = command(0, 0, 0);
constexpr uint32_t cmd_get_vci = command(0, 1, 0);
constexpr uint32_t cmd_set_vhi_name = command(2, 1, 0);
constexpr uint32_t cmd_get_vhi_name = command(2, 2, 0);
constexpr uint32_t cmd_ctx_create = command(9, 1, 1);
constexpr uint32_t cmd_enter_space = command(10, 1, 1);
constexpr uint32_t cmd_set_space = command(10, 3, 1);
constexpr uint32_t cmd_ctx_migrate = command(11, 1, 1);
constexpr uint32_t cmd_ctx_kill = command(12, 1, 0);
constexpr uint32_t cmd_ctx_stat = command(40, 0, 0);
constexpr uint32_t cmd_virt_stat = command(40, 3, 0);
constexpr uint32_t cmd_task_xid = command(46, 1, 0);
constexpr uint32_t cmd_vx_info = command(46, 5, 0);
constexpr uint32_t cmd_wait_exit = command(48, 99, 0);
constexpr uint32_t cmd_get_cflags = command(52, 1, 0);
constexpr uint32_t cmd_set_cflags = command(52, 2, 0);
constexpr uint32_t cmd_get_ccaps = command(52, 3, 1);
constexpr uint32_t cmd_set_ccaps = command(52, 4, 1);
constexpr uint32_t cmd_get_bcaps = command(52, 9, 0);
constexpr uint32_t cmd_set_bcaps = command(52, 10, 0);
constexpr uint32_t cmd_get_space_mask = command(54, 0, 1);
static_assert(cmd_ctx_create == 0x09010001 && cmd_wait_exit == 0x30630000 && cmd_set_bcaps == 0x340a0000);

// Data of the commands, with the architecture's natural alignment.
struct VxInfo {
  uint32_t xid;
  uint32_t initpid;
};
static_assert(sizeof(VxInfo) == 8 && offsetof(VxInfo, initpid) == 4);

struct CtxStat {
  uint32_t usecnt;
  uint32_t tasks;
};
static_assert(sizeof(CtxStat) == 8 && offsetof(CtxStat, tasks) == 4);

struct VirtStat {
  uint64_t offset;  // ns
  uint64_t uptime;  // ns
  uint32_t nr_threads;
  uint32_t nr_running;
  uint32_t nr_uninterruptible;
  uint32_t nr_onhold;
  uint32_t nr_forks;
  uint32_t load[3];  // fixed point, 11 fractional bits
};
static_assert(sizeof(VirtStat) == 48 && offsetof(VirtStat, uptime) == 8 && offsetof(VirtStat, nr_threads) == 16 &&
              offsetof(VirtStat, nr_running) == 20 && offsetof(VirtStat, nr_uninterruptible) == 24 &&
              offsetof(VirtStat, nr_onhold) == 28 && offsetof(VirtStat, nr_forks) == 32 &&
              offsetof(VirtStat, load) == 36);

// ctx_create, ctx_migrate, set_space, enter_space, get_space_mask.
struct Word {
  uint64_t value;
};
static_assert(sizeof(Word) == 8);

// Flags, ccaps and bcaps alike.
struct MaskedWord {
  uint64_t word;
  uint64_t mask;
};
static_assert(sizeof(MaskedWord) == 16 && offsetof(MaskedWord, mask) == 8);

constexpr size_t name_size = 65;  // __NEW_UTS_LEN and a terminator, which the kernel neither writes nor asks for
struct VhiName {
  uint32_t field;
  char name[name_size];
};
static_assert(sizeof(VhiName) == 72 && offsetof(VhiName, name) == 4);

struct CtxKill {
  int32_t pid;
  int32_t sig;
};
static_assert(sizeof(CtxKill) == 8 && offsetof(CtxKill, sig) == 4);

struct WaitExit {
  int32_t reboot_cmd;
  int32_t exit_code;
};
static_assert(sizeof(WaitExit) == 8 && offsetof(WaitExit, exit_code) == 4);

}  // namespace vserver
