// Room on disk for what is to be written later.
#pragma once
#include <sys/types.h>

#include "../result.h"

// fallocate(2) with FALLOC_FL_KEEP_SIZE: writes into these bytes cannot fail with ENOSPC any more, and the file's size
// stays. Value 1: reserved; 0: this file system cannot (EOPNOTSUPP).
Result reserve(int fd, off_t offset, off_t length);

// fstat(2). Value: the file's size, -1 when it was removed.
Result size_unless_removed(int fd);
