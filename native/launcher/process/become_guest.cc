#include "become_guest.h"

#include "pipes.h"
#include "privileges.h"
#include "seccomp.h"

Failed become_guest(Spec* spec, AccountRoom* room) {
  Failed failed = find_account(spec, room);
  if (failed.code) return failed;
  give_stdio(spec->uid, spec->gid);
  if (spec->ignore_nice) failed = ignore_negative_nice(spec->bcaps & cap_sys_nice);
  if (!failed.code) failed = refuse_guests_calls(spec->bcaps & cap_sys_admin);
  if (!failed.code) failed = drop_privileges(*spec);
  return failed;
}
