#include "pipes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <cerrno>
#include <initializer_list>

// Of 16 pages a pipe would have, 2,000 of them take more than one user's share of pipes (pipe(7),
// pipe-user-pages-soft), and a guest's root is the same user.
static constexpr int pipe_size = 4 * 4096;

int make_output_pipes(Pipes* pipes) {
  for (int* pair : {pipes->out, pipes->err}) {
    if (pipe2(pair, O_CLOEXEC) < 0 || fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0) return errno;
    fcntl(pair[1], F_SETPIPE_SZ, pipe_size);  // since Linux 2.6.35; a larger one will do
  }
  return 0;
}

int make_input_pipe(Pipes* pipes) {
  return pipe2(pipes->in, O_CLOEXEC) < 0 || fcntl(pipes->in[1], F_SETFL, O_NONBLOCK) < 0 ? errno : 0;
}

void use_as_stdio(const Pipes& pipes) {
  const struct {
    const int* pair;
    int end;
  } all[] = {{pipes.in, 0}, {pipes.out, 1}, {pipes.err, 1}};
  for (int fd = 0; fd < 3; fd++) {
    const auto& [pair, end] = all[fd];
    if (pair[end] < 0) continue;
    dup2(pair[end], fd);
    // The launcher's end too: a guest that traces the child before its exec could hold it.
    close(pair[0]);
    close(pair[1]);
  }
}

void give_stdio(uid_t uid, gid_t gid) {
  if (uid == 0) return;
  for (int fd = 0; fd < 3; fd++) {
    struct stat info;
    // What is lost where it fails is a way to open it, not the output.
    if (fstat(fd, &info) == 0 && S_ISFIFO(info.st_mode) && fchown(fd, uid, gid) < 0) return;
  }
}

static bool is_null(int fd) {
  struct stat info;
  return fstat(fd, &info) == 0 && S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3);
}

void use_guests_null() {
  int null = -1;
  for (int fd = 0; fd < 3; fd++) {
    if (!is_null(fd)) continue;
    if (null < 0) null = open("/dev/null", O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    // A guest may have put something else there.
    if (null < 0 || !is_null(null)) break;
    fcntl(null, F_SETFL, O_RDWR);
    dup2(null, fd);
  }
  if (null >= 0) close(null);
}

void close_end(int* fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

void close_child_ends(Pipes* pipes) {
  close_end(&pipes->in[0]);
  close_end(&pipes->out[1]);
  close_end(&pipes->err[1]);
}

void close_all(Pipes* pipes) {
  for (int* pair : {pipes->in, pipes->out, pipes->err}) {
    close_end(&pair[0]);
    close_end(&pair[1]);
  }
}
