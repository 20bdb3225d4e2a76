#include "base/result.h"

#include <errno.h>

#include <cstring>

namespace eagleray {
namespace {

// Which limit was met, and how to raise it.
const char* hint(int errno_value) {
  switch (errno_value) {
    case EMFILE: return " (the limit of open files of a process: ulimit -n)";
    case ENFILE: return " (the system's limit of open files: sysctl fs.file-max)";
    case EAGAIN: return " (the limit of processes of a user or a container: ulimit -u, pids.max)";
    case ENOMEM: return " (memory, or the limit of mappings: sysctl vm.max_map_count)";
    case ENOSPC: return " (the disk, or the memory for shared memory, is full)";
    case EDQUOT: return " (the disk quota is used up)";
    default: return "";
  }
}

}  // namespace

Error system_error(std::string what, int errno_value) {
  what += ": ";
  what += std::strerror(errno_value);
  what += hint(errno_value);
  return Error{ErrorCode::kSystem, std::move(what)};
}

}  // namespace eagleray
