// Fd: the one owner of a file descriptor. And the few system objects the shells need, each opened
// close-on-exec: eventfds, memfds, timers of the loop. No policy here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/time.h"

namespace eagleray {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset();
  Result<Fd> duplicate() const;

 private:
  int fd_ = -1;
};

Result<Fd> make_eventfd();  // non-blocking
void ring_eventfd(int fd);
void clear_eventfd(int fd);

// Anonymous shared memory of `bytes`, sealed against resizing, or only against shrinking.
enum class MemorySize : uint8_t { kFixed, kMayGrow };
Result<Fd> make_memfd(const char* name, uint64_t bytes, MemorySize size = MemorySize::kFixed);
// Makes such memory larger.
Result<Ok> grow(int fd, uint64_t bytes);
// Gives the pages of a part of it back; what reads them from now on reads zeros.
void discard(int fd, uint64_t at, uint64_t bytes);
// The same of a writable mapping: of the whole pages of a part of it.
void discard(char* data, uint64_t bytes);
// What the process `pid` of the same user has open as `fd`, opened anew. Not for eventfds and
// sockets.
Result<Fd> open_of_process(int pid, int fd);

// Whether `fd`, which another process has handed over, is memory of `bytes` that nobody can shrink:
// reading a mapping of anything else may end in SIGBUS, and reading a file of a file system may
// never end.
Result<Ok> check_shared_memory(int fd, uint64_t bytes);
// Whether `fd` is an eventfd: writing to anything else may block.
Result<Ok> check_eventfd(int fd);
// The same memory, for reading only.
Result<Fd> read_only(int fd);

// A mapping of a whole descriptor; unmapped on destruction.
class Mapping {
 public:
  enum class Access : uint8_t { kRead, kReadWrite };
  Mapping() = default;
  static Result<Mapping> map(int fd, uint64_t bytes, Access access, uint64_t offset = 0);
  Mapping(Mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Mapping();

  // From now on the same addresses hold a copy of the first `bytes`, for reading, that nobody else
  // sees. Whoever reads meanwhile, reads the same.
  Result<Ok> make_private(uint64_t bytes);

  char* data() const { return data_; }
  uint64_t size() const { return size_; }

 private:
  char* data_ = nullptr;
  uint64_t size_ = 0;
};

// Brings the pages of a writable mapping into memory, all at once: an error here instead of a
// SIGBUS at the first write. Kernels before 5.14 cannot; there it does nothing.
Result<Ok> populate(char* data, uint64_t bytes);

// Size of what `fd` refers to.
Result<uint64_t> size_of(int fd);

Instant monotonic_now();

}  // namespace eagleray
