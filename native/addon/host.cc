// Files, sockets and attributes of the host.
#include "../namespaces/attributes.h"
#include "../namespaces/peer.h"
#include "../namespaces/reserve.h"
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

Napi::Value peer_groups_(Info info) {
  std::vector<gid_t> groups;
  check(info, peer_groups(int_arg(info, 0), &groups));
  Napi::Array array = Napi::Array::New(info.Env(), groups.size());
  for (uint32_t i = 0; i < groups.size(); i++) array.Set(i, Napi::Number::New(info.Env(), groups[i]));
  return array;
}

Napi::Value peer_is_alive_(Info info) {
  Result result = peer_is_alive(int_arg(info, 0));
  check(info, result);
  return Napi::Boolean::New(info.Env(), result.value == 1);
}

Napi::Value has_hung_up_(Info info) {
  Result result = has_hung_up(int_arg(info, 0));
  check(info, result);
  return Napi::Boolean::New(info.Env(), result.value == 1);
}

Napi::Value try_lock_(Info info) {
  Result result = try_lock(int_arg(info, 0));
  check(info, result);
  return Napi::Boolean::New(info.Env(), result.value == 1);
}

Napi::Value reserve_(Info info) {
  Result result = reserve(int_arg(info, 0), offset_arg(info, 1), offset_arg(info, 2));
  check(info, result);
  return Napi::Boolean::New(info.Env(), result.value == 1);
}

Napi::Value size_unless_removed_(Info info) { return number(info, size_unless_removed(int_arg(info, 0))); }

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

Napi::Value get_attributes_(Info info) {
  std::map<std::string, std::string> values;
  check(info, get_attributes(string_arg(info, 0), string_arg(info, 1), &values));
  Napi::Object object = Napi::Object::New(info.Env());
  for (const auto& [name, value] : values) object.Set(name, Napi::String::New(info.Env(), value));
  return object;
}

}  // namespace

void export_host(Napi::Env env, Napi::Object exports) {
  exports.Set("peerCredentials", Napi::Function::New<peer_credentials_>(env));
  exports.Set("peerGroups", Napi::Function::New<peer_groups_>(env));
  exports.Set("peerIsAlive", Napi::Function::New<peer_is_alive_>(env));
  exports.Set("hasHungUp", Napi::Function::New<has_hung_up_>(env));
  exports.Set("tryLock", Napi::Function::New<try_lock_>(env));
  exports.Set("reserve", Napi::Function::New<reserve_>(env));
  exports.Set("sizeUnlessRemoved", Napi::Function::New<size_unless_removed_>(env));
  exports.Set("checkRoot", Napi::Function::New<check_root_>(env));
  exports.Set("setAttribute", Napi::Function::New<set_attribute_>(env));
  exports.Set("getAttribute", Napi::Function::New<get_attribute_>(env));
  exports.Set("getAttributes", Napi::Function::New<get_attributes_>(env));
}
