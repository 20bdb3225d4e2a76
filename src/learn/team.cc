#include "learn/team.h"

#include <algorithm>

namespace eagleray::learn {
namespace {

// Before it sleeps, a thread looks so often whether there is something to do: some tens of
// microseconds, about what parts of a minibatch differ by and what lies between two of its steps.
constexpr int kLooks = 2000;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Returns what `word` is when it is no longer `old`.
uint32_t changed(const std::atomic<uint32_t>& word, uint32_t old) {
  for (int i = 0;; ++i) {
    const uint32_t now = word.load(std::memory_order_acquire);
    if (now != old) return now;
    if (i < kLooks)
      pause();
    else
      word.wait(old, std::memory_order_acquire);
  }
}

}  // namespace

Team::Team(size_t threads)
    : size_(std::max<size_t>(threads, 1)), taken_(new std::atomic<uint32_t>[size_]) {
  for (size_t i = 0; i < size_; ++i) taken_[i].store(0, std::memory_order_relaxed);
  for (size_t i = 1; i < size_; ++i) threads_.emplace_back([this, i] { serve(i); });
}

Team::~Team() {
  ends_ = true;
  ++job_;
  job_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Team::run(const std::function<void(size_t)>& part) {
  if (size_ == 1) return part(0);
  part_.store(&part, std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
  const uint32_t job = job_.load(std::memory_order_relaxed) + 1;
  job_.store(job, std::memory_order_release);
  job_.notify_all();
  take_parts(0, job);
  for (uint32_t done = done_.load(std::memory_order_acquire); done < size_;) {
    done = changed(done_, done);
  }
}

// Whoever comes late to a job finds all of its parts taken, in it or in a later one; whoever takes
// a part knows that the job is not over, so that part_ is its own.
void Team::take_parts(size_t first, uint32_t job) {
  for (size_t i = 0; i < size_; ++i) {
    const size_t index = (first + i) % size_;
    uint32_t before = job - 1;
    if (!taken_[index].compare_exchange_strong(before, job, std::memory_order_acq_rel)) continue;
    (*part_.load(std::memory_order_acquire))(index);
    done_.fetch_add(1, std::memory_order_acq_rel);
    done_.notify_one();
  }
}

void Team::serve(size_t index) {
  for (uint32_t job = 0;;) {
    job = changed(job_, job);
    if (ends_) return;
    take_parts(index, job);
  }
}

Range part_of(size_t count, size_t parts, size_t index, size_t unit) {
  const size_t units = (count + unit - 1) / unit;
  return {std::min(count, units * index / parts * unit),
          std::min(count, units * (index + 1) / parts * unit)};
}

}  // namespace eagleray::learn
