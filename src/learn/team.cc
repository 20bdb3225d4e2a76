#include "learn/team.h"

#include <algorithm>

namespace eagleray::learn {
namespace {

// Before it sleeps, a thread looks so often whether the others have come: a few microseconds, about
// what parts of a minibatch differ by. With fewer cores than threads it only costs that much.
constexpr int kLooks = 2000;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

void wait_for_change(const std::atomic<uint32_t>& word, uint32_t old) {
  for (int i = 0; i < kLooks; ++i) {
    if (word.load(std::memory_order_acquire) != old) return;
    pause();
  }
  while (word.load(std::memory_order_acquire) == old) word.wait(old, std::memory_order_acquire);
}

}  // namespace

Team::Team(size_t threads)
    : size_(std::max<size_t>(threads, 1)), missing_(static_cast<uint32_t>(size_)) {
  for (size_t i = 1; i < size_; ++i) threads_.emplace_back([this, i] { serve(i); });
}

Team::~Team() {
  ends_ = true;
  ++job_;
  job_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Team::run(const std::function<void(size_t)>& part) {
  part_ = &part;
  if (size_ > 1) {
    ++job_;
    job_.notify_all();
  }
  part(0);
  meet();
}

void Team::meet() {
  if (size_ == 1) return;
  const uint32_t meeting = meeting_.load(std::memory_order_relaxed);
  if (missing_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    missing_.store(static_cast<uint32_t>(size_), std::memory_order_relaxed);
    meeting_.store(meeting + 1, std::memory_order_release);
    meeting_.notify_all();
  } else {
    wait_for_change(meeting_, meeting);
  }
}

void Team::serve(size_t index) {
  for (uint32_t seen = 0;; ++seen) {
    wait_for_change(job_, seen);
    if (ends_) return;
    (*part_)(index);
    meet();
  }
}

Range part_of(size_t count, size_t parts, size_t index, size_t unit) {
  const size_t units = (count + unit - 1) / unit;
  return {std::min(count, units * index / parts * unit),
          std::min(count, units * (index + 1) / parts * unit)};
}

}  // namespace eagleray::learn
