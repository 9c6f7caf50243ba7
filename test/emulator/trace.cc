#include "trace.h"

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "commands.h"
#include "fd.h"
#include "options.h"

namespace {

constexpr int last_errno = 133;
Fd out;

template <typename T>
T load(const abi::Data& data, size_t offset) {
  T value;
  memcpy(&value, reinterpret_cast<const char*>(&data) + offset, sizeof value);
  return value;
}

std::string format(const char* how, uint64_t value) {
  char text[32];
  snprintf(text, sizeof text, how, value);
  return text;
}

std::string quote(const char* bytes) {
  std::string text = "\"";
  for (size_t i = 0; i < abi::name_size && bytes[i]; i++) {
    auto byte = static_cast<unsigned char>(bytes[i]);
    if (byte == '"' || byte == '\\') text += '\\';
    text += byte < 32 || byte > 126 ? format("\\x%02" PRIx64, byte) : std::string(1, bytes[i]);
  }
  return text + '"';
}

std::string show(const Field& field, const abi::Data& data) {
  switch (field.kind) {
    case Field::number: return format("%" PRIu64, load<uint32_t>(data, field.offset));
    case Field::signed_number: return std::to_string(load<int32_t>(data, field.offset));
    case Field::number64: return format("%" PRIu64, load<uint64_t>(data, field.offset));
    case Field::word16: return format("0x%04" PRIx64, load<uint32_t>(data, field.offset));
    case Field::word32: return format("0x%08" PRIx64, load<uint32_t>(data, field.offset));
    case Field::word64: return format("0x%016" PRIx64, load<uint64_t>(data, field.offset));
    case Field::text: return quote(reinterpret_cast<const char*>(&data) + field.offset);
  }
  return "";
}

}  // namespace

std::string start_trace() {
  if (!options.trace) return "";
  const std::string& file = options.trace_file;
  out.reset(file.empty() ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)
                         : open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  return out ? "" : file + ": " + strerror(errno);
}

void trace_call(const Call& call, long result) {
  if (!out) return;
  std::string line = std::to_string(call.xid) + " ";
  line += call.command ? call.command->name : format("0x%08" PRIx64, static_cast<uint32_t>(call.args[0]));
  line += "(" + std::to_string(call.id);
  if (call.has_data) {
    const char* before = ", {";
    for (const Field& field : call.command->layout->fields) {
      if (!field.name) break;
      line += std::string(before) + field.name + "=" + show(field, call.data);
      before = ", ";
    }
    line += "}";
  }
  line += ") = ";
  const char* name = result < 0 ? strerrorname_np(static_cast<int>(-result)) : nullptr;
  line += result >= 0 ? std::to_string(result) : "-1 " + (name ? name : std::to_string(-result));
  line += "\n";
  // One write(2) for one line: others may append to the same file.
  while (write(out.get(), line.data(), line.size()) < 0 && errno == EINTR) continue;
}

int errno_of(const std::string& name) {
  for (int error = 1; error <= last_errno; error++) {
    const char* known = strerrorname_np(error);
    if (known && name == known) return error;
  }
  return 0;
}
