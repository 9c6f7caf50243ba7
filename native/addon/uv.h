// What Node-API has no counterpart for: to be called when a descriptor can be read. Every Node exports these calls, and
// their ABI does not change within version 1 of libuv (docs.libuv.org, "Versioning scheme and ABI stability"); the
// headers that come with node-api-headers declare no more than the loop's type.
#pragma once
#include <node_api.h>
#include <cstddef>

extern "C" {
struct uv_poll_s;  // begins with `void* data`, which is the user's

size_t uv_handle_size(int type);
const char* uv_handle_type_name(int type);
int uv_poll_init(uv_loop_s* loop, uv_poll_s* handle, int fd);
int uv_poll_start(uv_poll_s* handle, int events, void (*callback)(uv_poll_s* handle, int status, int events));
void uv_ref(uv_poll_s* handle);
void uv_unref(uv_poll_s* handle);
}

constexpr int UV_POLL = 8;
constexpr int UV_READABLE = 1;
