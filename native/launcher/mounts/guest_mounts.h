// What a guest's mounts are made of, until it has them.
#pragma once
#include <cstddef>
#include <iterator>

#include "../protocol/failure.h"
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
