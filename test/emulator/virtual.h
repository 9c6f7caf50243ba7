// A directory shaped like /proc/virtual.
#pragma once

#include <string>

struct Context;

std::string make_virtual();  // an error message, or ""
const std::string& virtual_path();
void add_virtual(const Context& context, size_t contexts);
void remove_virtual(uint32_t xid, size_t contexts);
void remove_all_virtual();
