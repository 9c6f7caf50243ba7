// The daemon's ends of its sockets to launchers, polled by the event loop. Streams of Node's would take ten times the
// memory, and a part of the time of every command.
#include <sys/epoll.h>
#include <unistd.h>
#include <cstdlib>
#include <cstring>
#include <unordered_map>

#include "../namespaces/frames.h"
#include "glue.h"
#include "uv.h"

namespace {

using Info = const Napi::CallbackInfo&;

struct Line {
  uint64_t number;  // descriptors are used again
  FrameReader frames;
  bool is_paused = false;
};

// One for the process, never deleted: its handle is in the event loop.
class Lines {
 public:
  Lines(Napi::Env env, int epoll, uv_poll_s* handle, const Napi::Function& listener)
      : env_(env), epoll_(epoll), handle_(handle), listener_(Napi::Persistent(listener)), context_(env, "launcher") {}

  Result open(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) < 0) return failed("epoll_ctl");
    if (lines_.empty()) uv_ref(handle_);
    lines_.insert_or_assign(fd, Line{++opened_, FrameReader(fd)});
    return ok();
  }

  // From within its listener, too: frames that are read already wait as well.
  Result pause(int fd) {
    Line* line = find(fd, 0);
    if (!line || line->is_paused) return ok();
    line->is_paused = true;
    return epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr) < 0 ? failed("epoll_ctl") : ok();
  }

  Result resume(int fd) {
    Line* line = find(fd, 0);
    if (!line || !line->is_paused) return ok();
    line->is_paused = false;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) < 0) return failed("epoll_ctl");
    tell_all(fd, line->number);
    return ok();
  }

  void close(int fd) {
    if (lines_.erase(fd) == 0) return;
    if (lines_.empty()) uv_unref(handle_);
    epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
    ::close(fd);
  }

  void look() {
    constexpr int most = 64;  // the others are there the next time
    epoll_event events[most];
    int count = epoll_wait(epoll_, events, most, 0);
    Napi::HandleScope handles(env_);
    Napi::CallbackScope scope(env_, context_);
    try {
      for (int i = 0; i < count; i++) read(events[i].data.fd);
    } catch (const Napi::Error& error) {
      napi_fatal_exception(env_, error.Value());
    }
  }

 private:
  // A listener may close lines and open others.
  Line* find(int fd, uint64_t number) {
    auto at = lines_.find(fd);
    return at != lines_.end() && (number == 0 || at->second.number == number) ? &at->second : nullptr;
  }

  void read(int fd) {
    Line* line = find(fd, 0);
    if (!line) return;
    const uint64_t number = line->number;
    bool is_open = line->frames.fill();
    line = tell_all(fd, number);
    if (is_open || !line || line->is_paused) return;
    epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
    listener_.Call({Napi::Number::New(env_, fd)});
  }

  // Those that are read, until the line is closed or paused. Null when it is closed.
  Line* tell_all(int fd, uint64_t number) {
    Frame type;
    Line* line = nullptr;
    for (std::string_view data; (line = find(fd, number)) && !line->is_paused && line->frames.next(&type, &data);)
      tell(fd, type, data);
    return line;
  }

  void tell(int fd, Frame type, std::string_view data) {
    const char letter = static_cast<char>(type);
    Napi::Value payload = type == Frame::out || type == Frame::err
                              ? Napi::Value(Napi::Buffer<char>::Copy(env_, data.data(), data.size()))
                              : Napi::String::New(env_, data.data(), data.size());
    listener_.Call({Napi::Number::New(env_, fd), Napi::String::New(env_, &letter, 1), payload});
  }

  Napi::Env env_;
  int epoll_;
  uv_poll_s* handle_;
  Napi::FunctionReference listener_;
  Napi::AsyncContext context_;
  std::unordered_map<int, Line> lines_;
  uint64_t opened_ = 0;
};

Lines* lines = nullptr;

void listen_(Info info) {
  if (lines || !info[0].IsFunction()) throw Napi::TypeError::New(info.Env(), "expected one function, once");
  uv_loop_s* loop = nullptr;
  const char* name = uv_handle_type_name(UV_POLL);
  if (napi_get_uv_event_loop(info.Env(), &loop) != napi_ok || !name || strcmp(name, "poll") != 0)
    throw Napi::Error::New(info.Env(), "this Node has another libuv than version 1");
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) check(info, failed("epoll_create1"));
  auto* handle = static_cast<uv_poll_s*>(calloc(1, uv_handle_size(UV_POLL)));
  if (!handle) check(info, failed("calloc"));
  auto refuse = [&info](int code) {
    if (code < 0) check(info, failed("epoll_ctl", -code));  // as libuv has it
  };
  refuse(uv_poll_init(loop, handle, epoll));
  lines = new Lines(info.Env(), epoll, handle, info[0].As<Napi::Function>());
  refuse(uv_poll_start(handle, UV_READABLE, [](uv_poll_s*, int, int) { lines->look(); }));
  uv_unref(handle);
}

void open_line_(Info info) {
  int fd = int_arg(info, 0);
  if (!lines) throw Napi::Error::New(info.Env(), "nobody listens");
  check(info, lines->open(fd));
}

void close_line_(Info info) {
  int fd = int_arg(info, 0);
  if (lines) lines->close(fd);
}

void pause_line_(Info info) {
  int fd = int_arg(info, 0);
  if (lines) check(info, lines->pause(fd));
}

void resume_line_(Info info) {
  int fd = int_arg(info, 0);
  if (lines) check(info, lines->resume(fd));
}

}  // namespace

void export_lines(Napi::Env env, Napi::Object exports) {
  exports.Set("listenToLines", Napi::Function::New<listen_>(env));
  exports.Set("openLine", Napi::Function::New<open_line_>(env));
  exports.Set("pauseLine", Napi::Function::New<pause_line_>(env));
  exports.Set("resumeLine", Napi::Function::New<resume_line_>(env));
  exports.Set("closeLine", Napi::Function::New<close_line_>(env));
}
