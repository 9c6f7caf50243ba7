#pragma once

#include <linux/seccomp.h>
#include <sys/types.h>
#include <climits>
#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "abi.h"

struct Context;
using ContextPtr = std::shared_ptr<Context>;
class Injection;
struct Command;

// What a handler returns besides a result (>= 0) and an error (-errno).
constexpr long run_it = LONG_MIN;        // the real kernel carries it out
constexpr long answered = LONG_MIN + 1;  // has an answer, will get one later, or nobody waits for one any more

// One trapped system call.
struct Call {
  explicit Call(const seccomp_notif& notif);
  Call(Call&&) noexcept;
  Call& operator=(Call&&) noexcept;
  ~Call();

  uint64_t notif;
  pid_t tid;
  int number;
  uint64_t args[6];
  uint64_t ip;  // of the instruction after the call

  uint32_t xid = 0;    // of the caller; filled in by look_up_caller()
  ContextPtr context;  // the caller's, null outside contexts

  // vserver(2) only.
  const Command* command = nullptr;
  uint32_t id = 0;
  abi::Data data{};
  bool has_data = false;
  ContextPtr target;

  std::unique_ptr<Injection> injection;  // while the caller is stopped
};

void look_up_caller(Call* call);

bool read_memory(pid_t tid, uint64_t at, void* to, size_t size);
bool write_memory(pid_t tid, uint64_t at, const void* from, size_t size);
// A path or name of at most `limit` bytes. False where it cannot be read or does not end.
bool read_string(pid_t tid, uint64_t at, size_t limit, std::string* text);

// The listener.
extern int listener;
bool still_waiting(uint64_t notif);
void answer(uint64_t notif, long result);
void let_run(uint64_t notif);
// Puts a descriptor into the caller: returns its number there or -errno. With `as_answer` it is the call's result too.
int give_descriptor(uint64_t notif, int fd, bool cloexec, bool as_answer);
