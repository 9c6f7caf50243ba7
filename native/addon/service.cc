// What the service manager passes, and is told.
#include "../service/listener.h"
#include "../service/notify.h"
#include "glue.h"

namespace {

using Info = const Napi::CallbackInfo&;

void notify_(Info info) { check(info, notify(string_arg(info, 0), string_arg(info, 1))); }

Napi::Value adopt_listener_(Info info) {
  std::string path;
  Result result = adopt_listener(int_arg(info, 0), &path);
  check(info, result);
  return result.value == 1 ? Napi::Value(Napi::String::New(info.Env(), path)) : info.Env().Undefined();
}

}  // namespace

void export_service(Napi::Env env, Napi::Object exports) {
  exports.Set("notify", Napi::Function::New<notify_>(env));
  exports.Set("adoptListener", Napi::Function::New<adopt_listener_>(env));
}
