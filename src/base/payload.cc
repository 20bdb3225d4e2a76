#include "base/payload.h"

#include <cstring>
#include <new>

namespace eagleray {

Payload Payload::uninitialized(size_t size) {
  Payload payload;
  if (size == 0) return payload;
  void* memory = ::operator new(sizeof(Block) + size, std::align_val_t{alignof(Block)});
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
  block_->~Block();
  ::operator delete(block_, std::align_val_t{alignof(Block)});
}

}  // namespace eagleray
