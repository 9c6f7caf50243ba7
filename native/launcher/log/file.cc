// `<xid>.log` in LOG_FD, a directory of the host: the format of the CRI ("2016-10-06T00:17:09.669794202Z stdout F
// text", kubernetes/design-proposals-archive, node/kubelet-cri-logging.md), rotated by size.
//
// Several launchers write the log of one context, and one of a context that is long gone may still do so when its xid
// has a new one. Whose log it is stands in `.<xid>`, on which all of them take their turns.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "../protocol/spec.h"
#include "sink.h"

namespace {

constexpr size_t head_size = sizeof "2016-10-06T00:17:09.669794202Z stdout F " - 1;
constexpr size_t batch_size = log_size_min;
constexpr size_t name_size = 32;
constexpr size_t owner_size = 64;
constexpr int open_flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;

alignas(4096) char batch[batch_size];

class LogFile final : public LogSink {
 public:
  void begin(const Spec& spec);
  void add(const LogLine& line) override;
  void flush() override;
  void rest() override;

 private:
  bool lock();
  bool take_turn();
  bool is_ours();
  bool open_current(size_t more);
  void number();
  void rotate();
  void remove_all();
  bool append(const char* data, size_t size);
  bool tell_of_lost();
  void write_head(char* to, const timespec& time, int stream, char tag);
  void close_log();
  void name_of(char name[name_size], unsigned number) const;

