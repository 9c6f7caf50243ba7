#include "log.h"

#include <sys/mman.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>
#include <initializer_list>

#include "../../clock.h"
#include "sink.h"

namespace {

// A prompt is a line without an end, so it cannot be held for ever.
constexpr long patience_ms = 500;

// Not on the stack: pages that are never written to take no memory, and can be given back.
alignas(4096) char lines[2][longest_log_line];

LogSink* sink = nullptr;

// Bytes at the end that begin a character of UTF-8 and do not end it.
size_t unfinished(const char* text, size_t size) {
  for (size_t back = 1; back <= 3 && back <= size; back++) {
    unsigned char byte = static_cast<unsigned char>(text[size - back]);
    if ((byte & 0xc0) == 0x80) continue;
    size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

struct : LogSink {
  void add(const LogLine&) override {}
  void flush() override {}
  void rest() override {}
} nowhere;

LogSink* sink_of(const Spec& spec) {
  if (!spec.log) return nullptr;
  return spec.log_journal ? log_journal(spec) : log_file(spec);
}

}  // namespace

Log::Log(const Spec& spec, Pipes* pipes) {
  if (spec.capture) return;
  sink = sink_of(spec);
  if (!sink) {
    close_all(pipes);
    return;
  }
  fds_[0] = pipes->out[0];
  fds_[1] = pipes->err[0];
}

void Log::take_over(const Spec& spec, int out, int err) {
  fds_[0] = out;
  fds_[1] = err;
  if (!is_open()) return;
  sink = sink_of(spec);
  if (!sink) sink = &nowhere;
}

void Log::write_held(int stream, bool is_whole) {
  if (held_[stream] == 0) return;
  LogLine line{{}, stream, is_whole, lines[stream], held_[stream]};
  clock_gettime(CLOCK_REALTIME, &line.time);
  sink->add(line);
  held_[stream] = 0;
}

// A part of a line. A character that has not come whole goes with the next one, unless it is all there is.
void Log::write_part(int stream) {
  size_t size = held_[stream], rest = unfinished(lines[stream], size);
  if (rest == size) rest = 0;
  held_[stream] = size - rest;
  write_held(stream, false);
  memmove(lines[stream], lines[stream] + size - rest, rest);
  held_[stream] = rest;
}

// Adds the whole lines among what is held, of which `fresh` bytes are new.
void Log::split(int stream, size_t fresh) {
  char* start = lines[stream];
  char* look = start + held_[stream];
  char* end = look + fresh;
  LogLine line{{}, stream, true, nullptr, 0};
  clock_gettime(CLOCK_REALTIME, &line.time);
  for (char* newline; (newline = static_cast<char*>(memchr(look, '\n', static_cast<size_t>(end - look))));) {
    line.text = start;
    line.size = static_cast<size_t>(newline - start);
    sink->add(line);
    start = look = newline + 1;
  }
  held_[stream] = static_cast<size_t>(end - start);
  memmove(lines[stream], start, held_[stream]);
  if (held_[stream] == longest_log_line) write_part(stream);
}

// False when there is nothing to read now.
bool Log::read_some(int stream) {
  if (fds_[stream] < 0) return false;
  size_t held = held_[stream];
  is_used_ = true;
  ssize_t n = read(fds_[stream], lines[stream] + held, longest_log_line - held);
  if (n < 0) return errno == EINTR;
  if (n == 0) {
    close(fds_[stream]);
    fds_[stream] = -1;
    write_held(stream, true);
    return false;
  }
  split(stream, static_cast<size_t>(n));
  if (held_[stream] > 0 && overdue_ == 0) overdue_ = now_ms() + patience_ms;
  return true;
}

// Most contexts are silent most of the time, and there are many of them.
void Log::rest() {
  if (!is_used_ || holds_some()) return;
  madvise(lines, sizeof lines, MADV_DONTNEED);
  sink->rest();
  is_used_ = false;
}

int Log::poll(pollfd* fds, nfds_t count, int timeout_ms) {
  if (!is_open()) return ::poll(fds, count, timeout_ms);
  constexpr long rest_ms = 1000;
  pollfd all[most_polled + 2];
  for (nfds_t i = 0; i < count; i++) all[i] = fds[i];
  for (int stream = 0; stream < 2; stream++) all[count + static_cast<nfds_t>(stream)] = {fds_[stream], POLLIN, 0};
  long patience = !is_used_ ? -1 : holds_some() ? overdue_ - now_ms() : rest_ms;
  if (is_used_ && patience < 0) patience = 0;
  bool is_mine = patience >= 0 && (timeout_ms < 0 || patience < timeout_ms);
  int n = ::poll(all, count + 2, is_mine ? static_cast<int>(patience) : timeout_ms);
  if (n < 0) return n;
  for (nfds_t i = 0; i < count; i++) fds[i] = all[i];
  bool came = false;
  for (int stream = 0; stream < 2; stream++) {
    if (!all[count + static_cast<nfds_t>(stream)].revents) continue;
    read_some(stream);
    came = true;
    n--;
  }
  if (holds_some() && now_ms() >= overdue_) {
    for (int stream = 0; stream < 2; stream++) write_part(stream);
    overdue_ = now_ms() + patience_ms;
    came = true;
  }
  if (!holds_some()) overdue_ = 0;
  if (came)
    sink->flush();
  else if (n == 0)
    rest();
  return n;
}

void Log::drain() {
  if (!sink) return;
  // Whoever holds a pipe still may write to it for ever, so no more than it can hold at most (fs.pipe-max-size).
  constexpr int most_reads = (1 << 20) / static_cast<int>(longest_log_line) + 1;
  for (int stream = 0; stream < 2; stream++) {
    for (int i = 0; i < most_reads && read_some(stream); i++) sink->flush();
    write_held(stream, false);
  }
  overdue_ = 0;
  sink->flush();
}

void Log::see_through() {
  while (is_open()) poll(nullptr, 0, -1);
}
