// The guest program of the measurements: whatever they show is not its own doing. With an argument it stays.
#include <unistd.h>

int main(int argc, char **argv) {
  (void)argv;
  while (argc > 1) pause();
  return 0;
}
