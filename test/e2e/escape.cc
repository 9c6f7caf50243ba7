// What a guest may try, one line each: "NAME TABLE RESULT", with an errno or 0. Arguments are such that no call does
// anything where it is allowed.
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstring>

static long refused_64(long number, long first, long second) {
  return syscall(number, first, second, -1L, -1L, -1L) < 0 ? errno : 0;
}

#ifdef __x86_64__
static sigjmp_buf no_entry;

// The entry of 32-bit programs, open to every program; ENOSYS where the kernel or what it runs on has none, and faults.
static long refused_32(long number, long first, long second) {
  signal(SIGSEGV, [](int) { siglongjmp(no_entry, 1); });
  if (sigsetjmp(no_entry, 1)) return ENOSYS;
  long result;
  asm volatile("int $0x80"
               : "=a"(result)
               : "a"(number), "b"(first), "c"(second), "d"(-1L), "S"(-1L), "D"(-1L)
               : "memory");
  int code = static_cast<int>(result);
  return code < 0 ? -code : 0;
}
#endif

struct Call {
  const char* name;
  long number, i386;
  long first = -1, second = -1;
};

static const Call always[] = {{"kexec_load", SYS_kexec_load, 283},
                              {"init_module", SYS_init_module, 128},
                              {"finit_module", SYS_finit_module, 350},
                              {"delete_module", SYS_delete_module, 129},
                              {"bpf", SYS_bpf, 357},
                              {"perf_event_open", SYS_perf_event_open, 336},
                              {"add_key", SYS_add_key, 286},
                              {"request_key", SYS_request_key, 287},
                              {"keyctl", SYS_keyctl, 288},
                              {"open_by_handle_at", SYS_open_by_handle_at, 342},
                              {"userfaultfd", SYS_userfaultfd, 374},
                              {"io_uring_setup", SYS_io_uring_setup, 425},
                              {"io_uring_enter", SYS_io_uring_enter, 426},
                              {"io_uring_register", SYS_io_uring_register, 427},
                              {"swapon", SYS_swapon, 87},
                              {"swapoff", SYS_swapoff, 115},
                              {"acct", SYS_acct, 51},
                              {"lookup_dcookie", SYS_lookup_dcookie, 253},
                              {"nfsservctl", SYS_nfsservctl, 169},
                              {"kcmp", SYS_kcmp, 349},
                              {"ioctl tiocsti", SYS_ioctl, 54, -1, TIOCSTI},
                              {"ioctl tioclinux", SYS_ioctl, 54, -1, TIOCLINUX}};

static void attempt(const Call& call) {
  printf("%s 64 %ld\n", call.name, refused_64(call.number, call.first, call.second));
#ifdef __x86_64__
  printf("%s 32 %ld\n", call.name, refused_32(call.i386, call.first, call.second));
#endif
}

int main(int argc, char** argv) {
  setvbuf(stdout, nullptr, _IONBF, 0);  // a child must not say it again
  if (argc > 1 && !strcmp(argv[1], "users")) {
    attempt({"unshare", SYS_unshare, 310, CLONE_NEWUSER, 0});
#ifdef __x86_64__
    printf("clone 32 %ld\n", refused_32(120, CLONE_NEWUSER, 0));
    printf("clone3 32 %ld\n", refused_32(435, 0, 0));
#endif
    long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
    if (child == 0) _exit(0);
    printf("clone 64 %d\n", child < 0 ? errno : 0);
    printf("clone3 64 %ld\n", refused_64(SYS_clone3, 0, 0));
    while (wait(nullptr) > 0) {
    }
    return 0;
  }
#ifdef __x86_64__
  if (argc > 1 && !strcmp(argv[1], "entry")) {
    printf("%ld\n", refused_32(20, 0, 0));  // getpid
    return 0;
  }
#endif
  for (const Call& call : always) attempt(call);
#ifdef __x86_64__
  attempt({"kexec_file_load", SYS_kexec_file_load, 283});  // 32-bit programs have none
  attempt({"iopl", SYS_iopl, 110});
  attempt({"ioperm", SYS_ioperm, 101});
  printf("ioctl high %ld\n", refused_64(SYS_ioctl, -1, 0x100000000 | TIOCSTI));
  printf("getpid x32 %ld\n", refused_64(0x40000000 | SYS_getpid, 0, 0));
#endif
}
