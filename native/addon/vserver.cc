// vserver(2): words cross as BigInts, names as strings.
#include "../vserver/commands.h"

#include <algorithm>
#include <iterator>

#include "../vserver/death.h"
#include "glue.h"

namespace {

using Info = const Napi::CallbackInfo&;
using vserver::MaskedWord;

uint32_t xid_arg(Info info) { return static_cast<uint32_t>(int_arg(info, 0)); }

Napi::Value big(Info info, uint64_t value) { return Napi::BigInt::New(info.Env(), value); }

// Into an array of the caller's, its last argument: properties of a new object would cost more than the call itself.
template <size_t count>
void give(Info info, const uint64_t (&told)[count]) {
  Napi::Value last = info[info.Length() - 1];
  if (!last.IsTypedArray() || last.As<Napi::TypedArray>().TypedArrayType() != napi_biguint64_array ||
      last.As<Napi::TypedArray>().ElementLength() < count)
    throw Napi::TypeError::New(info.Env(), "expected a BigUint64Array that is long enough");
  std::copy(std::begin(told), std::end(told), last.As<Napi::BigUint64Array>().Data());
}

Napi::Value task_xid_(Info info) { return number(info, vserver::task_xid(int_arg(info, 0))); }

// Value: the pid of init, 0 for none.
Napi::Value vx_info_(Info info) {
  vserver::VxInfo data{};
  check(info, vserver::vx_info(xid_arg(info), &data));
  return Napi::Number::New(info.Env(), data.initpid);
}

Napi::Value ctx_stat_(Info info) {
  vserver::CtxStat data{};
  check(info, vserver::ctx_stat(xid_arg(info), &data));
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("usecnt", Napi::Number::New(info.Env(), data.usecnt));
  object.Set("tasks", Napi::Number::New(info.Env(), data.tasks));
  return object;
}

Napi::Value tasks_(Info info) {
  vserver::CtxStat data{};
  check(info, vserver::ctx_stat(xid_arg(info), &data));
  return Napi::Number::New(info.Env(), data.tasks);
}

Napi::Value uptime_(Info info) {
  vserver::VirtStat data{};
  check(info, vserver::virt_stat(xid_arg(info), &data));
  return big(info, data.uptime);
}

void virt_stat_(Info info) {
  vserver::VirtStat data{};
  check(info, vserver::virt_stat(xid_arg(info), &data));
  const uint64_t told[] = {data.offset,    data.uptime,   data.nr_threads, data.nr_running, data.nr_uninterruptible,
                           data.nr_onhold, data.nr_forks, data.load[0],    data.load[1],    data.load[2]};
  give(info, told);
}

template <Result (*get)(uint32_t, MaskedWord*)>
Napi::Value get_word_(Info info) {
  MaskedWord word{};
  check(info, get(xid_arg(info), &word));
  return big(info, word.word);
}

template <Result (*set)(uint32_t, MaskedWord)>
void set_word_(Info info) {
  check(info, set(xid_arg(info), {word_arg(info, 1), word_arg(info, 2)}));
}

void get_cflags_(Info info) {
  MaskedWord word{};
  check(info, vserver::get_cflags(xid_arg(info), &word));
  const uint64_t told[] = {word.word, word.mask};
  give(info, told);
}

Napi::Value get_vhi_name_(Info info) {
  char name[vserver::name_size];
  check(info, vserver::get_vhi_name(xid_arg(info), static_cast<uint32_t>(int_arg(info, 1)), name));
  return Napi::String::New(info.Env(), name);
}

void set_vhi_name_(Info info) {
  uint32_t field = static_cast<uint32_t>(int_arg(info, 1));
  check(info, vserver::set_vhi_name(xid_arg(info), field, string_arg(info, 2).c_str()));
}

void ctx_kill_(Info info) { check(info, vserver::ctx_kill(xid_arg(info), int_arg(info, 1), int_arg(info, 2))); }

Napi::Value get_version_(Info info) { return number(info, vserver::get_version()); }
Napi::Value get_vci_(Info info) { return number(info, vserver::get_vci()); }

Napi::Value get_space_mask_(Info info) {
  uint64_t mask = 0;
  check(info, vserver::get_space_mask(&mask));
  return big(info, mask);
}

// A machine's system call number, -1 for none.
Napi::Value number_on_(Info info) {
  return Napi::Number::New(info.Env(), vserver::number_on(string_arg(info, 0).c_str()));
}

using Handle = std::shared_ptr<vserver::DeathWait>;

struct Ended {
  Result result;
  vserver::WaitExit exit;
};

void tell(Napi::Env env, Napi::Function callback, Ended* ended) {
  std::unique_ptr<Ended> owned(ended);
  if (ended->result.code)
    callback.Call({error_of(env, ended->result).Value()});
  else
    callback.Call(
        {env.Null(), Napi::Number::New(env, ended->exit.reboot_cmd), Napi::Number::New(env, ended->exit.exit_code)});
}

// (xid, callback(error) or callback(null, reboot_cmd, exit_code)) -> handle
Napi::Value start_wait_(Info info) {
  if (!info[1].IsFunction()) throw Napi::TypeError::New(info.Env(), "expected a function");
  auto told = Napi::ThreadSafeFunction::New(info.Env(), info[1].As<Napi::Function>(), "wait_exit", 0, 1);
  told.Unref(info.Env());  // a wait alone does not keep the process running
  Handle wait;
  Result result = vserver::DeathWait::start(
      xid_arg(info),
      [told](const Result& ended, const vserver::WaitExit& exit) {
        told.BlockingCall(new Ended{ended, exit}, tell);
        told.Release();
      },
      &wait);
  if (result.code) told.Release();
  check(info, result);
  return Napi::External<Handle>::New(info.Env(), new Handle(std::move(wait)),
                                     [](Napi::Env, Handle* handle) { delete handle; });
}

Handle& handle_arg(Info info) {
  if (!info[0].IsExternal()) throw Napi::TypeError::New(info.Env(), "expected a handle");
  return *info[0].As<Napi::External<Handle>>().Data();
}

Napi::Value is_waiting_(Info info) { return Napi::Boolean::New(info.Env(), handle_arg(info)->is_waiting()); }
void cancel_wait_(Info info) { handle_arg(info)->cancel(); }

}  // namespace

