#include "forks.h"

#include <linux/bpf.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <cstdlib>
#include <cstring>

#include "../fd.h"
#include "attributes.h"

namespace {

constexpr char program_name[] = "contextd_forks";  // another one when the program or its maps change
constexpr char link_attribute[] = "trusted.contextd.forks";
constexpr uint32_t max_counted = 16384;  // allocated at once: a tracing program may not make the kernel allocate

Result call(bpf_cmd command, bpf_attr* attr) {
  long value = syscall(SYS_bpf, command, attr, sizeof *attr);
  return value < 0 ? failed("bpf") : ok(value);
}

uint64_t pointer(const void* at) { return reinterpret_cast<uintptr_t>(at); }

// The few instructions that are needed, named like the kernel's own macros for them (include/linux/filter.h).
constexpr bpf_insn insn(int code, int dst, int src, int16_t off, int32_t imm) {
  return {static_cast<uint8_t>(code), static_cast<uint8_t>(dst & 15), static_cast<uint8_t>(src & 15), off, imm};
}
constexpr bpf_insn mov_imm(int dst, int32_t imm) { return insn(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm); }
constexpr bpf_insn mov_reg(int dst, int src) { return insn(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0); }
constexpr bpf_insn add_imm(int dst, int32_t imm) { return insn(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, imm); }
constexpr bpf_insn load32(int dst, int src) { return insn(BPF_LDX | BPF_MEM | BPF_W, dst, src, 0, 0); }
constexpr bpf_insn store32(int src, int16_t at) { return insn(BPF_STX | BPF_MEM | BPF_W, BPF_REG_10, src, at, 0); }
constexpr bpf_insn store64(int src, int16_t at) { return insn(BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, src, at, 0); }
constexpr bpf_insn jump_if_0(int dst, int16_t by) { return insn(BPF_JMP | BPF_JEQ | BPF_K, dst, 0, by, 0); }
// BPF_ATOMIC with BPF_ADD, by its name of before 5.12.
constexpr bpf_insn atomic_add64(int dst, int src) { return insn(BPF_STX | BPF_XADD | BPF_DW, dst, src, 0, 0); }
constexpr bpf_insn call_helper(int32_t function) { return insn(BPF_JMP | BPF_CALL, 0, 0, 0, function); }
constexpr bpf_insn leave() { return insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0); }
// A 64-bit constant takes two instructions.
constexpr bpf_insn low(int dst, int kind, uint64_t value) {
  return insn(BPF_LD | BPF_DW | BPF_IMM, dst, kind, 0, static_cast<int32_t>(value));
}
constexpr bpf_insn high(uint64_t value) { return insn(0, 0, 0, 0, static_cast<int32_t>(value >> 32)); }

// As the kernel has it inside; stat(2) has another encoding.
uint64_t kernel_dev(dev_t dev) { return uint64_t{major(dev)} << 20 | minor(dev); }

Result load_program(const ForkCounter& counter, uint32_t level) {
  struct stat ours;
  if (stat("/proc/self/ns/pid", &ours) < 0) return failed("stat");
  uint64_t dev = kernel_dev(ours.st_dev), ino = ours.st_ino;
  auto fd = [](int number) { return static_cast<uint64_t>(number); };
  constexpr int16_t cgroup_at = -8, ids_at = -16, slot_at = -20;
  constexpr int16_t end = 28;  // where jumps lead; they count from the instruction that follows them
  const bpf_insn program[] = {
      // The caller's ancestor at the depth of contexts: a context's cgroup, or something else that is not in the map.
      mov_imm(BPF_REG_1, static_cast<int32_t>(level)),
      call_helper(BPF_FUNC_get_current_ancestor_cgroup_id),
      store64(BPF_REG_0, cgroup_at),
      low(BPF_REG_1, BPF_PSEUDO_MAP_FD, fd(counter.slots)),
      high(0),
      mov_reg(BPF_REG_2, BPF_REG_10),
      add_imm(BPF_REG_2, cgroup_at),
      call_helper(BPF_FUNC_map_lookup_elem),
      jump_if_0(BPF_REG_0, end - 9),
      load32(BPF_REG_1, BPF_REG_0),
      store32(BPF_REG_1, slot_at),
      // A launcher that joins is in the cgroup, but still in our own PID namespace: what it forks is no guest's fork.
      low(BPF_REG_1, 0, dev),
      high(dev),
      low(BPF_REG_2, 0, ino),
      high(ino),
      mov_reg(BPF_REG_3, BPF_REG_10),
      add_imm(BPF_REG_3, ids_at),
      mov_imm(BPF_REG_4, sizeof(bpf_pidns_info)),
      call_helper(BPF_FUNC_get_ns_current_pid_tgid),
      jump_if_0(BPF_REG_0, end - 20),
      low(BPF_REG_1, BPF_PSEUDO_MAP_FD, fd(counter.counters)),
      high(0),
      mov_reg(BPF_REG_2, BPF_REG_10),
      add_imm(BPF_REG_2, slot_at),
      call_helper(BPF_FUNC_map_lookup_elem),
      jump_if_0(BPF_REG_0, end - 26),
      mov_imm(BPF_REG_1, 1),
      atomic_add64(BPF_REG_0, BPF_REG_1),
      mov_imm(BPF_REG_0, 0),
      leave(),
  };
  static_assert(sizeof program / sizeof *program == end + 2);
  bpf_attr attr{};
  attr.prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT;
  attr.insns = pointer(program);
  attr.insn_cnt = sizeof program / sizeof *program;
  attr.license = pointer("MIT");
  strcpy(attr.prog_name, program_name);
  return call(BPF_PROG_LOAD, &attr);
}

