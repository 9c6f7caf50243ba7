#include "seccomp.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <cstddef>
#include <initializer_list>

namespace {

// A process may make calls by either of two tables of numbers: that of its machine and that of the machine's 32-bit
// ancestor. Both are refused alike, or the second would be the way around the first.
#if defined(__x86_64__)
constexpr uint32_t arches[] = {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386};
constexpr int native_column = 0, compat_column = 1;
#elif defined(__aarch64__)
constexpr uint32_t arches[] = {AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM};
constexpr int native_column = 2, compat_column = 3;
#else
constexpr uint32_t arches[] = {0, 0};  // no numbers, no filter
constexpr int native_column = -1, compat_column = -1;
#endif

constexpr int none = -1;

// What of a call is refused.
enum class Rule {
  always,       // EPERM
  guests,       // EPERM, but launchers make it
  terminal,     // ioctl(2): EPERM for input into a terminal
  namespaces,   // EPERM for CLONE_NEWUSER
  nice,         // success for a negative first argument
  set_priority  // success for a negative third argument
};

struct Call {
  const char* name;
  int numbers[4];  // x86_64, i386, arm64, arm: arch/*/entry/syscalls/*.tbl, asm-generic/unistd.h
  Rule rule = Rule::always;
};

constexpr Call listed[] = {
    // Another kernel, or code in this one. SYS_BOOT is in the safe set, for reboot(2) ends only the guest.
    {"kexec_load", {246, 283, 104, 347}},
    {"kexec_file_load", {320, none, 294, 401}},
    {"init_module", {175, 128, 105, 128}},
    {"finit_module", {313, 350, 273, 379}},
    {"delete_module", {176, 129, 106, 129}},
    {"bpf", {321, 357, 280, 386}},
    // Counts and samples the whole machine, and has been a way into the kernel time and again.
    {"perf_event_open", {298, 336, 241, 364}},
    // Keyrings belong to users, not to guests: uid 0 is the same one inside and outside.
    {"add_key", {248, 286, 217, 309}},
    {"request_key", {249, 287, 218, 310}},
    {"keyctl", {250, 288, 219, 311}, Rule::guests},
    // With DAC_READ_SEARCH, in the safe set too, it opens any file of a file system, whatever the root is.
    {"open_by_handle_at", {304, 342, 265, 371}},
    // Lets a process stop the kernel in the middle of a copy: what most exploits need and few programs do.
    {"userfaultfd", {323, 374, 282, 388}},
    // A second way to make most calls, which no filter sees, with a long list of holes of its own. Programs that use
    // it fall back to the plain calls.
    {"io_uring_setup", {425, 425, 425, 425}},
    {"io_uring_enter", {426, 426, 426, 426}},
    {"io_uring_register", {427, 427, 427, 427}},
    // Of the whole machine, or gone from the kernel since, but not from those of Linux-VServer.
    {"swapon", {167, 87, 224, 87}},
    {"swapoff", {168, 115, 225, 115}},
    {"acct", {163, 51, 89, 51}},
    {"iopl", {172, 110, none, none}},
    {"ioperm", {173, 101, none, none}},
    {"lookup_dcookie", {212, 253, 18, 249}},
    {"nfsservctl", {180, 169, 42, 169}},
    // Tells where kernel objects lie relative to each other.
    {"kcmp", {312, 349, 272, 378}},
    {"ioctl", {16, 54, 29, 54}, Rule::terminal},
    // Every capability over whatever is made inside: far more of the kernel than bcaps are meant to open.
    {"clone", {56, 120, 220, 120}, Rule::namespaces},
    {"unshare", {272, 310, 97, 337}, Rule::namespaces},
    {"nice", {none, 34, none, 34}, Rule::nice},
    {"setpriority", {141, 97, 140, 97}, Rule::set_priority},
};

// Its flags are in memory, where a filter cannot look. C libraries fall back to clone(2) on ENOSYS.
constexpr uint32_t clone3_number = 435;  // on every architecture

constexpr uint32_t x32_bit = 0x40000000;
constexpr uint32_t skipped = ~uint32_t{0};  // a tracer has put this in place of the number; it is no call

// ioctl(2) takes 32 bits of its second argument. They type, and paste, into a terminal that another process reads.
constexpr uint32_t tiocsti = 0x5412, tioclinux = 0x541c;
constexpr uint32_t clone_newuser = 0x10000000;
constexpr uint32_t sign_bit = 0x80000000;

constexpr uint32_t eperm = SECCOMP_RET_ERRNO | EPERM;
constexpr uint32_t success = SECCOMP_RET_ERRNO | 0;
constexpr uint32_t enosys = SECCOMP_RET_ERRNO | ENOSYS;

// The low half of an argument.
constexpr uint32_t argument(unsigned i) {
  uint32_t low = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : 4;
  return static_cast<uint32_t>(offsetof(seccomp_data, args)) + 8 * i + low;
}

// Classic BPF, from top to bottom. Jumps are only ever over the next few instructions.
class Program {
 public:
  void load(size_t offset) { add(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }
  void answer(uint32_t action) { add(BPF_RET | BPF_K, action); }
  // The next `count` instructions are for words where `test` (BPF_JEQ, BPF_JGE, BPF_JSET) holds.
  void when(uint16_t test, uint32_t value, uint8_t count = 1) { add(BPF_JMP | test | BPF_K, value, 0, count); }
  void unless_equal(uint32_t value, uint8_t count = 1) { add(BPF_JMP | BPF_JEQ | BPF_K, value, count, 0); }

  Failed install() {
    if (size == room) return {E2BIG, "seccomp", ""};
    sock_fprog program{static_cast<unsigned short>(size), code};
    // Without no_new_privs, which would break every setuid program of a guest; SYS_ADMIN allows that (seccomp(2)).
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0) return {errno, "seccomp", ""};
    return {};
  }

