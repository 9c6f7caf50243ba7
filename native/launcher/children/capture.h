// Feeds a process its input and collects its output, within limits.
#pragma once
#include <sys/types.h>

#include "../log/log.h"
#include "../process/pipes.h"
#include "../protocol/failure.h"
#include "../protocol/spec.h"
#include "child.h"
#include "oom.h"

struct Outcome {
  int status = 0;  // wait(2)
  bool timed_out = false;
  bool truncated = false;
  OomKilled oom = OomKilled::no;
  // What was captured of both streams: malloc(3).
  char* output[2] = {};
  size_t sizes[2] = {};
};

// By now_ms(). Nothing a child does before its exec is slow, so the limit for that is for stuck file systems and
// hostile guests.
struct Deadlines {
  long end;   // of the whole process; 0: none
  long exec;  // of its start
};
Deadlines deadlines_of(const Spec& spec);

// Tells of a child that has exec'ed, at once or, when it is captured, with its outcome. Waits for its end, killing its
// process group at the deadline (0: none). Without capture what it wrote is in the log when this returns; with it, what
// it left behind with its output writes to the log from now on.
Outcome see_through(const Child& child, const Spec& spec, long deadline, Pipes* pipes, Log* log);

// A captured process whose whole time was over before its exec has had its time like any other: it is an outcome then,
// no failure.
void take_as_outcome(const Spec& spec, const Deadlines& deadlines, Failure* failure, Outcome* outcome);

// The last frames of an order: the failure, or what it wrote and how it ended. `takes_next`: the launcher goes on to
// another order. Returns the launcher's exit code.
int tell_outcome(const Spec& spec, const Failure& failure, const Child& child, Outcome* outcome,
                 bool takes_next = false);
