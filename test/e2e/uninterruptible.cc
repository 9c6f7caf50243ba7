// A thread in state D for as long as somebody wants: the caller of vfork(2) waits uninterruptibly for its child to exec or
// exit (kernel/fork.c, wait_for_vfork_done).
#include <unistd.h>

int main() {
  if (vfork() == 0) {
    pause();
    _exit(0);
  }
  return 0;
}
