#include "create.h"

#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>

#include "../../vserver/commands.h"
#include "../mounts/classic.h"
#include "../process/become.h"
#include "../protocol/report.h"

namespace {

constexpr uint64_t persistent = uint64_t{1} << 38;  // VXF_PERSISTENT

// Runs on the host until ctx_create, which moves it into the context; there is no way back, so it ends there.
[[noreturn]] void create(const Spec& spec, int pipe_fd) {
  close_host_descriptors();
  alarm(static_cast<unsigned>(exec_limit_ms / 1000));  // a file system that does not answer must not hold up anybody
  int own = static_cast<int>(spec.spaces) & (CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC);
  if (unshare(own) < 0) fail_child(pipe_fd, errno, "unshare", "");
  set_up_classic_mounts(spec, pipe_fd);
  alarm(0);  // what is made from now on must be told of
  Result made = vserver::ctx_create(spec.xid, spec.word);
  if (made.code) fail_child(pipe_fd, made.code, made.call, "");
  tell_ready(pipe_fd);
  Result set = vserver::set_space(spec.xid, spec.spaces);
  if (set.code) fail_child(pipe_fd, set.code, set.call, "");
  _exit(0);
}

// The messages of a child that has ended: whether the context was made, and what failed.
void read_messages(int pipe_fd, bool* made, Failure* failure) {
  ChildMessage message;
  while (read(pipe_fd, &message, sizeof message) == static_cast<ssize_t>(sizeof message)) {
    if (message.ready) *made = true;
    if (message.failure.code) *failure = message.failure;
  }
}

}  // namespace

int run_vserver_create(const Spec& spec) {
  int status_pipe[2];
  Failure failure{};
  int status = 0;
  bool made = false;
  if (int err = make_status_pipe(status_pipe)) {
    failure = make_failure(err, "pipe2", "");
  } else if (pid_t pid = fork(); pid == 0) {
    create(spec, status_pipe[1]);
  } else if (pid < 0) {
    failure = make_failure(errno, "fork", "");
  } else {
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    read_messages(status_pipe[0], &made, &failure);
    if (!failure.code && status != 0) failure = make_failure(ETIMEDOUT, made ? "set_space" : "ctx_create", "");
  }
  if (!failure.code) {
    send_text(Frame::started, "%d", 0);
    return 0;
  }
  // Nobody is in it any more, so without PERSISTENT it is gone.
  if (made) vserver::set_cflags(spec.xid, {0, persistent});
  send_failure(failure);
  return 1;
}
