// Names of a UTS namespace that is not ours.
#pragma once
#include <sys/types.h>
#include <string>

#include "../result.h"

struct UtsNames {
  std::string nodename;
  std::string domainname;
};

// `pid1` is a pidfd of a process in the namespace (setns(2), Linux 5.8).
Result get_uts_names(int pid1, UtsNames* names);
Result set_nodename(int pid1, const std::string& value);
Result set_domainname(int pid1, const std::string& value);
