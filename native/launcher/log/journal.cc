// The journal of the host, by its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): one datagram a line, to a
// socket in LOG_FD, a directory of the host. journald takes down which process a message comes from; that is the
// launcher.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "../../syscalls.h"
#include "../protocol/report.h"
#include "sink.h"

namespace {

// What a guest writes at once may be more than waits in the socket at a time (net.unix.max_dgram_qlen). A journal that
// takes nothing for so long is not waited for again until it does.
constexpr long patience_ms = 1000;
constexpr size_t fields_size = 512;
// As container engines have it: LOG_INFO and LOG_ERR of syslog(3).
constexpr int priorities[] = {6, 3};
constexpr int warning = 4;

struct Message {
  int priority;
  int stream;
  bool is_whole;
  const char* text;
  size_t size;
};

class Journal final : public LogSink {
 public:
  void begin(const Spec& spec);
  void add(const LogLine& line) override;
  void flush() override {}  // each line is a message
  void rest() override { disconnect(); }

 private:
  bool send(const Message& message);
  bool send_parts(iovec* parts, size_t count);
  bool send_in_file(const iovec* parts, size_t count);
  bool transmit(const msghdr& message);
  bool connect();
  bool wait_for_room();
  void disconnect();
  bool tell_of_lost();

  const char* name_ = nullptr;  // of the socket
  const char* xid_ = nullptr;
  const char* owner_ = nullptr;
  int socket_ = -1;
  bool is_stuck_ = false;
  uint64_t lost_ = 0;  // bytes
  int reason_ = 0;     // errno
};

Journal journal;

void Journal::begin(const Spec& spec) {
  name_ = spec.log_journal;
  xid_ = spec.log;
  owner_ = spec.log_owner;
}

void Journal::disconnect() {
  if (socket_ >= 0) close(socket_);
  socket_ = -1;
}

// False with errno when no journal is there.
bool Journal::connect() {
  if (socket_ >= 0) return true;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (strlen(name_) >= sizeof address.sun_path) return errno = ENAMETOOLONG, false;
  strcpy(address.sun_path, name_);
  int made = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (made < 0) return false;
  // There is no connectat(2), and in a shim's own mount namespace no path leads to the host's directory.
  int result = fchdir(LOG_FD);
  if (result == 0) result = ::connect(made, reinterpret_cast<sockaddr*>(&address), sizeof address);
  int saved = errno;
  if (chdir("/") < 0 && result == 0) result = -1, saved = errno;
  if (result < 0) {
    close(made);
    return errno = saved, false;
  }
  socket_ = made;
  return true;
}

bool Journal::wait_for_room() {
  if (is_stuck_) return false;
  pollfd room{socket_, POLLOUT, 0};
  long end = now_ms() + patience_ms;
  int n;
  do {
    long left = end - now_ms();
    n = ::poll(&room, 1, left > 0 ? static_cast<int>(left) : 0);
  } while (n < 0 && errno == EINTR);
  is_stuck_ = n <= 0;
  return !is_stuck_;
}

bool Journal::transmit(const msghdr& message) {
  // A journald that was started again has another socket, or the same, which systemd has kept.
  for (bool is_new = socket_ < 0;; is_new = true) {
    if (!connect()) return false;
    for (;;) {
      if (sendmsg(socket_, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) {
        is_stuck_ = false;
        return true;
      }
      if (errno == EINTR) continue;
      if (errno != EAGAIN) break;
      if (!wait_for_room()) return errno = EAGAIN, false;
    }
    if (is_new || (errno != ECONNREFUSED && errno != ENOTCONN && errno != ECONNRESET)) return false;
    disconnect();
  }
}

bool Journal::send_parts(iovec* parts, size_t count) {
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = count;
  if (transmit(message)) return true;
  return (errno == EMSGSIZE || errno == ENOBUFS) && send_in_file(parts, count);
}

// What is too large for a datagram (net.core.wmem_default) comes as a sealed file in memory.
bool Journal::send_in_file(const iovec* parts, size_t count) {
  int file = memfd_create("contextd-log", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (file < 0) return false;
  size_t size = 0;
  for (size_t i = 0; i < count; i++) size += parts[i].iov_len;
  constexpr int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
  bool is_sent = writev(file, parts, static_cast<int>(count)) == static_cast<ssize_t>(size) &&
                 fcntl(file, F_ADD_SEALS, seals) == 0;
  if (is_sent) {
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof file)] = {};
    msghdr message{};
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof file);
    memcpy(CMSG_DATA(rights), &file, sizeof file);
    is_sent = transmit(message);
  }
  int saved = errno;
  close(file);
  errno = saved;
  return is_sent;
}

bool Journal::send(const Message& message) {
  char fields[fields_size];
  int n = snprintf(fields, sizeof fields,
                   "PRIORITY=%d\nSYSLOG_IDENTIFIER=contextd-guest\nCONTEXTD_XID=%s\nCONTEXTD_STREAM=%s\n"
                   "CONTEXTD_TAG=%c\nCONTEXTD_OWNER=%s\nMESSAGE\n",
                   message.priority, xid_, log_streams[message.stream], message.is_whole ? 'F' : 'P', owner_);
  if (n < 0 || static_cast<size_t>(n) >= sizeof fields) return errno = ENAMETOOLONG, false;
  // A guest chooses the text: with its size before it, nothing in it can be taken for another field.
  unsigned char size[8];
  for (unsigned i = 0; i < sizeof size; i++) size[i] = static_cast<unsigned char>(uint64_t{message.size} >> (8 * i));
  char end = '\n';
  iovec parts[] = {{fields, static_cast<size_t>(n)},
                   {size, sizeof size},
                   {const_cast<char*>(message.text), message.size},
                   {&end, 1}};
  return send_parts(parts, sizeof parts / sizeof *parts);
}

// In the journal itself, where those look who miss something.
bool Journal::tell_of_lost() {
  if (lost_ == 0) return true;
  char text[160];
  int n =
      snprintf(text, sizeof text, "contextd: %" PRIu64 " bytes of this log were lost: %s", lost_, strerror(reason_));
  if (!send({warning, 1, true, text, static_cast<size_t>(n)})) return false;
  lost_ = 0;
  return true;
}

void Journal::add(const LogLine& line) {
  if (tell_of_lost() && send({priorities[line.stream], line.stream, line.is_whole, line.text, line.size})) return;
  lost_ += line.size + 1;
  reason_ = errno;
}

}  // namespace

LogSink* log_journal(const Spec& spec) {
  journal.begin(spec);
  return &journal;
}
