// What a launcher has from the daemon, or its guests from it, without being given it.
#pragma once

// What a daemon has or was given is not for its guests: priority and the limit of it, of descriptors, OOM score.
void shed_inheritance();
// A session keyring of its own for each context: the daemon's may hold keys. Some kernels have none.
void take_own_keyring();
