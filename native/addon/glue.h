// Between JavaScript values and the system code. Nothing here makes a system call.
#pragma once
#include <napi.h>

#include "../result.h"

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

// The value of a call that succeeded.
inline Napi::Value number(const Napi::CallbackInfo& info, const Result& result) {
  check(info, result);
  return Napi::Number::New(info.Env(), static_cast<double>(result.value));
}

// Arguments come from our own TypeScript, whose types are checked; a wrong one still must not crash the daemon.
inline int int_arg(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsNumber()) throw Napi::TypeError::New(info.Env(), "expected a number");
  return info[index].As<Napi::Number>().Int32Value();
}
// A position in a file, which a double holds exactly up to 2^53.
inline int64_t offset_arg(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsNumber()) throw Napi::TypeError::New(info.Env(), "expected a number");
  return info[index].As<Napi::Number>().Int64Value();
}
inline std::string string_arg(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsString()) throw Napi::TypeError::New(info.Env(), "expected a string");
  return info[index].As<Napi::String>().Utf8Value();
}

inline uint64_t word_arg(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsBigInt()) throw Napi::TypeError::New(info.Env(), "expected a bigint");
  bool lossless = false;
  return info[index].As<Napi::BigInt>().Uint64Value(&lossless);
}

void export_process(Napi::Env env, Napi::Object exports);
void export_lines(Napi::Env env, Napi::Object exports);
void export_host(Napi::Env env, Napi::Object exports);
void export_service(Napi::Env env, Napi::Object exports);
void export_forks(Napi::Env env, Napi::Object exports);
void export_vserver(Napi::Env env, Napi::Object exports);
