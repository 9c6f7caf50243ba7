// The output of a process that is not captured. The launcher that stays on the host beside it reads it from pipes and
// writes it to the log of its context, line by line: a guest never has the log itself, and no daemon is needed.
#pragma once
#include <poll.h>
#include <sys/types.h>
#include <cstddef>

#include "../process/pipes.h"
#include "../protocol/spec.h"

// Reads the pipes. All of it does nothing for a process that is captured, or when nothing is logged.
class Log {
 public:
  // Reads the output pipes, or closes them where nobody does.
  Log(const Spec& spec, Pipes* pipes);
  // poll(2) on `count` descriptors, at most most_polled, that writes down meanwhile what comes.
  // Returns what poll(2) would, or 0 before the time is up.
  int poll(pollfd* fds, nfds_t count, int timeout_ms);
  // Reads these ends of a captured process's output from now on, -1 for none: whom it has left behind with them goes
  // on. Where nothing is logged what comes is thrown away.
  void take_over(const Spec& spec, int out, int err);
  bool is_open() const { return fds_[0] >= 0 || fds_[1] >= 0; }
  // Writes down what the pipes hold now.
  void drain();
  // Goes on until nobody holds the pipes: what a process leaves behind must not die of SIGPIPE.
  void see_through();

  static constexpr nfds_t most_polled = 8;

 private:
  bool read_some(int stream);
  void split(int stream, size_t fresh);
  void write_held(int stream, bool is_whole);
  void write_part(int stream);
  void rest();
  bool holds_some() const { return held_[0] > 0 || held_[1] > 0; }

  int fds_[2] = {-1, -1};    // stdout, stderr
  size_t held_[2] = {0, 0};  // bytes of a line whose end has not come
  long overdue_ = 0;         // by now_ms(): what is held is written down then
  bool is_used_ = false;     // memory is
};
