// The pipes between a launcher and its process, which has /dev/null where it has none.
#pragma once
#include <sys/types.h>

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
// In the child, before it drops its powers: the pipes that it has as stdio are its user's, who may open them again by
// /dev/stdout or /proc/self/fd.
void give_stdio(uid_t uid, gid_t gid);
// In the child, before its exec: where it has the launcher's /dev/null, it gets the guest's, which it knows the name
// of.
void use_guests_null();
// In the parent, once the child was made.
void close_child_ends(Pipes* pipes);

void close_end(int* fd);
void close_all(Pipes* pipes);