  const char* xid_ = nullptr;
  const char* owner_ = nullptr;  // "BOOT_ID NUMBER", a greater number is a later context's
  off_t limit_ = 0;              // bytes of one file
  unsigned files_ = 1;
  size_t used_ = 0;    // bytes of the batch
  int turn_ = -1;      // `.<xid>`
  int log_ = -1;       // `<xid>.log`, as far as we know
  ino_t inode_ = 0;    // of log_
  uint64_t lost_ = 0;  // bytes
  int reason_ = 0;     // errno
  time_t second_ = -1;
  char date_[80] = "";  // of second_, "2016-10-06T00:17:09"
};

LogFile file;

// Not gmtime_r(3): its first call reads /etc/localtime, which for a shim is the guest's.
void print_date(char* text, size_t size, time_t second) {
  constexpr time_t day = 86400;
  time_t left = second / day, of_day = second % day;
  int year = 1970, month = 0;
  auto is_leap = [&year] { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; };
  for (int days; left >= (days = is_leap() ? 366 : 365); year++) left -= days;
  const int months[] = {31, is_leap() ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  for (; left >= months[month]; month++) left -= months[month];
  snprintf(text, size, "%04d-%02d-%02dT%02d:%02d:%02d", year, month + 1, static_cast<int>(left) + 1,
           static_cast<int>(of_day / 3600), static_cast<int>(of_day / 60 % 60), static_cast<int>(of_day % 60));
}

void LogFile::begin(const Spec& spec) {
  xid_ = spec.log;
  owner_ = spec.log_owner;
  limit_ = static_cast<off_t>(spec.log_size);
  files_ = spec.log_files;
}

// 0: the current one.
void LogFile::name_of(char name[name_size], unsigned number) const {
  if (number == 0)
    snprintf(name, name_size, "%.5s.log", xid_);
  else
    snprintf(name, name_size, "%.5s.log.%u", xid_, number);
}

void LogFile::write_head(char* to, const timespec& time, int stream, char tag) {
  if (time.tv_sec != second_) {
    second_ = time.tv_sec;
    print_date(date_, sizeof date_, second_);
  }
  char head[128];
  snprintf(head, sizeof head, "%.19s.%09ldZ %s %c ", date_, time.tv_nsec, log_streams[stream], tag);
  memcpy(to, head, head_size);
}

void LogFile::add(const LogLine& line) {
  size_t size = head_size + line.size + 1;
  if (used_ + size > batch_size) flush();
  char* at = batch + used_;
  write_head(at, line.time, line.stream, line.is_whole ? 'F' : 'P');
  memcpy(at + head_size, line.text, line.size);
  at[size - 1] = '\n';
  used_ += size;
}

bool LogFile::lock() {
  int result;
  do result = flock(turn_, LOCK_EX);
  while (result < 0 && errno == EINTR);
  return result == 0;
}

// Compares "BOOT_ID NUMBER"s. The launchers of an earlier boot are gone.
bool is_later(const char* theirs, const char* ours) {
  const char *a = strchr(theirs, ' '), *b = strchr(ours, ' ');
  if (!a || !b || a - theirs != b - ours || strncmp(theirs, ours, static_cast<size_t>(b - ours)) != 0) return false;
  return strtoull(a, nullptr, 10) > strtoull(b, nullptr, 10);
}

// Our turn has come. Whose log is it? False with ESTALE when it is that of a later context of this xid.
bool LogFile::is_ours() {
  char theirs[owner_size] = "";
  ssize_t n = pread(turn_, theirs, sizeof theirs - 1, 0);
  if (n < 0) return false;
  if (!strcmp(theirs, owner_)) return true;
  if (is_later(theirs, owner_)) return errno = ESTALE, false;
  // Nobody is to read our lines as those of the one before, or its lines as ours.
  ssize_t size = static_cast<ssize_t>(strlen(owner_));
  if (ftruncate(turn_, 0) < 0) return false;
  remove_all();
  return pwrite(turn_, owner_, static_cast<size_t>(size), 0) == size;
}

// False with errno when nothing can be written down.
bool LogFile::take_turn() {
  char name[name_size];
  snprintf(name, sizeof name, ".%.5s", xid_);
  // The daemon may have removed it, with the log.
  for (int tries = 0; tries < 3; tries++) {
    if (turn_ < 0) turn_ = openat(LOG_FD, name, O_RDWR | O_CREAT | open_flags, 0640);
    if (turn_ < 0 || !lock()) return false;
    struct stat info;
    if (fstat(turn_, &info) == 0 && info.st_nlink > 0) return is_ours();
    close(turn_);
    turn_ = -1;
  }
  return errno = ENOENT, false;
}

void LogFile::close_log() {
  if (log_ >= 0) close(log_);
  log_ = -1;
}

void LogFile::remove_all() {
  close_log();
  for (unsigned number = 0;; number++) {
    char name[name_size];
    name_of(name, number);
    // The log before may have had more files.
    if (unlinkat(LOG_FD, name, 0) < 0 && number >= files_) return;
  }
}

void LogFile::rotate() {
  close_log();
  char from[name_size], to[name_size];
  for (unsigned number = files_ - 1; number > 0; number--) {
    name_of(from, number - 1);
    name_of(to, number);
    renameat(LOG_FD, from, LOG_FD, to);
  }
  name_of(from, 0);
  unlinkat(LOG_FD, from, 0);  // of one file alone
}

// Gives a new file the number after that of the one before, so that a reader can tell whether there was another in
// between. Not where the file system has no such attributes.
void LogFile::number() {
  constexpr const char* attribute = "trusted.contextd.number";
  char text[24] = "";
  if (fgetxattr(turn_, attribute, text, sizeof text - 1) < 0 && errno != ENODATA) return;
  int size = snprintf(text, sizeof text, "%llu", strtoull(text, nullptr, 10) + 1);
  if (fsetxattr(turn_, attribute, text, static_cast<size_t>(size), 0) == 0)
    fsetxattr(log_, attribute, text, static_cast<size_t>(size), 0);
}

// Opens the log that is there now, with room for so many bytes.
bool LogFile::open_current(size_t more) {
  char name[name_size];
  name_of(name, 0);
  struct stat info;
  bool is_there = fstatat(LOG_FD, name, &info, AT_SYMLINK_NOFOLLOW) == 0;
  if (is_there && info.st_size > 0 && info.st_size + static_cast<off_t>(more) > limit_) {
    rotate();
    is_there = false;
  }
  if (log_ >= 0 && is_there && info.st_ino == inode_) return true;
  close_log();
  log_ = openat(LOG_FD, name, O_WRONLY | O_APPEND | O_CREAT | open_flags, 0640);
  if (log_ < 0 || fstat(log_, &info) < 0) return false;
  inode_ = info.st_ino;
  if (!is_there) number();
  return true;
}

// Lines whole or not at all: a reader may be there, and others write on behind them.
bool LogFile::append(const char* data, size_t size) {
  off_t before = lseek(log_, 0, SEEK_END);
  ssize_t n = write(log_, data, size);
  if (n == static_cast<ssize_t>(size)) return true;
  if (n >= 0) errno = ENOSPC;
  int saved = errno;
  size_t kept = n < 0 ? 0 : static_cast<size_t>(n);
  while (kept > 0 && data[kept - 1] != '\n') kept--;
  if (n > 0 && ftruncate(log_, before + static_cast<off_t>(kept)) < 0) saved = errno;
  lost_ += size - kept;
  reason_ = saved;
  return false;
}

// In the log itself, where those look who miss something.
bool LogFile::tell_of_lost() {
  if (lost_ == 0) return true;
  char text[160];
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  write_head(text, now, 1, 'F');
  int n = snprintf(text + head_size, sizeof text - head_size, "contextd: %" PRIu64 " bytes of this log were lost: %s\n",
                   lost_, strerror(reason_));
  uint64_t lost = lost_;
  if (!append(text, head_size + static_cast<size_t>(n))) {
    lost_ = lost;  // of the guest's alone
    return false;
  }
  lost_ = 0;
  return true;
}

void LogFile::flush() {
  if (used_ == 0) return;
  if (!take_turn() || !open_current(used_) || !tell_of_lost()) {
    lost_ += used_;
    reason_ = errno;
  } else {
    append(batch, used_);
  }
  used_ = 0;
  if (turn_ >= 0) flock(turn_, LOCK_UN);
}

void LogFile::rest() {
  madvise(batch, sizeof batch, MADV_DONTNEED);
  // Nothing of the disk is kept busy by a context that is silent.
  close_log();
  if (turn_ >= 0) close(turn_);
  turn_ = -1;
}

}  // namespace

LogSink* log_file(const Spec& spec) {
  file.begin(spec);
  return &file;
}
