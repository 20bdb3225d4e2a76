// A few threads that do one job in parts. The caller is one of them. A part is done by whoever
// takes it first: a thread that does not get a core costs nothing, because the others do its part,
// too. Threads that find nothing to do sleep. One job at a time; a Team is not used in a child of
// fork().
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
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

  // Calls part(0) ... part(size() - 1), each once, some of them at the same time; returns when all
  // have returned. Thread i begins with part i, so that what it has in its cache is of use.
  void run(const std::function<void(size_t)>& part);

 private:
  void serve(size_t index);
  void take_parts(size_t first, uint32_t job);

  const size_t size_;
  std::atomic<const std::function<void(size_t)>*> part_{nullptr};
  std::atomic<uint32_t> job_{0};   // the number of the current one
  std::atomic<uint32_t> done_{0};  // parts of it
  std::atomic<bool> ends_{false};
  // The number of the last job in which each part was taken: that of the current one or the one
  // before.
  std::unique_ptr<std::atomic<uint32_t>[]> taken_;
  std::vector<std::thread> threads_;
};

// Part `index` of `parts` nearly equal ones of [0, count), with borders at multiples of `unit`.
struct Range {
  size_t begin;
  size_t end;
};
Range part_of(size_t count, size_t parts, size_t index, size_t unit);

}  // namespace eagleray::learn
