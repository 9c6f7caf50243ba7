// Between JavaScript values and the system code. Nothing here makes a system call.
#pragma once
#include <napi.h>

#include "../namespaces/result.h"

// An Error with `errno` (positive) and `syscall`; the TypeScript side adds the code's name.
inline Napi::Error error_of(Napi::Env env, const Result& result) {
  Napi::Error error = Napi::Error::New(env, result.call);
  error.Set("errno", Napi::Number::New(env, result.code));
  error.Set("syscall", Napi::String::New(env, result.call));
  return error;
}

inline void check(const Napi::CallbackInfo& info, const Result& result) {
  if (result.code) throw error_of(info.Env(), result);
}

// Arguments come from our own TypeScript, whose types are checked; a wrong one still must not crash the daemon.
inline int int_arg(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsNumber()) throw Napi::TypeError::New(info.Env(), "expected a number");
  return info[index].As<Napi::Number>().Int32Value();
}
inline std::string string_arg(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsString()) throw Napi::TypeError::New(info.Env(), "expected a string");
  return info[index].As<Napi::String>().Utf8Value();
}

void export_process(Napi::Env env, Napi::Object exports);
void export_host(Napi::Env env, Napi::Object exports);
