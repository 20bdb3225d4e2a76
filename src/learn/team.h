// A few threads that do one job together, each its own part. The caller is one of them. Threads
// sleep between jobs. One job at a time; a Team is not used in a child of fork().
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

namespace eagleray::learn {

class Team {
 public:
  explicit Team(size_t threads);  // at least 1
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  size_t size() const { return size_; }

  // Calls part(0) here and part(1)... on the others; returns when all have returned.
  void run(const std::function<void(size_t)>& part);

  // Inside run(): waits until all have come here. What one did before it, all see after it.
  void meet();

 private:
  void serve(size_t index);

  const size_t size_;
  const std::function<void(size_t)>* part_ = nullptr;
  std::atomic<uint32_t> job_{0};      // changes when there is one, or at the end
  std::atomic<uint32_t> meeting_{0};  // the number of meetings that are over
  std::atomic<uint32_t> missing_;     // of the current one
  std::atomic<bool> ends_{false};
  std::vector<std::thread> threads_;
};

// Part `index` of `parts` nearly equal ones of [0, count), with borders at multiples of `unit`.
struct Range {
  size_t begin;
  size_t end;
};
Range part_of(size_t count, size_t parts, size_t index, size_t unit);

}  // namespace eagleray::learn
