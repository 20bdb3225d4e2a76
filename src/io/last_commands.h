// What has to be run when all processes of a cluster have ended, for what they made outlives them.
#pragma once

#include <string>

#include "base/time.h"

namespace eagleray {

// Runs the command in each file of `directory`, its words ended by zero bytes, one after another,
// and removes the files. What runs when `patience` is over is killed, and what is left not run; its
// file stays. No directory, no commands.
// The caller has no children that it wants to reap itself.
void run_last_commands(const std::string& directory, Duration patience);

}  // namespace eagleray
