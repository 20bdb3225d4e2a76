#include "client/object_table.h"

#include <algorithm>
#include <utility>

namespace eagleray {

Object* ObjectIndex::find(const ObjectId& id) const {
  const size_t mask = slots_.size() - 1;
  for (size_t at = slot_of(id); slots_[at]; at = (at + 1) & mask) {
    if (slots_[at]->id == id) return slots_[at];
  }
  return nullptr;
}

void ObjectIndex::insert(Object* object) {
  if ((size_ + 1) * 2 > slots_.size()) grow();
  const size_t mask = slots_.size() - 1;
  size_t at = slot_of(object->id);
  while (slots_[at]) at = (at + 1) & mask;
  slots_[at] = object;
  ++size_;
}

void ObjectIndex::erase(const Object* object) {
  const size_t mask = slots_.size() - 1;
  size_t at = slot_of(object->id);
  while (slots_[at] != object) {
    EAGLERAY_CHECK(slots_[at] != nullptr, "erase of an object that is not indexed");
    at = (at + 1) & mask;
  }
  // Close the gap: move back what could no longer be found across it.
  size_t gap = at;
  for (size_t next = (at + 1) & mask; slots_[next]; next = (next + 1) & mask) {
    const size_t home = slot_of(slots_[next]->id);
    if (((next - home) & mask) >= ((next - gap) & mask)) {
      slots_[gap] = slots_[next];
      gap = next;
    }
  }
  slots_[gap] = nullptr;
  --size_;
}

void ObjectIndex::grow() {
  std::vector<Object*> old(std::max(kSlotsMin, slots_.size() * 2), nullptr);
  old.swap(slots_);
  const size_t mask = slots_.size() - 1;
  for (Object* object : old) {
    if (!object) continue;
    size_t at = slot_of(object->id);
    while (slots_[at]) at = (at + 1) & mask;
    slots_[at] = object;
  }
}

}  // namespace eagleray
