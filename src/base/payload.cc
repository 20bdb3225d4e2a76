#include "base/payload.h"

#include <cstring>
#include <new>

namespace eagleray {
namespace {

constexpr size_t kLarge = 128;  // bytes, from which on they are aligned
constexpr size_t kAlign = 64;

}  // namespace

Payload Payload::uninitialized(size_t size) {
  Payload payload;
  if (size == 0) return payload;
  char* memory = nullptr;
  if (size < kLarge) {
    memory = static_cast<char*>(::operator new(sizeof(Block) + size));
  } else {
    memory = static_cast<char*>(::operator new(kAlign + size, std::align_val_t{kAlign})) +
             (kAlign - sizeof(Block));
  }
  payload.block_ = new (memory) Block;
  payload.block_->size = size;
  return payload;
}

Payload Payload::copy_of(std::string_view bytes) {
  Payload payload = uninitialized(bytes.size());
  if (!bytes.empty()) std::memcpy(payload.mutable_data(), bytes.data(), bytes.size());
  return payload;
}

void Payload::release() noexcept {
  if (!block_ || block_->count.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const bool large = block_->size >= kLarge;
  block_->~Block();
  if (large) {
    ::operator delete(reinterpret_cast<char*>(block_) - (kAlign - sizeof(Block)),
                      std::align_val_t{kAlign});
  } else {
    ::operator delete(block_);
  }
}

}  // namespace eagleray
