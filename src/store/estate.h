// Estate: what a process would leave behind if it died now, written by it into a memory file that
// its node reads after its death. A log of records (an object's id and opaque bytes, or its
// withdrawal); the header says how far it is complete, so a death in the middle of a write loses
// that record only. When most of the log is withdrawn, a new file takes its place.
//
// Layout, little-endian: u64 length of the complete part; then records of u32 size, u32 kind
// (1: left, 2: withdrawn), the id's 28 bytes, padding to 40, `size` bytes, padded to 8.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/ids.h"

namespace eagleray {

inline constexpr uint64_t kEstateBytesMin = 64u << 10;
inline constexpr uint64_t kEstateBytesMax = 64u << 20;  // beyond, objects are not left (OwnerDied)

// The writing side, over memory that its owner maps; it asks for more by saying what it needs.
class EstateWriter {
 public:
  // `data`: `bytes` of zeros that live as long as this writer. Copies what is live in `before`.
  void begin(char* data, uint64_t bytes, const EstateWriter* before);

  // False: no room; begin() anew with at least bytes_wanted(value.size()), then try again.
  bool leave(const ObjectId& object, std::string_view value);
  bool withdraw(const ObjectId& object);
  bool holds(const ObjectId& object) const { return live_.contains(object); }

  // The size of file with which `more` bytes would fit and leave as much again free; 0: over the
  // limit.
  uint64_t bytes_wanted(uint64_t more) const;

 private:
  bool append(uint32_t kind, const ObjectId& object, std::string_view value);

  char* data_ = nullptr;
  uint64_t bytes_ = 0;
  uint64_t used_ = 0;
  uint64_t live_bytes_ = 0;
  struct Place {
    uint64_t offset = 0;  // of the record
    uint32_t size = 0;    // of the value
  };
  std::unordered_map<ObjectId, Place, IdHash> live_;
};

// What a file left by a process says; garbage ends the reading, what came before it counts.
std::map<ObjectId, std::string> read_estate(std::string_view file);

}  // namespace eagleray
