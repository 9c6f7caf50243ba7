// The resource limits that an order may have, by name.
#pragma once

// RLIMIT_* by its name in lower case, or -1.
int resource_of(const char* name);
// The other way round; null for what has no name here.
const char* resource_name(int resource);