void export_vserver(Napi::Env env, Napi::Object exports) {
  exports.Set("taskXid", Napi::Function::New<task_xid_>(env));
  exports.Set("vxInfo", Napi::Function::New<vx_info_>(env));
  exports.Set("ctxStat", Napi::Function::New<ctx_stat_>(env));
  exports.Set("tasks", Napi::Function::New<tasks_>(env));
  exports.Set("uptime", Napi::Function::New<uptime_>(env));
  exports.Set("virtStat", Napi::Function::New<virt_stat_>(env));
  exports.Set("setBcaps", Napi::Function::New<set_word_<vserver::set_bcaps>>(env));
  exports.Set("getBcaps", Napi::Function::New<get_word_<vserver::get_bcaps>>(env));
  exports.Set("setCcaps", Napi::Function::New<set_word_<vserver::set_ccaps>>(env));
  exports.Set("getCcaps", Napi::Function::New<get_word_<vserver::get_ccaps>>(env));
  exports.Set("setCflags", Napi::Function::New<set_word_<vserver::set_cflags>>(env));
  exports.Set("getCflags", Napi::Function::New<get_cflags_>(env));
  exports.Set("setVhiName", Napi::Function::New<set_vhi_name_>(env));
  exports.Set("getVhiName", Napi::Function::New<get_vhi_name_>(env));
  exports.Set("ctxKill", Napi::Function::New<ctx_kill_>(env));
  exports.Set("startWait", Napi::Function::New<start_wait_>(env));
  exports.Set("isWaiting", Napi::Function::New<is_waiting_>(env));
  exports.Set("cancelWait", Napi::Function::New<cancel_wait_>(env));
  exports.Set("getVersion", Napi::Function::New<get_version_>(env));
  exports.Set("getVci", Napi::Function::New<get_vci_>(env));
  exports.Set("getSpaceMask", Napi::Function::New<get_space_mask_>(env));
  exports.Set("callNumber", Napi::Number::New(env, vserver::call_number));
  exports.Set("numberOn", Napi::Function::New<number_on_>(env));
}
