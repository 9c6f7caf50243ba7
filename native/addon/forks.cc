// Counting forks.
#include "../namespaces/forks.h"

#include "glue.h"

namespace {

using Info = const Napi::CallbackInfo&;

ForkCounter counter_arg(Info info) { return {-1, int_arg(info, 0), int_arg(info, 1)}; }

Napi::Value open_fork_counter_(Info info) {
  ForkCounter counter{};
  check(info, open_fork_counter(string_arg(info, 0), static_cast<uint32_t>(int_arg(info, 1)), &counter));
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("link", Napi::Number::New(info.Env(), counter.link));
  object.Set("slots", Napi::Number::New(info.Env(), counter.slots));
  object.Set("counters", Napi::Number::New(info.Env(), counter.counters));
  return object;
}

Napi::Value count_forks_(Info info) {
  uint64_t key = 0;
  check(info, count_forks(counter_arg(info), string_arg(info, 2), static_cast<uint32_t>(int_arg(info, 3)),
                          static_cast<uint64_t>(info[4].ToNumber().Int64Value()), &key));
  return Napi::BigInt::New(info.Env(), key);
}

Napi::Value find_forks_(Info info) {
  uint64_t key = 0;
  Result result = find_forks(counter_arg(info), string_arg(info, 2), &key);
  check(info, result);
  return result.value == 1 ? Napi::Value(Napi::BigInt::New(info.Env(), key)) : info.Env().Undefined();
}

Napi::Value read_forks_(Info info) {
  uint64_t forks = 0;
  check(info, read_forks(counter_arg(info), static_cast<uint32_t>(int_arg(info, 2)), &forks));
  return Napi::Number::New(info.Env(), static_cast<double>(forks));
}

void forget_forks_(Info info) { check(info, forget_forks(counter_arg(info), word_arg(info, 2))); }

Napi::Value list_forks_(Info info) {
  std::vector<uint64_t> keys;
  check(info, list_forks(counter_arg(info), &keys));
  Napi::Array array = Napi::Array::New(info.Env());
  for (uint32_t i = 0; i < keys.size(); i++) array.Set(i, Napi::BigInt::New(info.Env(), keys[i]));
  return array;
}

}  // namespace

void export_forks(Napi::Env env, Napi::Object exports) {
  exports.Set("openForkCounter", Napi::Function::New<open_fork_counter_>(env));
  exports.Set("countForks", Napi::Function::New<count_forks_>(env));
  exports.Set("findForks", Napi::Function::New<find_forks_>(env));
  exports.Set("readForks", Napi::Function::New<read_forks_>(env));
  exports.Set("forgetForks", Napi::Function::New<forget_forks_>(env));
  exports.Set("listForks", Napi::Function::New<list_forks_>(env));
}
