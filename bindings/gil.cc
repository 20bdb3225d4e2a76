#include "gil.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

namespace eagleray::python {
namespace {

std::atomic<bool> interpreter_ends{false};

}  // namespace

void end_interpreter() { interpreter_ends.store(true, std::memory_order_release); }

bool in_main_thread() {
  thread_local const bool is = ::getpid() == static_cast<pid_t>(::syscall(SYS_gettid));
  return is;
}

GilRelease::~GilRelease() {
  if (interpreter_ends.load(std::memory_order_acquire) && !in_main_thread()) {
    for (;;) ::pause();
  }
  PyEval_RestoreThread(state_);
}

}  // namespace eagleray::python
