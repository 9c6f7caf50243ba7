// Whether the kernel's OOM killer has ended a process.
#pragma once
#include <sys/types.h>

// What wait(2) does not tell of a death by SIGKILL.
enum class OomKilled : char {
  no = '0',
  yes = '1',
  unknown = '-',  // the kernel's log cannot be read, or numbers processes otherwise than we do
};

// While getting ready: how many the kernel has killed up to now.
void note_oom_kills();

// Of a child that has ended with this wait(2) status, after note_oom_kills.
OomKilled oom_killed(pid_t pid, int status);
