#include "notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <cstddef>
#include <cstring>

#include "../fd.h"

Result notify(const std::string& address, const std::string& state) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  bool is_abstract = !address.empty() && address[0] == '@';
  if (!is_abstract && (address.empty() || address[0] != '/')) return failed("connect", EINVAL);
  if (address.size() >= sizeof to.sun_path) return failed("connect", ENAMETOOLONG);
  memcpy(to.sun_path, address.data(), address.size());
  if (is_abstract) to.sun_path[0] = '\0';
  // Of an abstract name every byte counts, so the length ends with the name (unix(7)).
  size_t size = offsetof(sockaddr_un, sun_path) + address.size() + (is_abstract ? 0 : 1);

  Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return failed("socket");
  if (sendto(socket.get(), state.data(), state.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
             reinterpret_cast<const sockaddr*>(&to), static_cast<socklen_t>(size)) < 0)
    return failed("sendto");
  return ok();
}
