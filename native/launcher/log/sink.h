// Where lines of a log go: a file, or the journal.
#pragma once
#include <cstddef>
#include <ctime>

#include "../protocol/spec.h"

struct LogLine {
  timespec time;  // CLOCK_REALTIME
  int stream;     // 0: stdout, 1: stderr
  bool is_whole;  // false: the rest follows
  const char* text;
  size_t size;
};

constexpr const char* log_streams[] = {"stdout", "stderr"};

// Lines longer than this are split, as CRI runtimes split them.
constexpr size_t longest_log_line = 16384;

// One log for each launcher. What cannot be written is lost, counted, and told of in the log when that works again.
class LogSink {
 public:
  virtual void add(const LogLine& line) = 0;
  // Writes down what was added.
  virtual void flush() = 0;
  // Gives memory back, until more comes.
  virtual void rest() = 0;
};

LogSink* log_file(const Spec& spec);
LogSink* log_journal(const Spec& spec);
