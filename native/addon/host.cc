// Files, sockets and attributes of the host.
#include "../namespaces/attributes.h"
#include "../namespaces/peer.h"
#include "../namespaces/spawn.h"
#include "glue.h"

namespace {

using Info = const Napi::CallbackInfo&;

Napi::Value peer_credentials_(Info info) {
  Peer peer{};
  check(info, peer_credentials(int_arg(info, 0), &peer));
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("pid", Napi::Number::New(info.Env(), peer.pid));
  object.Set("uid", Napi::Number::New(info.Env(), peer.uid));
  object.Set("gid", Napi::Number::New(info.Env(), peer.gid));
  return object;
}

Napi::Value peer_is_alive_(Info info) {
  Result result = peer_is_alive(int_arg(info, 0));
  check(info, result);
  return Napi::Boolean::New(info.Env(), result.value == 1);
}

Napi::Value try_lock_(Info info) {
  Result result = try_lock(int_arg(info, 0));
  check(info, result);
  return Napi::Boolean::New(info.Env(), result.value == 1);
}

void check_root_(Info info) { check(info, check_root(string_arg(info, 0))); }

void set_attribute_(Info info) {
  check(info, set_attribute(string_arg(info, 0), string_arg(info, 1), string_arg(info, 2)));
}

Napi::Value get_attribute_(Info info) {
  std::string value;
  bool found = false;
  check(info, get_attribute(string_arg(info, 0), string_arg(info, 1), &value, &found));
  return found ? Napi::Value(Napi::String::New(info.Env(), value)) : info.Env().Undefined();
}

}  // namespace

void export_host(Napi::Env env, Napi::Object exports) {
  exports.Set("peerCredentials", Napi::Function::New<peer_credentials_>(env));
  exports.Set("peerIsAlive", Napi::Function::New<peer_is_alive_>(env));
  exports.Set("tryLock", Napi::Function::New<try_lock_>(env));
  exports.Set("checkRoot", Napi::Function::New<check_root_>(env));
  exports.Set("setAttribute", Napi::Function::New<set_attribute_>(env));
  exports.Set("getAttribute", Napi::Function::New<get_attribute_>(env));
}
