// The mounts a guest sees.
#pragma once
#include <iterator>

#include "../process/become.h"
#include "../protocol/spec.h"
#include "guest_files.h"

constexpr size_t over_proc_count = std::size(read_only_in_proc) + std::size(covered_in_proc);

// Namespaces and mounts of a guest to be. They are made before an order comes, for the guest that most are: one that
// sees the host's root, read-only, with /dev, /run and /tmp of its own. So a start costs next to none of it.
struct GuestMounts {
  int host_list = -1;  // polls with POLLPRI when the mounts of the host have changed since (proc(5), /proc/PID/mounts)
  int host = -1;       // the host's mount namespace
  int dev = -1;        // tmpfs with devices and links, with devpts and /dev/shm on it
  int empty = -1;      // read-only, with nothing in it, attached nowhere: covers directories of the host
  int over_proc[over_proc_count];  // what lies over files of the guest's /proc, attached nowhere; -1: no such file
  int lxcfs[lxcfs_max];            // in the order of spec.lxcfs; -1: not to be had
  Failed failed;
};

// In the zygote, before it makes a launcher with mounts: where the host has cgroup trees, so that not each of them
// reads the whole list. Returns what polls when that is not so any more, host_list of the next launcher, or -1.
int look_at_host_mounts();
// In a launcher, for it is the zygote's.
void close_host_watch();

// Gives the caller the mount, IPC and UTS namespaces that its PID 1 will have. Ending them is slow: it is done when the
// shim ends, after it has told of the end of the guest.
GuestMounts prepare_mounts(int host_list);

// The order is here. Makes all anew when the host's mounts have changed meanwhile; with spec.root that directory
// becomes
// "/" of the caller and its namespace. No mount of the host comes or goes in it any more. Closes what leads to the
// host.
Failed finish_mounts(const Spec& spec, GuestMounts* mounts);

// In PID 1 of the new PID namespace, which is the one that a proc mount shows.
Failed mount_proc(const Spec& spec, const GuestMounts& mounts);
