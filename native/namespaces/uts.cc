#include "uts.h"

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <functional>
#include <system_error>
#include <thread>

namespace {

// In a thread of its own: a namespace belongs to a thread, and one that ends cannot fail to come back.
Result in_uts_of(int pid1, const std::function<Result()>& work) {
  Result result;
  try {
    std::thread([&] { result = setns(pid1, CLONE_NEWUTS) < 0 ? failed("setns") : work(); }).join();
  } catch (const std::system_error& error) {
    return failed("pthread_create", error.code().value());
  }
  return result;
}

}  // namespace

Result get_uts_names(int pid1, UtsNames* names) {
  return in_uts_of(pid1, [&] {
    utsname uts;
    if (uname(&uts) < 0) return failed("uname");
    *names = {uts.nodename, uts.domainname};
    return ok();
  });
}

Result set_nodename(int pid1, const std::string& value) {
  return in_uts_of(pid1, [&] { return sethostname(value.data(), value.size()) < 0 ? failed("sethostname") : ok(); });
}

Result set_domainname(int pid1, const std::string& value) {
  return in_uts_of(pid1,
                   [&] { return setdomainname(value.data(), value.size()) < 0 ? failed("setdomainname") : ok(); });
}
