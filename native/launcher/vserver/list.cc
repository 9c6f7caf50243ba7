#include "list.h"

#include <sys/types.h>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "../../result.h"
#include "../children/vserver_processes.h"
#include "../protocol/report.h"

namespace {

struct Text {
  char* data = nullptr;
  size_t size = 0, room = 0;
  bool is_whole = true;
};

void append(void* to, pid_t, const char* stat, size_t size) {
  Text& text = *static_cast<Text*>(to);
  if (text.size + size + 1 > text.room) {
    size_t room = (text.room + size + 1) * 2;
    void* grown = realloc(text.data, room);
    if (!grown) {
      text.is_whole = false;
      return;
    }
    text.data = static_cast<char*>(grown);
    text.room = room;
  }
  memcpy(text.data + text.size, stat, size + 1);
  text.size += size + 1;
}

}  // namespace

int run_vserver_list(const Spec& spec) {
  Text text;
  Result scanned = for_each_vserver_process(spec.xid, append, &text);
  if (!scanned.code && !text.is_whole) scanned = failed("realloc", ENOMEM);
  if (scanned.code) return give_up({scanned.code, scanned.call, ""});
  FrameView list{Frame::out, text.data, text.size};
  send_frames(&list, 1);
  send_text(Frame::started, "%d", 0);
  free(text.data);
  return 0;
}
