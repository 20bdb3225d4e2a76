// What the fuzz targets of the machines share: they read steps and messages from one stream of
// bytes, and put whole messages into it, which chance alone would rarely form.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "base/random.h"
#include "wire/codec.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t size_max);

namespace eagleray {

class FuzzInput {
 public:
  FuzzInput(const uint8_t* data, size_t size)
      : decoder_(std::string_view(reinterpret_cast<const char*>(data), size)) {}

  bool more() const { return decoder_.good() && !decoder_.at_end(); }
  // Default when the stream has ended or has no such value.
  template <class T>
  T take() {
    T value{};
    decoder_.get(value);
    return value;
  }
  bool good() const { return decoder_.good(); }

 private:
  Decoder decoder_;
};

// The bytes of the `index`-th of a variant's messages, as it is made.
template <class Variant, size_t I = 0>
std::string plain_message(size_t index) {
  if constexpr (I + 1 < std::variant_size_v<Variant>) {
    if (index != I) return plain_message<Variant, I + 1>(index);
  }
  std::string bytes;
  encode(Variant(std::in_place_index<I>), bytes);
  return bytes;
}

// For LLVMFuzzerCustomMutator: libFuzzer's own changes, and now and then whole messages of a random
// kind at the end, or behind a cut; before each of them what `step` makes.
template <class Variant, class Step>
size_t mutate_with_messages(Step step, uint8_t* data, size_t size, size_t size_max, uint32_t seed) {
  Random random(seed);
  if (random.below(3) != 0) return LLVMFuzzerMutate(data, size, size_max);
  std::string tail;
  for (size_t i = random.below(3) + 1; i > 0; --i) {
    tail += step(random);
    tail += plain_message<Variant>(random.below(std::variant_size_v<Variant>));
  }
  if (tail.size() > size_max) return LLVMFuzzerMutate(data, size, size_max);
  size_t at = random.below(2) == 0 ? size : random.below(size + 1);
  at = std::min(at, size_max - tail.size());
  std::copy(tail.begin(), tail.end(), data + at);
  return at + tail.size();
}

}  // namespace eagleray
