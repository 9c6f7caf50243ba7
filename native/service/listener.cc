#include "listener.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <cstddef>
#include <cstring>

namespace {

// An option of the socket, or -1 where it has none, which is so for every other kind of file.
int option_of(int fd, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  return getsockopt(fd, SOL_SOCKET, name, &value, &size) < 0 ? -1 : value;
}

}  // namespace

Result adopt_listener(int fd, std::string* path) {
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return failed("fcntl");
  if (option_of(fd, SO_DOMAIN) != AF_UNIX || option_of(fd, SO_TYPE) != SOCK_STREAM || option_of(fd, SO_ACCEPTCONN) != 1)
    return ok(0);
  sockaddr_un address{};
  socklen_t size = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) < 0) return failed("getsockname");
  if (size > offsetof(sockaddr_un, sun_path)) {
    size_t length = size - offsetof(sockaddr_un, sun_path);
    if (address.sun_path[0] == '\0')
      *path = "@" + std::string(address.sun_path + 1, length - 1);
    else
      *path = std::string(address.sun_path, strnlen(address.sun_path, length));
  }
  return ok(1);
}
