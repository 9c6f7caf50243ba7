#include "capture.h"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "../../clock.h"
#include "../protocol/report.h"
#include "start.h"

namespace {

struct Stream {
  int fd;
  char* data = nullptr;
  size_t size = 0;
  size_t room = 0;
};

// Keeps at most `limit` bytes and goes on reading past them, so that a talkative guest ends instead of hanging.
void keep(Stream* s, const char* bytes, size_t n, size_t limit, bool* truncated) {
  if (n > limit - s->size) {
    n = limit - s->size;
    *truncated = true;
  }
  if (s->size + n > s->room) {
    size_t room = s->room ? s->room * 2 : 4096;
    while (room < s->size + n) room *= 2;
    void* grown = realloc(s->data, room);
    if (!grown) {
      *truncated = true;
      return;
    }
    s->data = static_cast<char*>(grown);
    s->room = room;
  }
  memcpy(s->data + s->size, bytes, n);
  s->size += n;
}

// Reads what is there. `rounds` bounds it: a process that outlives its parent may write for ever.
void drain(Stream* s, size_t limit, bool* truncated, int rounds) {
  char bytes[16384];
  while (s->fd >= 0 && rounds-- > 0) {
    ssize_t n = read(s->fd, bytes, sizeof bytes);
    if (n > 0)
      keep(s, bytes, static_cast<size_t>(n), limit, truncated);
    else if (n < 0 && errno == EINTR)
      continue;
    else {
      if (n == 0 || errno != EAGAIN) close_end(&s->fd);
      return;
    }
  }
}

void feed(int* fd, const Spec& spec, size_t* fed) {
  ssize_t n = write(*fd, spec.stdin_data + *fed, spec.stdin_size - *fed);
  if (n > 0)
    *fed += static_cast<size_t>(n);
  else if (n < 0 && errno != EAGAIN && errno != EINTR)
    *fed = spec.stdin_size;  // EPIPE: it does not want more
  if (*fed == spec.stdin_size) close_end(fd);
}

}  // namespace

// Who waits for the output has no use for a word before it, but others may wait for the first process to be in.
static bool tells_start(const Spec& spec) { return !spec.capture || spec.clears; }

Deadlines deadlines_of(const Spec& spec) {
  long now = now_ms();
  Deadlines d{spec.timeout_ms > 0 ? now + spec.timeout_ms : 0, now + exec_limit_ms};
  if (d.end && d.end < d.exec) d.exec = d.end;
  return d;
}

void take_as_outcome(const Spec& spec, const Deadlines& deadlines, Failure* failure, Outcome* outcome) {
  if (!spec.capture || failure->code != ETIMEDOUT || deadlines.end == 0 || now_ms() < deadlines.end) return;
  *failure = {};
  outcome->timed_out = true;
  outcome->status = SIGKILL;
}

int tell_outcome(const Spec& spec, const Failure& failure, const Child& child, Outcome* outcome, bool takes_next) {
  if (failure.code) {
    send_failure(failure);
    return 1;
  }
  FrameView frames[frames_max];
  size_t count = 0;
  char size[24];
  const size_t total = outcome->sizes[0] + outcome->sizes[1];
  if (total > unasked_output) {
    int length = snprintf(size, sizeof size, "%zu", total);
    frames[count++] = {Frame::size, size, static_cast<size_t>(length)};
  }
  constexpr Frame types[] = {Frame::out, Frame::err};
  for (int i = 0; i < 2; i++)
    if (outcome->sizes[i] > 0) frames[count++] = {types[i], outcome->output[i], outcome->sizes[i]};
  char pid[16], end[64];
  int n = snprintf(pid, sizeof pid, "%d", child.pid);
  if (!tells_start(spec)) frames[count++] = {Frame::started, pid, static_cast<size_t>(n)};
  if (takes_next) frames[count++] = {Frame::next, "", 0};
  n = snprintf(end, sizeof end, "%d %d %d %c", outcome->status, outcome->timed_out, outcome->truncated,
               static_cast<char>(outcome->oom));
  frames[count++] = {Frame::exited, end, static_cast<size_t>(n)};
  send_frames(frames, count);
  for (char*& output : outcome->output) {
    free(output);
    output = nullptr;
  }
  return 0;
}

Outcome see_through(const Child& child, const Spec& spec, long deadline, Pipes* pipes, Log* log) {
  if (tells_start(spec)) send_text(Frame::started, "%d", child.pid);
  Outcome outcome;
  // Without capture they are the log's.
  Stream out{spec.capture ? pipes->out[0] : -1}, err{spec.capture ? pipes->err[0] : -1};
  size_t fed = 0;
  constexpr long look_again_ms = 20;
  bool told = false;  // its end was told of, but whoever traces it may keep it from us
  long give_up = 0;
  for (bool over = false; !over;) {
    pollfd ready[] = {
        {told ? -1 : child.ended, POLLIN, 0}, {out.fd, POLLIN, 0}, {err.fd, POLLIN, 0}, {pipes->in[1], POLLOUT, 0}};
    long left = deadline ? deadline - now_ms() : -1;
    if (deadline && left <= 0) {
      kill_group(child);
      outcome.timed_out = true;
      deadline = 0;
      give_up = now_ms() + reap_limit_ms;
    }
    if (give_up) left = look_again_ms;
    constexpr long longest_poll = 1000000;
    if (log->poll(ready, 4, static_cast<int>(left > longest_poll ? longest_poll : left)) < 0) continue;
    if (ready[1].revents) drain(&out, spec.capture_limit, &outcome.truncated, 1);
    if (ready[2].revents) drain(&err, spec.capture_limit, &outcome.truncated, 1);
    if (ready[3].revents) feed(&pipes->in[1], spec, &fed);
    if (!ready[0].revents && !give_up) continue;
    over = has_ended(child);
    if (!over && ready[0].revents && child.xid == 0) told = true;  // a pidfd does not change its mind
    if (told && !give_up) give_up = now_ms() + reap_limit_ms;
    if (!over && give_up && now_ms() >= give_up) break;
  }
  if (waitpid(child.pid, &outcome.status, WNOHANG) != child.pid) outcome.status = SIGKILL;
  log->drain();
  // What the process left in the pipes, but no waiting for children it left behind with them.
  drain(&out, spec.capture_limit, &outcome.truncated, 64);
  drain(&err, spec.capture_limit, &outcome.truncated, 64);
  for (Stream* s : {&out, &err}) {
    const int i = s == &err;
    outcome.output[i] = s->data;
    outcome.sizes[i] = s->size;
  }
  if (spec.capture) log->take_over(spec, out.fd, err.fd);
  close_end(&pipes->in[1]);
  return outcome;
}