Result make_map(bpf_map_type type, uint32_t key_size, uint32_t value_size, uint32_t entries, uint32_t flags) {
  bpf_attr attr{};
  attr.map_type = type;
  attr.key_size = key_size;
  attr.value_size = value_size;
  attr.max_entries = entries;
  attr.map_flags = flags;
  strcpy(attr.map_name, program_name);
  return call(BPF_MAP_CREATE, &attr);
}

Result make(uint32_t level, ForkCounter* counter) {
  Result made = make_map(BPF_MAP_TYPE_HASH, sizeof(uint64_t), sizeof(uint32_t), max_counted, 0);
  if (made.code) return made;
  Fd slots(static_cast<int>(made.value));
  made = make_map(BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), sizeof(uint64_t), FORK_SLOTS, BPF_F_MMAPABLE);
  if (made.code) return made;
  Fd counters(static_cast<int>(made.value));
  made = load_program({-1, slots.get(), counters.get()}, level);
  if (made.code) return made;
  Fd program(static_cast<int>(made.value));
  bpf_attr attr{};
  attr.raw_tracepoint.name = pointer("sched_process_fork");
  attr.raw_tracepoint.prog_fd = static_cast<uint32_t>(program.get());
  made = call(BPF_RAW_TRACEPOINT_OPEN, &attr);
  if (made.code) return made;
  *counter = {static_cast<int>(made.value), slots.release(), counters.release()};
  return ok();
}

Result by_id(bpf_cmd command, uint32_t id) {
  bpf_attr attr{};
  attr.link_id = id;  // in the place of map_id and prog_id
  return call(command, &attr);
}

template <typename Info>
Result info_of(int fd, Info* info) {
  bpf_attr attr{};
  attr.info.bpf_fd = static_cast<uint32_t>(fd);
  attr.info.info_len = sizeof *info;
  attr.info.info = pointer(info);
  return call(BPF_OBJ_GET_INFO_BY_FD, &attr);
}

// Numbers are given again when what had one is gone: nothing is believed that does not look like ours.
Result take_over(uint32_t link_id, ForkCounter* counter) {
  Result opened = by_id(BPF_LINK_GET_FD_BY_ID, link_id);
  if (opened.code) return opened;
  Fd link(static_cast<int>(opened.value));
  bpf_link_info link_info{};
  if (Result r = info_of(link.get(), &link_info); r.code) return r;
  if (link_info.type != BPF_LINK_TYPE_RAW_TRACEPOINT) return failed("bpf", ENOENT);
  opened = by_id(BPF_PROG_GET_FD_BY_ID, link_info.prog_id);
  if (opened.code) return opened;
  Fd program(static_cast<int>(opened.value));
  constexpr uint32_t maps = 2;
  uint32_t map_ids[maps] = {};
  bpf_prog_info program_info{};
  program_info.nr_map_ids = maps;
  program_info.map_ids = pointer(map_ids);
  if (Result r = info_of(program.get(), &program_info); r.code) return r;
  if (strcmp(program_info.name, program_name) != 0 || program_info.nr_map_ids != maps) return failed("bpf", ENOENT);
  Fd slots, counters;
  for (uint32_t id : map_ids) {
    opened = by_id(BPF_MAP_GET_FD_BY_ID, id);
    if (opened.code) return opened;
    Fd map(static_cast<int>(opened.value));
    bpf_map_info map_info{};
    if (Result r = info_of(map.get(), &map_info); r.code) return r;
    (map_info.type == BPF_MAP_TYPE_HASH ? slots : counters) = std::move(map);
  }
  if (!slots.valid() || !counters.valid()) return failed("bpf", ENOENT);
  *counter = {link.release(), slots.release(), counters.release()};
  return ok();
}

