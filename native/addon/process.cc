// Launcher, signals, CPU time, UTS names.
#include "../launcher/protocol/spec.h"
#include "../namespaces/shims.h"
#include "../namespaces/signal.h"
#include "../namespaces/spawn.h"
#include "../namespaces/usage.h"
#include "../namespaces/uts.h"
#include "glue.h"

namespace {

using Info = const Napi::CallbackInfo&;

Napi::Value prepare_launcher_(Info info) {
  LauncherFiles files{};
  check(info, prepare_launcher(string_arg(info, 0), &files));
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("program", Napi::Number::New(info.Env(), files.program));
  object.Set("null", Napi::Number::New(info.Env(), files.null));
  return object;
}

Napi::Value start_zygote_(Info info) {
  int socket = -1;
  Result result = start_zygote({int_arg(info, 0), int_arg(info, 1)}, int_arg(info, 2), int_arg(info, 3), &socket);
  check(info, result);
  Napi::Object started = Napi::Object::New(info.Env());
  started.Set("pid", Napi::Number::New(info.Env(), static_cast<double>(result.value)));
  started.Set("socket", Napi::Number::New(info.Env(), socket));
  return started;
}

Napi::Value fork_launcher_(Info info) {
  return number(info, fork_launcher(int_arg(info, 0), {word_arg(info, 2), static_cast<Kind>(string_arg(info, 1)[0])}));
}

void send_order_(Info info) {
  if (!info[1].IsBuffer()) throw Napi::TypeError::New(info.Env(), "expected a buffer");
  auto data = info[1].As<Napi::Buffer<char>>();
  int cgroup = int_arg(info, 2);
  if (cgroup >= 0) mark_at_work(cgroup);
  check(info, send_order(int_arg(info, 0), data.Data(), data.Length(), {cgroup, int_arg(info, 3), int_arg(info, 4)}));
}

Napi::Value connect_shim_(Info info) {
  auto start_time = static_cast<uint64_t>(info[1].ToNumber().Int64Value());
  return number(info, connect_shim(int_arg(info, 0), start_time, static_cast<uint32_t>(int_arg(info, 2))));
}

Napi::Value has_launcher_(Info info) {
  Result result = has_launcher(string_arg(info, 0));
  check(info, result);
  return Napi::Boolean::New(info.Env(), result.value == 1);
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

// Off the event loop: a context may have thousands of processes.
class SignalMembers : public Napi::AsyncWorker {
 public:
  SignalMembers(Napi::Env env, Members members, int sig, pid_t init, pid_t except)
      : AsyncWorker(env), deferred_(env), members_(std::move(members)), sig_(sig), init_(init), except_(except) {}
  Napi::Promise promise() const { return deferred_.Promise(); }

 private:
  void Execute() override { result_ = signal_members(members_, sig_, init_, except_); }
  void OnOK() override {
    if (result_.code)
      deferred_.Reject(error_of(Env(), result_).Value());
    else
      deferred_.Resolve(Napi::Number::New(Env(), static_cast<double>(result_.value)));
  }

  Napi::Promise::Deferred deferred_;
  Members members_;
  int sig_;
  pid_t init_, except_;
  Result result_;
};

Napi::Value signal_members_(Info info) {
  auto* worker =
      new SignalMembers(info.Env(), members_arg(info, 0), int_arg(info, 2), int_arg(info, 3), int_arg(info, 4));
  worker->Queue();  // deletes itself when it is done
  return worker->promise();
}

// Off the event loop: there may be thousands of contexts.
class CpuUsage : public Napi::AsyncWorker {
 public:
  CpuUsage(Napi::Env env, std::vector<std::string> cgroups)
      : AsyncWorker(env), deferred_(env), cgroups_(std::move(cgroups)) {}
  Napi::Promise promise() const { return deferred_.Promise(); }

 private:
  void Execute() override { usages_ = cpu_usage(cgroups_); }
  void OnOK() override {
    Napi::Array array = Napi::Array::New(Env(), usages_.size());
    for (uint32_t i = 0; i < usages_.size(); i++)
      array.Set(i, Napi::Number::New(Env(), static_cast<double>(usages_[i])));
    deferred_.Resolve(array);
  }

  Napi::Promise::Deferred deferred_;
  std::vector<std::string> cgroups_;
  std::vector<int64_t> usages_;
};

Napi::Value cpu_usage_(Info info) {
  if (!info[0].IsArray()) throw Napi::TypeError::New(info.Env(), "expected an array");
  auto array = info[0].As<Napi::Array>();
  std::vector<std::string> cgroups;
  for (uint32_t i = 0; i < array.Length(); i++) cgroups.push_back(array.Get(i).ToString().Utf8Value());
  auto* worker = new CpuUsage(info.Env(), std::move(cgroups));
  worker->Queue();  // deletes itself when it is done
  return worker->promise();
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
  exports.Set("prepareLauncher", Napi::Function::New<prepare_launcher_>(env));
  exports.Set("sendOrder", Napi::Function::New<send_order_>(env));
  exports.Set("startZygote", Napi::Function::New<start_zygote_>(env));
  exports.Set("forkLauncher", Napi::Function::New<fork_launcher_>(env));
  exports.Set("connectShim", Napi::Function::New<connect_shim_>(env));
  exports.Set("hasLauncher", Napi::Function::New<has_launcher_>(env));
  exports.Set("protocol", Napi::Number::New(env, PROTOCOL));
  exports.Set("reap", Napi::Function::New<reap_>(env));
  exports.Set("openMember", Napi::Function::New<open_member_>(env));
  exports.Set("signalMember", Napi::Function::New<signal_member_>(env));
  exports.Set("signalMembers", Napi::Function::New<signal_members_>(env));
  exports.Set("cpuUsage", Napi::Function::New<cpu_usage_>(env));
  exports.Set("getUtsNames", Napi::Function::New<get_uts_names_>(env));
  exports.Set("setNodename", Napi::Function::New<set_nodename_>(env));
  exports.Set("setDomainname", Napi::Function::New<set_domainname_>(env));
}
