// The pipes between a launcher and its process, which has /dev/null where it has none.
#pragma once

struct Pipes {
  int in[2] = {-1, -1};
  // For the log, or captured.
  int out[2] = {-1, -1};
  int err[2] = {-1, -1};
};

// Return 0 or an errno. The launcher's ends never block. Those of the output are made while a launcher gets ready, for
// it takes time.
int make_output_pipes(Pipes* pipes);
int make_input_pipe(Pipes* pipes);

// In the child: they become descriptors 0, 1 and 2.
void use_as_stdio(const Pipes& pipes);
// In the parent, once the child was made.
void close_child_ends(Pipes* pipes);

void close_end(int* fd);
void close_all(Pipes* pipes);