bool in_initial_cgroup_namespace() {
  constexpr ino_t initial = 0xEFFFFFFB;  // linux/proc_ns.h, PROC_CGROUP_INIT_INO
  struct stat info;
  return stat("/proc/self/ns/cgroup", &info) == 0 && info.st_ino == initial;
}

Result id_of(const std::string& cgroup, uint64_t* key) {
  struct stat info;
  if (stat(cgroup.c_str(), &info) < 0) return failed("stat");
  *key = info.st_ino;  // kernfs: where inode numbers have 64 bits they are the ids
  return ok();
}

Result update(int map, const void* key, const void* value) {
  bpf_attr attr{};
  attr.map_fd = static_cast<uint32_t>(map);
  attr.key = pointer(key);
  attr.value = pointer(value);
  return call(BPF_MAP_UPDATE_ELEM, &attr);
}

Result look_up(int map, const void* key, void* value) {
  bpf_attr attr{};
  attr.map_fd = static_cast<uint32_t>(map);
  attr.key = pointer(key);
  attr.value = pointer(value);
  return call(BPF_MAP_LOOKUP_ELEM, &attr);
}

}  // namespace

Result open_fork_counter(const std::string& contexts, uint32_t level, ForkCounter* counter) {
  if (!in_initial_cgroup_namespace()) return failed("bpf", ENOTSUP);
  std::string link_id;
  bool found = false;
  Result read = get_attribute(contexts, link_attribute, &link_id, &found);
  if (read.code) return read;
  if (found && take_over(static_cast<uint32_t>(strtoul(link_id.c_str(), nullptr, 10)), counter).code == 0) return ok();
  Result made = make(level, counter);
  if (made.code) return made;
  bpf_link_info info{};
  Result told = info_of(counter->link, &info);
  if (!told.code) told = set_attribute(contexts, link_attribute, std::to_string(info.id));
  if (told.code)
    for (int fd : {counter->link, counter->slots, counter->counters}) close(fd);
  return told;
}

Result count_forks(const ForkCounter& counter, const std::string& cgroup, uint32_t slot, uint64_t base, uint64_t* key) {
  if (Result r = id_of(cgroup, key); r.code) return r;
  if (Result r = update(counter.counters, &slot, &base); r.code) return r;
  return update(counter.slots, key, &slot);
}

Result find_forks(const ForkCounter& counter, const std::string& cgroup, uint64_t* key) {
  if (Result r = id_of(cgroup, key); r.code) return r;
  uint32_t slot;
  Result found = look_up(counter.slots, key, &slot);
  if (found.code == ENOENT) return ok(0);
  return found.code ? found : ok(1);
}

Result read_forks(const ForkCounter& counter, uint32_t slot, uint64_t* forks) {
  return look_up(counter.counters, &slot, forks);
}

Result forget_forks(const ForkCounter& counter, uint64_t key) {
  bpf_attr attr{};
  attr.map_fd = static_cast<uint32_t>(counter.slots);
  attr.key = pointer(&key);
  Result gone = call(BPF_MAP_DELETE_ELEM, &attr);
  return gone.code == ENOENT ? ok() : gone;
}

Result list_forks(const ForkCounter& counter, std::vector<uint64_t>* keys) {
  uint64_t key, next;
  for (bool first = true;; first = false) {
    bpf_attr attr{};
    attr.map_fd = static_cast<uint32_t>(counter.slots);
    attr.key = first ? 0 : pointer(&key);
    attr.next_key = pointer(&next);
    Result read = call(BPF_MAP_GET_NEXT_KEY, &attr);
    if (read.code == ENOENT) return ok();
    if (read.code) return read;
    keys->push_back(key = next);
  }
}
