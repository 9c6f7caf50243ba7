#include "spec.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "resources.h"

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

constexpr size_t most_fds = sizeof order_fds / sizeof *order_fds;

// Puts the descriptors that came with a message in their places.
int take_rights(msghdr* message, uint32_t descriptors) {
  cmsghdr* rights = CMSG_FIRSTHDR(message);
  if (!rights) return descriptors == 0 ? 0 : EBADF;
  if (rights->cmsg_type != SCM_RIGHTS) return EBADF;
  int received[most_fds] = {-1, -1, -1};
  memcpy(received, CMSG_DATA(rights), rights->cmsg_len - CMSG_LEN(0));
  const int* next = received;
  // None of them can have its number already: main.cc reserves those.
  for (size_t i = 0; i < most_fds; i++) {
    if (!(descriptors >> i & 1)) continue;
    if (*next < 0 || dup3(*next, order_fds[i], O_CLOEXEC) < 0) return EBADF;
    close(*next++);
  }
  return 0;
}

// Receives the first part of a message, mostly all of it, in one call. Returns 0 or an errno.
int receive_first(int fd, void* data, size_t room, size_t* size, bool take_descriptors) {
  alignas(cmsghdr) char control[CMSG_SPACE(most_fds * sizeof(int))];
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
  if (!take_descriptors) return 0;
  SpecHeader header;
  memcpy(&header, data, sizeof header);
  return take_rights(&message, header.descriptors);
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

// "NAME SOFT HARD", with names of resource_of.
int push_limit(Spec* s, const char* value) {
  if (s->limit_count == resource_limits_max) return E2BIG;
  ResourceLimit limit{};
  char name[16];
  if (sscanf(value, "%15s %" SCNu64 " %" SCNu64, name, &limit.soft, &limit.hard) != 3) return EINVAL;
  limit.resource = resource_of(name);
  if (limit.resource < 0) return EINVAL;
  s->limits[s->limit_count++] = limit;
  return 0;
}

Mode mode_of(const char* name) {
  static const struct {
    const char* name;
    Mode mode;
  } modes[] = {{"probe", Mode::probe},    {"init", Mode::init},           {"reaper", Mode::reaper},
               {"exec", Mode::exec},      {"vs_create", Mode::vs_create}, {"vs_enter", Mode::vs_enter},
               {"vs_list", Mode::vs_list}};
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
  else if (is("lxcfs"))
    return s->lxcfs.count < lxcfs_max ? push(&s->lxcfs, value) : E2BIG;
  else if (is("cwd"))
    s->cwd = value;
  else if (is("root"))
    s->root = value;
  else if (is("nodename"))
    s->nodename = value;
  else if (is("domainname"))
    s->domainname = value;
  else if (is("account"))
    s->has_account = true;
  else if (is("user"))
    s->user = value;
  else if (is("group_name")) {
    s->group_name = value;
    s->has_gid = true;
  } else if (is("groups"))
    s->has_groups = true;
  else if (is("umask"))
    s->mask = static_cast<mode_t>(strtoul(value, nullptr, 8));
  else if (is("rlimit"))
    return push_limit(s, value);
  else if (is("uid"))
    s->uid = static_cast<uid_t>(strtoul(value, nullptr, 10));
  else if (is("gid")) {
    s->gid = static_cast<gid_t>(strtoul(value, nullptr, 10));
    s->has_gid = true;
  } else if (is("group"))
    return push_group(s, static_cast<gid_t>(strtoul(value, nullptr, 10)));
  else if (is("bcaps"))
    s->bcaps = strtoull(value, nullptr, 16);
  else if (is("xid"))
    s->xid = static_cast<uint32_t>(strtoul(value, nullptr, 10));
  else if (is("word"))
    s->word = strtoull(value, nullptr, 16);
  else if (is("spaces"))
    s->spaces = strtoull(value, nullptr, 16);
  else if (is("clears"))
    s->clears = strtoull(value, nullptr, 16);
  else if (is("private"))
    s->is_private = true;
  else if (is("ignore_nice"))
    s->ignore_nice = true;
  else if (is("fork_slot"))
    s->fork_slot = atoi(value);
  else if (is("poke_reaper"))
    s->poke_reaper = true;
  else if (is("capture")) {
    s->capture = true;
    s->capture_limit = strtoul(value, nullptr, 10);
  } else if (is("log"))
    s->log = value;
  else if (is("log_owner"))
    s->log_owner = value;
  else if (is("log_journal"))
    s->log_journal = value;
  else if (is("log_size"))
    s->log_size = strtoul(value, nullptr, 10);
  else if (is("log_files"))
    s->log_files = static_cast<unsigned>(strtoul(value, nullptr, 10));
  else if (is("timeout_ms"))
    s->timeout_ms = strtol(value, nullptr, 10);
  else if (is("start_delay_ms"))
    s->start_delay_ms = strtol(value, nullptr, 10);
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
  if (header->protocol != PROTOCOL) return EPROTONOSUPPORT;
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
  bool is_file = spec->log && !spec->log_journal;
  if (spec->log && !spec->log_owner) return EINVAL;
  if (is_file && (spec->log_size < log_size_min || spec->log_files < 1)) return EINVAL;
  return spec->mode == Mode::none ? EINVAL : 0;
}

void free_lists(Spec* spec) {
  if (spec->argv.count) free(spec->argv.items);
  if (spec->env.count) free(spec->env.items);
  free(spec->lxcfs.items);
  free(spec->groups);
}
