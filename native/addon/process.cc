// Launcher, signals, UTS names.
#include "../namespaces/signal.h"
#include "../namespaces/spawn.h"
#include "../namespaces/uts.h"
#include "glue.h"

namespace {

using Info = const Napi::CallbackInfo&;

Napi::Value number(Info info, const Result& result) {
  check(info, result);
  return Napi::Number::New(info.Env(), static_cast<double>(result.value));
}

Napi::Value sealed_copy_(Info info) { return number(info, sealed_copy(string_arg(info, 0))); }

Napi::Value spawn_launcher_(Info info) {
  int socket = -1;
  Result result = spawn_launcher(int_arg(info, 0), int_arg(info, 1), int_arg(info, 2), &socket);
  check(info, result);
  Napi::Object started = Napi::Object::New(info.Env());
  started.Set("pid", Napi::Number::New(info.Env(), static_cast<double>(result.value)));
  started.Set("socket", Napi::Number::New(info.Env(), socket));
  return started;
}

Napi::Value reap_(Info info) {
  Result result = reap(int_arg(info, 0));
  check(info, result);
  return Napi::Boolean::New(info.Env(), result.value == 1);
}

Members members_arg(Info info, size_t index) { return {string_arg(info, index), string_arg(info, index + 1)}; }

Napi::Value open_member_(Info info) { return number(info, open_member(members_arg(info, 0), int_arg(info, 2))); }

Napi::Value signal_member_(Info info) {
  return number(info, signal_member(members_arg(info, 0), int_arg(info, 2), int_arg(info, 3), int_arg(info, 4)));
}

Napi::Value signal_members_(Info info) {
  return number(info, signal_members(members_arg(info, 0), int_arg(info, 2), int_arg(info, 3), int_arg(info, 4)));
}

Napi::Value get_uts_names_(Info info) {
  UtsNames names;
  check(info, get_uts_names(int_arg(info, 0), &names));
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("nodename", Napi::String::New(info.Env(), names.nodename));
  object.Set("domainname", Napi::String::New(info.Env(), names.domainname));
  return object;
}

Napi::Value set_nodename_(Info info) { return number(info, set_nodename(int_arg(info, 0), string_arg(info, 1))); }
Napi::Value set_domainname_(Info info) { return number(info, set_domainname(int_arg(info, 0), string_arg(info, 1))); }

}  // namespace

void export_process(Napi::Env env, Napi::Object exports) {
  exports.Set("sealedCopy", Napi::Function::New<sealed_copy_>(env));
  exports.Set("spawnLauncher", Napi::Function::New<spawn_launcher_>(env));
  exports.Set("reap", Napi::Function::New<reap_>(env));
  exports.Set("openMember", Napi::Function::New<open_member_>(env));
  exports.Set("signalMember", Napi::Function::New<signal_member_>(env));
  exports.Set("signalMembers", Napi::Function::New<signal_members_>(env));
  exports.Set("getUtsNames", Napi::Function::New<get_uts_names_>(env));
  exports.Set("setNodename", Napi::Function::New<set_nodename_>(env));
  exports.Set("setDomainname", Napi::Function::New<set_domainname_>(env));
}
