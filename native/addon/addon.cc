#include "glue.h"

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  export_process(env, exports);
  export_lines(env, exports);
  export_host(env, exports);
  export_service(env, exports);
  export_forks(env, exports);
  Napi::Object vserver = Napi::Object::New(env);
  export_vserver(env, vserver);
  exports.Set("vserver", vserver);
  return exports;
}

NODE_API_MODULE(contextd, init)
