#include "store/estate.h"

#include <atomic>
#include <cstring>

namespace eagleray {
namespace {

constexpr uint32_t kLeft = 1;
constexpr uint32_t kWithdrawn = 2;
constexpr uint64_t kFirst = 8;  // behind the length

struct RecordHead {
  uint32_t size = 0;
  uint32_t kind = 0;
  uint8_t id[ObjectId::kSize] = {};
  uint32_t padding = 0;
};
static_assert(sizeof(RecordHead) == 40);

constexpr uint64_t record_bytes(uint64_t value) { return sizeof(RecordHead) + (value + 7) / 8 * 8; }

}  // namespace

void EstateWriter::begin(char* data, uint64_t bytes, const EstateWriter* before) {
  data_ = data;
  bytes_ = bytes;
  used_ = kFirst;
  live_bytes_ = 0;
  live_.clear();
  if (!before) return;
  for (const auto& [id, place] : before->live_) {
    append(kLeft, id,
           std::string_view(before->data_ + place.offset + sizeof(RecordHead), place.size));
  }
}

uint64_t EstateWriter::bytes_wanted(uint64_t more) const {
  const uint64_t wanted = kFirst + 2 * (live_bytes_ + record_bytes(more));
  if (wanted / 2 > kEstateBytesMax) return 0;
  uint64_t bytes = kEstateBytesMin;
  while (bytes < wanted) bytes *= 2;
  return bytes;
}

bool EstateWriter::append(uint32_t kind, const ObjectId& object, std::string_view value) {
  const uint64_t bytes = record_bytes(value.size());
  if (!data_ || bytes > bytes_ - used_) return false;
  RecordHead head;
  head.size = static_cast<uint32_t>(value.size());
  head.kind = kind;
  std::memcpy(head.id, object.bytes.data(), ObjectId::kSize);
  std::memcpy(data_ + used_, &head, sizeof head);
  if (!value.empty()) std::memcpy(data_ + used_ + sizeof head, value.data(), value.size());
  if (kind == kLeft) {
    live_[object] = Place{used_, head.size};
    live_bytes_ += bytes;
  }
  used_ += bytes;
  std::atomic_ref<uint64_t>(*reinterpret_cast<uint64_t*>(data_))
      .store(used_, std::memory_order_release);
  return true;
}

bool EstateWriter::leave(const ObjectId& object, std::string_view value) {
  return append(kLeft, object, value);
}

bool EstateWriter::withdraw(const ObjectId& object) {
  const auto it = live_.find(object);
  if (it == live_.end()) return true;
  if (!append(kWithdrawn, object, {})) return false;
  live_bytes_ -= record_bytes(it->second.size);
  live_.erase(it);
  return true;
}

std::map<ObjectId, std::string> read_estate(std::string_view file) {
  std::map<ObjectId, std::string> left;
  uint64_t end = 0;
  if (file.size() < kFirst) return left;
  std::memcpy(&end, file.data(), sizeof end);
  if (end > file.size()) return left;
  uint64_t at = kFirst;
  while (at + sizeof(RecordHead) <= end) {
    RecordHead head;
    std::memcpy(&head, file.data() + at, sizeof head);
    if (record_bytes(head.size) > end - at) break;
    const ObjectId id = ObjectId::from({reinterpret_cast<const char*>(head.id), ObjectId::kSize});
    if (head.kind == kLeft) {
      left[id] = std::string(file.substr(at + sizeof head, head.size));
    } else if (head.kind == kWithdrawn) {
      left.erase(id);
    } else {
      break;
    }
    at += record_bytes(head.size);
  }
  return left;
}

}  // namespace eagleray
