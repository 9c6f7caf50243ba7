#include "injection.h"

#include <sys/ptrace.h>
#include <sys/wait.h>
#include <cerrno>
#include <csignal>
#include <cstring>

pid_t command_pid = 0;
int command_status = 0;
bool command_ended = false;

namespace {

constexpr int restart_call = 512;  // ERESTARTSYS, which only a tracer sees
constexpr uint64_t all_but_trap = ~(1ULL << (SIGTRAP - 1));
const auto no_address = static_cast<void*>(nullptr);

void* as_pointer(uint64_t value) { return reinterpret_cast<void*>(value); }

// False when the task has ended instead.
bool wait_for_stop(pid_t tid, int* status) {
  while (waitpid(tid, status, __WALL) < 0)
    if (errno != EINTR) return false;
  if (WIFSTOPPED(*status)) return true;
  if (tid == command_pid) {
    command_status = *status;
    command_ended = true;
  }
  return false;
}

}  // namespace

std::unique_ptr<Injection> Injection::begin(const Call& call) {
  pid_t tid = call.tid;
  if (!still_waiting(call.notif)) return nullptr;
  if (ptrace(PTRACE_SEIZE, tid, no_address, as_pointer(PTRACE_O_TRACESYSGOOD)) < 0) return nullptr;
  std::unique_ptr<Injection> injection(new Injection);
  injection->tid_ = tid;
  int status = 0;
  // From here the notification is no more; the caller's own call is "interrupted" and must be given a result.
  ptrace(PTRACE_INTERRUPT, tid, no_address, no_address);
  while (true) {
    if (!wait_for_stop(tid, &status)) return nullptr;
    if (status >> 16 == PTRACE_EVENT_STOP) break;
    ptrace(PTRACE_CONT, tid, no_address, as_pointer(static_cast<uint64_t>(WSTOPSIG(status))));
  }
  injection->stopped_ = true;
  ptrace(PTRACE_GETREGS, tid, no_address, &injection->regs_);
  ptrace(static_cast<__ptrace_request>(PTRACE_GETSIGMASK), tid, as_pointer(sizeof injection->signals_),
         &injection->signals_);
  const user_regs_struct& regs = injection->regs_;
  bool in_call = static_cast<long>(regs.orig_rax) == call.number && static_cast<long>(regs.rax) == -restart_call &&
                 regs.rip == call.ip;
  if (!in_call) {
    injection->detach();
    return nullptr;
  }
  // Signals wait: none is delivered between the calls that are made in the caller's name.
  uint64_t mask = all_but_trap;
  ptrace(static_cast<__ptrace_request>(PTRACE_SETSIGMASK), tid, as_pointer(sizeof mask), &mask);
  return injection;
}

Injection::~Injection() {
  if (stopped_) finish(-EINTR);
}

void Injection::detach() {
  if (stopped_) ptrace(PTRACE_DETACH, tid_, no_address, no_address);
  stopped_ = false;
}

bool Injection::resume_until_call_stop() {
  while (true) {
    int status = 0;
    if (ptrace(PTRACE_SYSCALL, tid_, no_address, no_address) < 0 || !wait_for_stop(tid_, &status)) {
      stopped_ = false;
      return false;
    }
    if (WSTOPSIG(status) == (SIGTRAP | 0x80)) return true;
  }
}

long Injection::run(long number, uint64_t a, uint64_t b, uint64_t c) {
  if (!stopped_) return -ESRCH;
  user_regs_struct regs = regs_;
  regs.rip -= 2;  // back onto the caller's own `syscall` instruction
  regs.orig_rax = ~0ULL;
  regs.rax = static_cast<uint64_t>(number);
  regs.rdi = a;
  regs.rsi = b;
  regs.rdx = c;
  regs.r10 = regs.r8 = regs.r9 = 0;
  if (ptrace(PTRACE_SETREGS, tid_, no_address, &regs) < 0) return -ESRCH;
  if (!resume_until_call_stop() || !resume_until_call_stop()) return -ESRCH;
  ptrace(PTRACE_GETREGS, tid_, no_address, &regs);
  return static_cast<long>(regs.rax);
}

uint64_t Injection::put(const void* bytes, size_t size) {
  // The caller's own stack, upwards: below the stack pointer there need not be any memory.
  if (!used_scratch_) used_scratch_ = read_memory(tid_, regs_.rsp, scratch_, sizeof scratch_);
  write_memory(tid_, regs_.rsp, bytes, size);
  return regs_.rsp;
}

void Injection::finish(long result) {
  if (!stopped_) return;
  if (used_scratch_) write_memory(tid_, regs_.rsp, scratch_, sizeof scratch_);
  regs_.rax = static_cast<uint64_t>(result);
  regs_.orig_rax = ~0ULL;  // not in a call any more: nothing to restart
  ptrace(PTRACE_SETREGS, tid_, no_address, &regs_);
  ptrace(static_cast<__ptrace_request>(PTRACE_SETSIGMASK), tid_, as_pointer(sizeof signals_), &signals_);
  detach();
}
