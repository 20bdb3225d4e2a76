// Payload: immutable bytes with shared ownership, for values and arguments that several tables
// refer to (a task's record, a message in flight, a Python view). Two owners are the normal case,
// hence the atomic count. One allocation per payload; copies of a Payload copy a pointer.
// Thread-safe.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace eagleray {

class Payload {
 public:
  Payload() = default;
  // `size` uninitialised bytes, to be filled through `mutable_data` before it is shared.
  static Payload uninitialized(size_t size);
  static Payload copy_of(std::string_view bytes);

  Payload(const Payload& other) noexcept : block_(other.block_) { retain(); }
  Payload(Payload&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  Payload& operator=(Payload other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~Payload() { release(); }

  size_t size() const { return block_ ? block_->size : 0; }
  bool empty() const { return size() == 0; }
  const char* data() const { return block_ ? bytes_of(block_) : nullptr; }
  char* mutable_data() { return block_ ? bytes_of(block_) : nullptr; }
  std::string_view view() const { return {data(), size()}; }
  bool operator==(const Payload& other) const { return view() == other.view(); }

 private:
  // Stands right before the bytes. Large ones start at a multiple of 64, where vector units and
  // numpy like them; small ones do without, for a small value is mostly its overhead.
  struct alignas(16) Block {
    std::atomic<uint32_t> count{1};
    size_t size = 0;
  };
  static char* bytes_of(Block* block) { return reinterpret_cast<char*>(block + 1); }
  void retain() const noexcept {
    if (block_) block_->count.fetch_add(1, std::memory_order_relaxed);
  }
  void release() noexcept;

  Block* block_ = nullptr;
};

}  // namespace eagleray
