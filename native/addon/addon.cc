#include "glue.h"

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  export_process(env, exports);
  export_host(env, exports);
  return exports;
}

NODE_API_MODULE(contextd, init)
