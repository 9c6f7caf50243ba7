// The floor: what the kernel alone asks for one life of a guest, and for one command in a running guest.
// No daemon, no launcher, no limits, no JSON. Prints the microseconds of each turn, one line each.
//
//   floor life N CGROUP PROGRAM      a cgroup in CGROUP, new namespaces, /proc, PROGRAM, all of it removed again
//   floor exec N CGROUP PID PROGRAM  PROGRAM in CGROUP and in the namespaces of PID, its output read through pipes
//   floor run  N PROGRAM ARG...      PROGRAM on the host: a peer, timed the same way
//   floor ask  N SOCKET METHOD PATH JSON   a request to a daemon, timed the same way: the client costs next to nothing
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int open_directory(const char *path) {
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) err(1, "opening %s", path);
  return fd;
}

// clone3(2) without a stack of its own is fork(2) with flags. cgroup -1: stay in the caller's.
static pid_t clone_process(unsigned long flags, int cgroup) {
  struct clone_args args = {.flags = flags, .exit_signal = SIGCHLD};
  if (cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = (unsigned)cgroup;
  }
  pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) err(1, "clone3");
  return pid;
}

static void wait_success(pid_t pid) {
  int status;
  if (waitpid(pid, &status, 0) < 0) err(1, "waitpid");
  if (status != 0) errx(1, "the program ended with wait status %d", status);
}

static void become(char **argv) {
  execvp(argv[0], argv);
  err(127, "executing %s", argv[0]);
}

static void become_guest(char **argv) {
  // The cgroup namespace's root is the caller's cgroup at this moment, which clone3's CLONE_NEWCGROUP gets wrong.
  if (unshare(CLONE_NEWCGROUP) < 0) err(1, "unshare");
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) err(1, "making mounts private");
  if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) err(1, "mounting /proc");
  become(argv);
}

static void live(const char *parent, char **argv) {
  char path[4096];
  snprintf(path, sizeof path, "%s/guest", parent);
  if (mkdir(path, 0755) < 0) err(1, "mkdir %s", path);
  int cgroup = open_directory(path);
  pid_t pid = clone_process(CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNS, cgroup);
  if (pid == 0) become_guest(argv);
  wait_success(pid);
  close(cgroup);
  if (rmdir(path) < 0) err(1, "rmdir %s", path);
}

// Reads both streams to their end.
static void drain(int out, int error) {
  struct pollfd streams[] = {{.fd = out, .events = POLLIN}, {.fd = error, .events = POLLIN}};
  for (int open = 2; open > 0;) {
    if (poll(streams, 2, -1) < 0) err(1, "poll");
    for (int i = 0; i < 2; i++) {
      char bytes[4096];
      if (!streams[i].revents || read(streams[i].fd, bytes, sizeof bytes) > 0) continue;
      close(streams[i].fd);
      streams[i].fd = -1;
      open--;
    }
  }
}

static void join(const char *path, pid_t target, char **argv) {
  int cgroup = open_directory(path);
  int pidfd = (int)syscall(SYS_pidfd_open, target, 0);
  if (pidfd < 0) err(1, "pidfd_open %d", target);
  int out[2], error[2];
  if (pipe2(out, O_CLOEXEC) < 0 || pipe2(error, O_CLOEXEC) < 0) err(1, "pipe2");
  // A PID namespace is for the children to come (setns(2)), so this one is joined before, the others after clone3.
  if (setns(pidfd, CLONE_NEWPID) < 0) err(1, "setns");
  pid_t pid = clone_process(0, cgroup);
  if (pid == 0) {
    if (setns(pidfd, CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP) < 0) err(1, "setns");
    if (dup2(out[1], 1) < 0 || dup2(error[1], 2) < 0) err(1, "dup2");
    become(argv);
  }
  close(out[1]);
  close(error[1]);
  drain(out[0], error[0]);
  wait_success(pid);
  close(pidfd);
  close(cgroup);
}

static void run(char **argv) {
  pid_t pid = clone_process(0, -1);
  if (pid == 0) become(argv);
  wait_success(pid);
}

static int connect_to(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) errx(1, "%s is too long", path);
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) err(1, "connecting to %s", path);
  return fd;
}

static char reply[8 << 20];

// One request over a connection that is kept, and its whole answer, which must be a success.
static void ask(const char *path, const char *method, const char *target, const char *json) {
  static int fd = -1;
  static char request[4096];
  if (fd < 0) fd = connect_to(path);
  char about[96] = "";
  if (*json)
    snprintf(about, sizeof about, "content-type: application/json\r\ncontent-length: %zu\r\n", strlen(json));
  int size = snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nhost: localhost\r\n%s\r\n%s", method, target, about, json);
  if (size >= (int)sizeof request) errx(1, "the request is too long");
  if (send(fd, request, (size_t)size, MSG_NOSIGNAL) != size) err(1, "sending to %s", path);
  size_t had = 0, wanted = sizeof reply - 1;
  for (const char *body = NULL; had < wanted;) {
    ssize_t n = recv(fd, reply + had, sizeof reply - 1 - had, 0);
    if (n <= 0) errx(1, "%s: no whole answer", path);
    reply[had += (size_t)n] = 0;
    if (body || !(body = strstr(reply, "\r\n\r\n"))) continue;
    const char *length = strcasestr(reply, "\r\ncontent-length:");
    if (!length || length > body) errx(1, "%s: an answer without a length", path);
    wanted = (size_t)(body + 4 - reply) + strtoul(length + 17, NULL, 10);
    if (wanted >= sizeof reply) errx(1, "%s: an answer too long", path);
  }
  if (strncmp(reply, "HTTP/1.1 2", 10)) errx(1, "%.1000s", reply);
}

int main(int argc, char **argv) {
  const char *mode = argc > 3 ? argv[1] : "";
  int turns = argc > 3 ? atoi(argv[2]) : 0;
  if (!strcmp(mode, "ask")) memset(reply, 1, sizeof reply);  // so that no turn pays for its memory
  for (int i = 0; i < turns; i++) {
    double start = now_us();
    if (!strcmp(mode, "life") && argc > 4)
      live(argv[3], argv + 4);
    else if (!strcmp(mode, "exec") && argc > 5)
      join(argv[3], atoi(argv[4]), argv + 5);
    else if (!strcmp(mode, "run"))
      run(argv + 3);
    else if (!strcmp(mode, "ask") && argc > 6)
      ask(argv[3], argv[4], argv[5], argv[6]);
    else
      errx(2, "life N CGROUP PROGRAM | exec N CGROUP PID PROGRAM | run N PROGRAM ARG... | ask N SOCKET METHOD PATH JSON");
    // fork copies what stdio has not written yet; out it goes before the next turn.
    printf("%.1f\n", now_us() - start);
    fflush(stdout);
  }
  return turns > 0 ? 0 : 2;
}
