#include "spawn.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <cerrno>
#include <csignal>
#include <new>

#include "../protocol/spec.h"

namespace {

#if defined(__x86_64__) || defined(__aarch64__)
constexpr bool has_entry = true;
#else
constexpr bool has_entry = false;
#endif

constexpr size_t stack_size = 256 * 1024;
// As large as the largest page, and below it, so that what overruns the stack ends there.
constexpr size_t guard_size = 64 * 1024;
constexpr size_t used_size = 16 * 1024;

// fs.suid_dumpable (proc_sys_fs(5)): what a process that changes its user becomes for others of that user. 1: all
// theirs.
bool are_users_kept_apart() {
  int fd = openat(PROC_FD, "sys/fs/suid_dumpable", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  char mode = '1';
  ssize_t n = read(fd, &mode, 1);
  close(fd);
  return n == 1 && mode != '1';
}

// The child begins on a stack with no caller on it, so the C library's wrappers cannot return there.
long clone_on_stack(const CloneArgs& args, void (*run)(void*), void* argument) {
#if defined(__x86_64__)
  long result;
  register void (*entry)(void*) asm("r12") = run;
  register void* data asm("r13") = argument;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %%r13, %%rdi\n\t"
      "call *%%r12\n\t"
      "hlt\n"
      "1:"
      : "=a"(result)
      : "0"(SYS_clone3), "D"(&args), "S"(sizeof args), "r"(entry), "r"(data)
      : "rcx", "r11", "memory", "cc");
  return result;
#elif defined(__aarch64__)
  register long x0 asm("x0") = reinterpret_cast<long>(&args);
  register long x1 asm("x1") = sizeof args;
  register long x8 asm("x8") = SYS_clone3;
  register void (*entry)(void*) asm("x19") = run;
  register void* data asm("x20") = argument;
  asm volatile(
      "svc #0\n\t"
      "cbnz x0, 1f\n\t"
      "mov x29, xzr\n\t"
      "mov x30, xzr\n\t"
      "mov x0, x20\n\t"
      "blr x19\n\t"
      "brk #0\n"
      "1:"
      : "+r"(x0)
      : "r"(x1), "r"(x8), "r"(entry), "r"(data)
      : "memory", "cc");
  return x0;
#else
  (void)args, (void)run, (void)argument;
  return -ENOSYS;
#endif
}

// At the top of the child's stack, for the caller's is the caller's.
struct alignas(64) Run {
  void (*run)(void*);
  void* argument;
};

// What a user may send to processes of his could end the caller too: a core dump ends all that share a memory (until
// Linux 5.16). The child lets signals in again before its exec.
void begin(void* argument) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, nullptr);
  const auto& [run, its_argument] = *static_cast<const Run*>(argument);
  run(its_argument);
}

}  // namespace

ChildStack prepare_child_stack() {
  if (!has_entry) return {};
  void* made = mmap(nullptr, guard_size + stack_size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
  if (made == MAP_FAILED) return {};
  char* base = static_cast<char*>(made) + guard_size;
  if (mprotect(made, guard_size, PROT_NONE) < 0) return {};
  // Now, while there is time: what most children use of it.
  for (size_t at = stack_size - used_size; at < stack_size; at += 4096) static_cast<volatile char*>(base)[at] = 0;
  return {base, stack_size};
}

pid_t spawn(CloneArgs args, const ChildStack& stack, void (*run)(void*), void* argument) {
  if (!stack.base || !are_users_kept_apart()) {
    pid_t pid = sys_clone3(args);
    if (pid == 0) run(argument);
    return pid;
  }
  args.flags |= CLONE_VM;
  args.stack = reinterpret_cast<uintptr_t>(stack.base);
  args.stack_size = stack.size - sizeof(Run);
  void* top = stack.base + args.stack_size;
  long result = clone_on_stack(args, begin, new (top) Run{run, argument});
  if (result >= 0) return static_cast<pid_t>(result);
  errno = static_cast<int>(-result);
  return -1;
}
