// The commands of vserver(2).
#pragma once

#include <string>

#include "call.h"

struct Field {
  enum Kind { number, signed_number, number64, word16, word32, word64, text };
  const char* name;
  size_t offset;
  Kind kind;
};

struct Layout {
  size_t size;
  Field fields[9];  // until one without a name
};

// What a command needs, and what it does with its data.
constexpr unsigned needs_admin = 1, needs_resource = 2, needs_host = 4, or_setup = 8, needs_context = 16;
constexpr unsigned reads = 32, writes = 64, may_be_null = 128;

struct Command {
  uint32_t number;
  const char* name;
  unsigned needs;
  const Layout* layout;
  long (*run)(Call*);
};

bool is_command(const std::string& name);
// Ends a vserver call: data, trace, answer.
void finish_call(Call* call, long result);
void finish_wait(Call* call, const Context& context);
// Notices the waits that were interrupted.
void prune_waits(Context* context);

long get_version(Call*);  // context_calls.cc
long get_vci(Call*);
long task_xid(Call*);
long vx_info(Call*);
long ctx_stat(Call*);
long virt_stat(Call*);
long ctx_create(Call*);
long create_after_startup(Call*);
long ctx_migrate(Call*);
long get_cflags(Call*);
long set_cflags(Call*);
long get_ccaps(Call*);
long set_ccaps(Call*);
long get_bcaps(Call*);
long set_bcaps(Call*);
long wait_exit(Call*);
long set_vhi_name(Call*);  // names.cc
long get_vhi_name(Call*);
long ctx_kill(Call*);   // signals.cc
long set_space(Call*);  // spaces.cc
long enter_space(Call*);
long get_space_mask(Call*);
