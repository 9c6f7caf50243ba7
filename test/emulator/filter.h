#pragma once

// Installs the filter of an emulated kernel in the calling process. Returns the listener, or -1 and errno.
int install_filter();

// Instead: vserver(2) returns 0 and does nothing. Returns -1 and errno on failure.
int install_stub();
