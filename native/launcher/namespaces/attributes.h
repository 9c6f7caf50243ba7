// What a later daemon finds: attributes of the context's cgroup directory, `trusted.contextd.*`.
#pragma once
#include "../children/oom.h"

// Returns 0 or an errno. Mostly nobody asks: where it cannot be kept, the daemon that is there now is told all the
// same.
int keep(const char* attribute, const char* format, ...) __attribute__((format(printf, 2, 3)));

// A wait(2) status. Before the daemon can hear of it, so that it is not lost with a daemon that is not there.
void keep_status(const char* attribute, int status, OomKilled oom);
