#include "pid1.h"

#include <sched.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>

#include "../mounts/proc.h"
#include "../process/become_guest.h"
#include "../process/command.h"
#include "../process/descriptors.h"
#include "../process/status_pipe.h"
#include "../protocol/failure.h"
#include "own_spaces.h"
#include "reaper.h"

static void set_names(const Spec& spec, int pipe_fd) {
  if (spec.nodename && sethostname(spec.nodename, strlen(spec.nodename)) < 0)
    fail_child(pipe_fd, errno, "sethostname", spec.nodename);
  if (spec.domainname && setdomainname(spec.domainname, strlen(spec.domainname)) < 0)
    fail_child(pipe_fd, errno, "setdomainname", spec.domainname);
}

void run_pid1(void* argument) {
  const auto& [spec, mounts, pipes, pipe_fd, orders] = *static_cast<const Pid1*>(argument);
  // The guest must find no way back to the daemon or the host's cgroup tree, whoever gets to trace this process.
  close_host_descriptors();
  use_as_stdio(pipes);
  setsid();
  // Only now: with CLONE_NEWCGROUP in clone3 the namespace's root would be the parent's cgroup (cgroup_namespaces(7)).
  if (unshare(CLONE_NEWCGROUP) < 0) fail_child(pipe_fd, errno, "unshare", "CLONE_NEWCGROUP");
  if (Failed failed = mount_proc(spec, mounts); failed.code) fail_child(pipe_fd, failed);
  if (spec.spaces & CLONE_NEWNET)
    if (Failed failed = set_up_network(spec); failed.code) fail_child(pipe_fd, failed);
  set_names(spec, pipe_fd);
  Spec own = spec;
  AccountRoom room;
  if (Failed failed = become_guest(&own, &room); failed.code) fail_child(pipe_fd, failed);
  if (spec.mode == Mode::reaper) run_reaper(orders, pipe_fd);
  restore_signals();
  tell_ready(pipe_fd);
  fail_child(pipe_fd, start_command(own));
}
