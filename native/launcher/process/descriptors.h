// Descriptors that somebody else is not to have.
#pragma once

// Closes every descriptor from `first` on, or has exec close it. Returns 0 or an errno.
int close_from(int first, bool at_exec);

// Closes what a launcher has of the daemon and the host's: CONTROL_FD to LAST_FD.
void close_host_descriptors();

// All is told. The daemon sees the end of its socket, and the context is nobody's to keep.
void let_go_of_daemon();
// The context alone. Its descriptors' numbers stay taken.
void let_go_of_context();
