#include "traps.h"

#include <sys/syscall.h>

const Trap traps[trap_count] = {
    {abi::vserver_call, trap_vserver, -1},
    {SYS_openat, trap_path, 1},
    {SYS_open, trap_path, 0},
    {SYS_newfstatat, trap_path, 1},
    {SYS_stat, trap_path, 0},
    {SYS_lstat, trap_path, 0},
    {SYS_access, trap_path, 0},
    {SYS_faccessat, trap_path, 1},
    {SYS_readlink, trap_path, 0},
    {SYS_readlinkat, trap_path, 1},
    {SYS_chdir, trap_path, 0},
    {SYS_uname, trap_uname, -1},
    {SYS_sethostname, trap_set_name, -1},
    {SYS_setdomainname, trap_set_name, -1},
    {SYS_reboot, trap_reboot, -1},
    {SYS_kill, trap_kill, -1},
    {SYS_tkill, trap_signal, -1},
    {SYS_tgkill, trap_signal, -1},
    {SYS_rt_sigqueueinfo, trap_signal, -1},
    {SYS_rt_tgsigqueueinfo, trap_signal, -1},
    {SYS_ptrace, trap_signal, -1},
};

const Trap* find_trap(int number) {
  for (const Trap& trap : traps)
    if (trap.number == number) return &trap;
  return nullptr;
}
