#include "account.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "guest_lines.h"

namespace {

constexpr const char* passwd = "etc/passwd";
constexpr const char* group = "etc/group";
// Of a user who has no entry (login.defs(5) of most systems: nogroup, or nobody).
constexpr gid_t nogroup = 65534;

// Splits a line at its colons. Returns the number of fields, `most` at most.
size_t split(char* line, char** fields, size_t most) {
  size_t count = 0;
  for (char* at = line; at && count < most;) {
    fields[count++] = at;
    at = strchr(at, ':');
    if (at) *at++ = '\0';
  }
  return count;
}

// A decimal id, and nothing else; 2^32 - 1 is nobody's (setresuid(2)).
bool parse_id(const char* text, unsigned* id) {
  constexpr size_t most_digits = 10;
  size_t digits = strspn(text, "0123456789");
  if (digits == 0 || digits > most_digits || text[digits]) return false;
  unsigned long value = strtoul(text, nullptr, 10);
  if (value >= 0xFFFFFFFFul) return false;
  *id = static_cast<unsigned>(value);
  return true;
}

bool has_name(const char* list, const char* name) {
  size_t length = strlen(name);
  for (const char* at = list; *at;) {
    size_t size = strcspn(at, ",");
    if (size == length && !strncmp(at, name, length)) return true;
    at += size;
    if (*at == ',') at++;
  }
  return false;
}

// A guest need not have accounts.
bool is_missing(int err) { return err == 0 || err == ENOENT || err == ENOTDIR; }
// What is there may be readable later; whom an id belongs to is not guessed meanwhile.
bool is_for_later(int err) {
  return err == EAGAIN || err == EMFILE || err == ENFILE || err == ENOMEM || err == EIO || err == ESTALE;
}

Failed unreadable(int err, const char* path, AccountRoom* room) {
  const char* why = err == EAGAIN ? "is held by a lease" : is_for_later(err) ? "" : "is no file that can be read";
  snprintf(room->detail, sizeof room->detail, "/%s of the guest %s", path, why);
  return {is_for_later(err) ? err : EINVAL, "open", room->detail};
}

Failed unknown(const char* call, const char* kind, const char* name, const char* path, AccountRoom* room) {
  snprintf(room->detail, sizeof room->detail, "there is no %s %.32s in the guest's /%s", kind, name, path);
  return {ENOENT, call, room->detail};
}

// False when a text does not fit: such an entry is none.
bool set(char* text, const char* name, const char* value) {
  int n = snprintf(text, AccountRoom::longest_text, "%s=%s", name, value);
  return n > 0 && static_cast<size_t>(n) < AccountRoom::longest_text;
}

struct Entry {
  const char* name;
  unsigned uid, gid;
  const char* home;
  const char* shell;
};

bool parse_entry(char* line, Entry* entry) {
  char* f[7];
  if (split(line, f, 7) != 7 || !*f[0] || !parse_id(f[2], &entry->uid) || !parse_id(f[3], &entry->gid)) return false;
  entry->name = f[0];
  entry->home = *f[5] == '/' ? f[5] : "/";
  entry->shell = *f[6] ? f[6] : "/bin/sh";  // passwd(5)
  return true;
}

Failed find_user(Spec* spec, AccountRoom* room, bool* found) {
  *found = false;
  GuestLines lines(passwd);
  while (char* line = lines.next()) {
    Entry entry{};
    if (!parse_entry(line, &entry)) continue;
    if (spec->user ? strcmp(entry.name, spec->user) != 0 : entry.uid != spec->uid) continue;
    *found = set(room->name, "USER", entry.name) && set(room->logname, "LOGNAME", entry.name) &&
             set(room->home, "HOME", entry.home) && set(room->shell, "SHELL", entry.shell);
    if (!*found) continue;
    spec->uid = entry.uid;
    if (!spec->has_gid) spec->gid = entry.gid;
    return {};
  }
  if (is_for_later(lines.error()) || (spec->user && !is_missing(lines.error())))
    return unreadable(lines.error(), passwd, room);
  if (spec->user) return unknown("getpwnam", "user", spec->user, passwd, room);
  if (!spec->has_gid) spec->gid = spec->uid == 0 ? 0 : nogroup;
  set(room->home, "HOME", "/");
  return {};
}

// The group that was asked for by name, and those that the user is a member of.
Failed find_groups(Spec* spec, AccountRoom* room, const char* member) {
  bool found = !spec->group_name;
  size_t count = 0;
  GuestLines lines(group);
  while (char* line = lines.next()) {
    char* f[4];
    unsigned gid = 0;
    size_t fields = split(line, f, 4);
    if (fields < 3 || !parse_id(f[2], &gid)) continue;
    if (!found && !strcmp(f[0], spec->group_name)) {
      spec->gid = gid;
      found = true;
    }
    if (!member || fields < 4 || !has_name(f[3], member)) continue;
    if (count == AccountRoom::most_groups) return {E2BIG, "getgrouplist", "the user is in more than 1024 groups"};
    room->groups[count++] = gid;
  }
  if (is_for_later(lines.error()) || (!found && !is_missing(lines.error())))
    return unreadable(lines.error(), group, room);
  if (!found) return unknown("getgrnam", "group", spec->group_name, group, room);
  if (!member) return {};
  spec->groups = room->groups;
  spec->group_count = count;
  return {};
}

bool has_env(const Spec& spec, const char* variable) {
  size_t length = strcspn(variable, "=") + 1;
  for (size_t i = 0; i < spec.env.count; i++)
    if (!strncmp(spec.env.items[i], variable, length)) return true;
  return false;
}

}  // namespace

Failed find_account(Spec* spec, AccountRoom* room) {
  if (!spec->has_account) return {};
  if (spec->env.count + 5 > AccountRoom::most_env) return {E2BIG, "execve", "environment"};
  bool found = false;
  if (Failed failed = find_user(spec, room, &found); failed.code) return failed;
  // Who asks for a group asks for no other.
  const char* member = found && !spec->has_gid && !spec->has_groups ? room->name + strlen("USER=") : nullptr;
  if (member || spec->group_name)
    if (Failed failed = find_groups(spec, room, member); failed.code) return failed;
  size_t count = spec->env.count;
  memcpy(room->env, spec->env.items, count * sizeof *room->env);
  char* of_entry[] = {room->home, room->name, room->logname, room->shell};
  for (size_t i = 0; i < (found ? 4 : 1); i++)
    if (!has_env(*spec, of_entry[i])) room->env[count++] = of_entry[i];
  room->env[count] = nullptr;
  spec->env = {room->env, count};
  return {};
}
