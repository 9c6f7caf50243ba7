#pragma once

// Serves the listener until COMMAND has ended.
void run_loop(int signals_fd);
