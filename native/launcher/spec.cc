#include "spec.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace {

int read_all(int fd, void* data, size_t size) {
  char* at = static_cast<char*>(data);
  while (size > 0) {
    ssize_t n = read(fd, at, size);
    if (n < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    if (n == 0) return EPIPE;
    at += n;
    size -= static_cast<size_t>(n);
  }
  return 0;
}

// Puts the descriptors that came with a message in their places.
int take_rights(msghdr* message) {
  cmsghdr* rights = CMSG_FIRSTHDR(message);
  if (!rights || rights->cmsg_type != SCM_RIGHTS) return EBADF;
  int received[2] = {-1, -1};
  memcpy(received, CMSG_DATA(rights), rights->cmsg_len - CMSG_LEN(0));
  // None of them can be 4 or 5 already: main.cc reserves those.
  const int places[] = {CGROUP_FD, PID1_FD};
  for (int i = 0; i < 2; i++) {
    if (received[i] < 0) continue;
    if (dup3(received[i], places[i], O_CLOEXEC) < 0) return errno;
    close(received[i]);
  }
  return 0;
}

// Receives the first part of a message, mostly all of it, in one call. Returns 0 or an errno.
int receive_first(int fd, void* data, size_t room, size_t* size, bool take_descriptors) {
  alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
  iovec part{data, room};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t n;
  do n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
  while (n < 0 && errno == EINTR);
  if (n < 0) return errno;
  if (n < static_cast<ssize_t>(sizeof(SpecHeader))) return EPIPE;
  *size = static_cast<size_t>(n);
  return take_descriptors ? take_rights(&message) : 0;
}

int push(StringList* list, char* value) {
  void* grown = realloc(list->items, (list->count + 2) * sizeof(char*));
  if (!grown) return ENOMEM;
  list->items = static_cast<char**>(grown);
  list->items[list->count++] = value;
  list->items[list->count] = nullptr;
  return 0;
}

int push_group(Spec* spec, gid_t gid) {
  void* grown = realloc(spec->groups, (spec->group_count + 1) * sizeof(gid_t));
  if (!grown) return ENOMEM;
  spec->groups = static_cast<gid_t*>(grown);
  spec->groups[spec->group_count++] = gid;
  return 0;
}

Mode mode_of(const char* name) {
  static const struct {
    const char* name;
    Mode mode;
  } modes[] = {{"probe", Mode::probe}, {"init", Mode::init}, {"reaper", Mode::reaper}, {"exec", Mode::exec}};
  for (const auto& m : modes)
    if (!strcmp(m.name, name)) return m.mode;
  return Mode::none;
}

int set_field(Spec* s, const char* key, char* value) {
  auto is = [key](const char* name) { return !strcmp(key, name); };
  if (is("mode"))
    s->mode = mode_of(value);
  else if (is("argv"))
    return push(&s->argv, value);
  else if (is("env"))
    return push(&s->env, value);
  else if (is("cwd"))
    s->cwd = value;
  else if (is("root"))
    s->root = value;
  else if (is("nodename"))
    s->nodename = value;
  else if (is("domainname"))
    s->domainname = value;
  else if (is("uid"))
    s->uid = static_cast<uid_t>(strtoul(value, nullptr, 10));
  else if (is("gid"))
    s->gid = static_cast<gid_t>(strtoul(value, nullptr, 10));
  else if (is("group"))
    return push_group(s, static_cast<gid_t>(strtoul(value, nullptr, 10)));
  else if (is("bcaps"))
    s->bcaps = strtoull(value, nullptr, 16);
  else if (is("poke_reaper"))
    s->poke_reaper = true;
  else if (is("capture")) {
    s->capture = true;
    s->capture_limit = strtoul(value, nullptr, 10);
  } else if (is("timeout_ms"))
    s->timeout_ms = strtol(value, nullptr, 10);
  else
    return EINVAL;
  return 0;
}

}  // namespace

int read_spec_message(int fd, char** buffer, SpecHeader* header, bool take_descriptors) {
  // Orders follow each other only after an answer, so what comes belongs to this one.
  char first[4096];
  size_t got = 0;
  if (int err = receive_first(fd, first, sizeof first, &got, take_descriptors)) return err;
  memcpy(header, first, sizeof *header);
  got -= sizeof *header;
  if (header->fields > SPEC_MAX || header->stdin_size > SPEC_MAX) return E2BIG;
  size_t size = size_t{header->fields} + header->stdin_size;
  if (got > size) return EPROTO;
  *buffer = static_cast<char*>(malloc(size + 1));
  if (!*buffer) return ENOMEM;
  memcpy(*buffer, first + sizeof *header, got);
  if (int err = read_all(fd, *buffer + got, size - got)) return err;
  (*buffer)[size] = '\0';
  return 0;
}

int parse_spec(char* fields, const SpecHeader& header, Spec* spec) {
  char* end = fields + header.fields;
  for (char* at = fields; at < end; at += strlen(at) + 1) {
    char* equals = strchr(at, '=');
    if (!equals || equals >= end) return EINVAL;
    *equals = '\0';
    int err = set_field(spec, at, equals + 1);
    at = equals + 1;
    if (err) return err;
  }
  // Empty lists must still be valid arrays for execve(2).
  static char* none[] = {nullptr};
  if (!spec->argv.items) spec->argv.items = none;
  if (!spec->env.items) spec->env.items = none;
  spec->stdin_data = end;
  spec->stdin_size = header.stdin_size;
  return spec->mode == Mode::none ? EINVAL : 0;
}

void free_lists(Spec* spec) {
  if (spec->argv.count) free(spec->argv.items);
  if (spec->env.count) free(spec->env.items);
  free(spec->groups);
}
