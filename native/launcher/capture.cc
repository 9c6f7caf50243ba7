#include "capture.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "report.h"
#include "syscalls.h"

namespace {

struct Stream {
  int fd;
  Frame frame;
  char* data = nullptr;
  size_t size = 0;
  size_t room = 0;
};

void close_end(int* fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

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

int make_capture_pipes(CapturePipes* pipes) {
  for (int* pair : {pipes->in, pipes->out, pipes->err})
    if (pipe2(pair, O_CLOEXEC) < 0) return errno;
  for (int fd : {pipes->in[1], pipes->out[0], pipes->err[0]})
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0) return errno;
  return 0;
}

void use_as_stdio(const CapturePipes& pipes) {
  dup2(pipes.in[0], 0);
  dup2(pipes.out[1], 1);
  dup2(pipes.err[1], 2);
  // The parent's ends too: a guest that traces the child before its exec could hold them.
  for (const int* pair : {pipes.in, pipes.out, pipes.err}) {
    close(pair[0]);
    close(pair[1]);
  }
}

void close_child_ends(CapturePipes* pipes) {
  close_end(&pipes->in[0]);
  close_end(&pipes->out[1]);
  close_end(&pipes->err[1]);
}

Outcome attend(pid_t pid, int pidfd, const Spec& spec, long deadline_ms, CapturePipes* pipes) {
  Outcome outcome;
  Stream out{pipes->out[0], Frame::out}, err{pipes->err[0], Frame::err};
  size_t fed = 0;
  if (pipes->in[1] >= 0 && spec.stdin_size == 0) close_end(&pipes->in[1]);
  for (bool over = false; !over;) {
    pollfd ready[] = {{pidfd, POLLIN, 0}, {out.fd, POLLIN, 0}, {err.fd, POLLIN, 0}, {pipes->in[1], POLLOUT, 0}};
    long left = deadline_ms ? deadline_ms - now_ms() : -1;
    if (deadline_ms && left <= 0) {
      // It leads its own session, and its pid cannot be another's before it is reaped below.
      kill(-pid, SIGKILL);
      sys_pidfd_send_signal(pidfd, SIGKILL);
      outcome.timed_out = true;
      deadline_ms = 0;
      left = -1;
    }
    constexpr long longest_poll = 1000000;
    if (poll(ready, 4, static_cast<int>(left > longest_poll ? longest_poll : left)) < 0) continue;
    if (ready[1].revents) drain(&out, spec.capture_limit, &outcome.truncated, 1);
    if (ready[2].revents) drain(&err, spec.capture_limit, &outcome.truncated, 1);
    if (ready[3].revents) feed(&pipes->in[1], spec, &fed);
    over = ready[0].revents != 0;
  }
  while (waitpid(pid, &outcome.status, 0) < 0 && errno == EINTR) {
  }
  // What the process left in the pipes, but no waiting for children it left behind with them.
  drain(&out, spec.capture_limit, &outcome.truncated, 64);
  drain(&err, spec.capture_limit, &outcome.truncated, 64);
  for (Stream* s : {&out, &err}) {
    if (s->size > 0) send_frame(s->frame, s->data, s->size);
    free(s->data);
    close_end(&s->fd);
  }
  close_end(&pipes->in[1]);
  return outcome;
}
