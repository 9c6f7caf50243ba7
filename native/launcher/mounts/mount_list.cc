#include "mount_list.h"

#include <fcntl.h>
#include <linux/limits.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

// Blanks in a path are written as \040 and the like.
static void unescape(char* text) {
  auto digit = [](char c) { return c >= '0' && c <= '7'; };
  char* to = text;
  for (const char* at = text; *at; to++) {
    if (at[0] == '\\' && digit(at[1]) && digit(at[2]) && digit(at[3])) {
      *to = static_cast<char>((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
      at += 4;
    } else {
      *to = *at++;
    }
  }
  *to = '\0';
}

int for_each_mount(int proc, void (*look)(const ListedMount& mount, void* context), void* context) {
  int fd = openat(proc, "self/mountinfo", O_RDONLY | O_CLOEXEC);
  FILE* list = fd < 0 ? nullptr : fdopen(fd, "r");
  if (!list) return errno;
  char* text = nullptr;
  size_t room = 0;
  ssize_t size = getdelim(&text, &room, '\0', list);
  fclose(list);
  int result = size < 0 ? EIO : 0;
  char* rest = nullptr;
  for (char* line = result ? nullptr : strtok_r(text, "\n", &rest); line; line = strtok_r(nullptr, "\n", &rest)) {
    char path[PATH_MAX], options[256], type[64];
    static_assert(PATH_MAX == 4096);
    // Optional fields end with a single hyphen; the type is next.
    const char* tail = strstr(line, " - ");
    if (!tail || sscanf(line, "%*d %*d %*s %*s %4095s %255s", path, options) != 2 || sscanf(tail, " - %63s", type) != 1)
      result = EIO;
    if (result) break;
    unescape(path);
    look({path, options, type}, context);
  }
  free(text);
  return result;
}
