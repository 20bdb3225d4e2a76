#include "gil.h"

#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace eagleray::python {
namespace {

std::atomic<bool> interpreter_ends{false};
std::atomic<int> released{0};  // GilReleases in being
constexpr int kAwaitMs = 1000;

}  // namespace

void end_interpreter() { interpreter_ends.store(true, std::memory_order_release); }

// The thread that forks is its child's main one, so the answer is kept for one process only.
bool in_main_thread() {
  static std::atomic<uint32_t> forks{0};
  [[maybe_unused]] static const int registered =
      ::pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1, std::memory_order_relaxed); });
  thread_local uint32_t known_at = UINT32_MAX;
  thread_local bool is = false;
  const uint32_t now = forks.load(std::memory_order_relaxed);
  if (known_at != now) {
    known_at = now;
    is = ::getpid() == static_cast<pid_t>(::syscall(SYS_gettid));
  }
  return is;
}

void await_threads() {
  if (interpreter_ends.load(std::memory_order_acquire)) return;
  for (int ms = 0; released.load(std::memory_order_acquire) > 0 && ms < kAwaitMs; ++ms) {
    Py_BEGIN_ALLOW_THREADS;
    ::poll(nullptr, 0, 1);
    Py_END_ALLOW_THREADS;
  }
}

GilRelease::GilRelease() : state_(PyEval_SaveThread()) {
  released.fetch_add(1, std::memory_order_relaxed);
}

GilRelease::~GilRelease() {
  if (interpreter_ends.load(std::memory_order_acquire) && !in_main_thread()) {
    for (;;) ::pause();
  }
  PyEval_RestoreThread(state_);
  released.fetch_sub(1, std::memory_order_release);
}

}  // namespace eagleray::python