  unsigned position() const { return size; }
  // Makes the test at `at`, which skips nothing yet, skip what has been added since.
  void skip_from(unsigned at) { code[at].jf = static_cast<uint8_t>(size - at - 1); }

 private:
  static constexpr unsigned room = 256;  // no jump within is too far for its 8 bits
  sock_filter code[room] = {};
  unsigned size = 0;

  void add(unsigned operation, uint32_t value, uint8_t if_true = 0, uint8_t if_false = 0) {
    if (size < room) code[size++] = {static_cast<uint16_t>(operation), if_true, if_false, value};
  }
};

// The number is loaded.
void refuse_plain(Program* p, int column, Rule rule) {
  for (const Call& call : listed) {
    if (call.rule != rule || call.numbers[column] == none) continue;
    p->when(BPF_JEQ, static_cast<uint32_t>(call.numbers[column]));
    p->answer(eperm);
  }
}

// The number is loaded. Each ends with an answer, for it is not loaded any more then.
void refuse_input(Program* p, int column) {
  for (const Call& call : listed) {
    if (call.rule != Rule::terminal) continue;
    unsigned start = p->position();
    p->when(BPF_JEQ, static_cast<uint32_t>(call.numbers[column]), 0);
    p->load(argument(1));
    for (uint32_t request : {tiocsti, tioclinux}) {
      p->when(BPF_JEQ, request);
      p->answer(eperm);
    }
    p->answer(SECCOMP_RET_ALLOW);
    p->skip_from(start);
  }
}

void refuse_newuser(Program* p, int column) {
  for (const Call& call : listed) {
    if (call.rule != Rule::namespaces) continue;
    unsigned start = p->position();
    p->when(BPF_JEQ, static_cast<uint32_t>(call.numbers[column]), 0);
    p->load(argument(0));
    p->when(BPF_JSET, clone_newuser);
    p->answer(eperm);
    p->answer(SECCOMP_RET_ALLOW);
    p->skip_from(start);
  }
}

void add_calls(Program* p, int column) {
  if (arches[0] == AUDIT_ARCH_X86_64 && column == native_column) {
    // x32: the same calls once more, by numbers and structures of its own.
    p->unless_equal(skipped, 2);
    p->when(BPF_JGE, x32_bit);
    p->answer(enosys);
  }
  refuse_plain(p, column, Rule::always);
  refuse_input(p, column);
}

void add_guests(Program* p, int column) { refuse_plain(p, column, Rule::guests); }

void add_guests_and_namespaces(Program* p, int column) {
  add_guests(p, column);
  p->when(BPF_JEQ, clone3_number);
  p->answer(enosys);
  refuse_newuser(p, column);
}

// The number is loaded.
void ignore_negative(Program* p, int column) {
  for (const Call& call : listed) {
    if ((call.rule != Rule::nice && call.rule != Rule::set_priority) || call.numbers[column] == none) continue;
    unsigned start = p->position();
    p->when(BPF_JEQ, static_cast<uint32_t>(call.numbers[column]), 0);
    p->load(argument(call.rule == Rule::nice ? 0 : 2));
    p->when(BPF_JSET, sign_bit);
    p->answer(success);
    p->answer(SECCOMP_RET_ALLOW);
    p->skip_from(start);
  }
}

// One part for each table of numbers, and none for a machine without them.
Failed install(void (*add)(Program*, int column)) {
  if (native_column < 0) return {};
  Program program;
  const int columns[] = {native_column, compat_column};
  for (int i = 0; i < 2; i++) {
    program.load(offsetof(seccomp_data, arch));
    unsigned start = program.position();
    program.when(BPF_JEQ, arches[i], 0);
    program.load(offsetof(seccomp_data, nr));
    add(&program, columns[i]);
    program.answer(SECCOMP_RET_ALLOW);
    program.skip_from(start);
  }
  program.answer(enosys);
  return program.install();
}

}  // namespace

Failed refuse_system_calls() { return install(add_calls); }

Failed refuse_guests_calls(bool has_sys_admin) {
  return install(has_sys_admin ? add_guests : add_guests_and_namespaces);
}

Failed ignore_negative_nice(bool has_sys_nice) { return has_sys_nice ? Failed{} : install(ignore_negative); }
