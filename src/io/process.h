// Processes as the node's shell needs them: starting one, watching one, ending what is left.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "io/fd.h"

namespace eagleray {

// Starts `arguments[0]` (an absolute path) with `handed`, if it is one, as its descriptor 3 and
// nothing else open beyond stdio. `environment` entries ("NAME=value") are added to this process's
// own.
Result<pid_t> spawn(const std::vector<std::string>& arguments,
                    const std::vector<std::string>& environment, int handed = -1);

Result<Fd> open_pidfd(pid_t pid);
void become_subreaper();

// Raises how many files this process may open to what it may ask for; its children inherit it.
uint64_t raise_file_limit();
uint64_t open_files();  // of this process, now

// Kills every descendant of this process, adopted orphans included, and reaps them; gives up when
// none has ended for `patience`. (One that has ended leaves its children to be adopted.)
void end_descendants(Duration patience);

struct Pipe {
  Fd read, write;
};
Result<Pipe> make_pipe();  // read end non-blocking

}  // namespace eagleray
