// The byte form of messages: little-endian integers, length-prefixed strings and lists, a variant
// as its index (u16) and then its value. Encoding cannot fail; decoding checks every length against
// what is left and every count against a limit, so hostile bytes give kCorrupt and never a large
// allocation. The order of members is EAGLERAY_FIELDS' order.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/payload.h"
#include "base/result.h"

namespace eagleray {

static_assert(std::endian::native == std::endian::little, "integers are copied as they lie");

template <class M>
concept Message = requires(const M& m) { m.visit_fields([](const auto&...) {}); };

class Encoder {
 public:
  explicit Encoder(std::string& out) : out_(out) {}

  template <class T>
    requires(std::is_arithmetic_v<T> || std::is_enum_v<T>)
  void put(const T& value) {
    raw(&value, sizeof value);
  }
  template <class Tag, class Rep>
  void put(const StrongInt<Tag, Rep>& id) {
    put(id.value);
  }
  template <class Tag, size_t N>
  void put(const BytesId<Tag, N>& id) {
    raw(id.bytes.data(), N);
  }
  void put(std::string_view bytes) {
    put(static_cast<uint32_t>(bytes.size()));
    raw(bytes.data(), bytes.size());
  }
  void put(const std::string& bytes) { put(std::string_view{bytes}); }
  void put(const Payload& payload) { put(payload.view()); }
  template <class T>
  void put(const std::vector<T>& items) {
    put(static_cast<uint32_t>(items.size()));
    for (const T& item : items) put(item);
  }
  template <class K, class V>
  void put(const std::map<K, V>& items) {
    put(static_cast<uint32_t>(items.size()));
    for (const auto& [key, value] : items) {
      put(key);
      put(value);
    }
  }
  template <Message M>
  void put(const M& message) {
    message.visit_fields([this](const auto&... field) { (this->put(field), ...); });
  }
  template <class... Ts>
  void put(const std::variant<Ts...>& choice) {
    put(static_cast<uint16_t>(choice.index()));
    std::visit([this](const auto& value) { this->put(value); }, choice);
  }

 private:
  void raw(const void* data, size_t size) { out_.append(static_cast<const char*>(data), size); }
  std::string& out_;
};

class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : rest_(bytes) {}

  // False after the first read past the end or bad index; values read since then are default.
  bool good() const { return good_; }
  bool at_end() const { return rest_.empty(); }
  size_t left() const { return rest_.size(); }

  template <class T>
    requires(std::is_arithmetic_v<T> || std::is_enum_v<T>)
  void get(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      uint8_t byte = 0;
      raw(&byte, 1);
      value = byte != 0;
    } else {
      raw(&value, sizeof value);
      if constexpr (std::is_enum_v<T>) {
        if (value > last_of(value)) value = T{}, fail();
      }
    }
  }
  template <class Tag, class Rep>
  void get(StrongInt<Tag, Rep>& id) {
    get(id.value);
  }
  template <class Tag, size_t N>
  void get(BytesId<Tag, N>& id) {
    raw(id.bytes.data(), N);
  }
  std::string_view get_view() {
    uint32_t size = 0;
    get(size);
    if (size > rest_.size()) {
      fail();
      return {};
    }
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }
  void get(std::string& bytes) { bytes = get_view(); }
  void get(Payload& payload) { payload = Payload::copy_of(get_view()); }
  template <class T>
  void get(std::vector<T>& items) {
    const uint32_t count = get_count();
    items.clear();
    for (uint32_t i = 0; i < count && good_; ++i) get(items.emplace_back());
  }
  template <class K, class V>
  void get(std::map<K, V>& items) {
    const uint32_t count = get_count();
    items.clear();
    for (uint32_t i = 0; i < count && good_; ++i) {
      K key{};
      get(key);
      get(items[std::move(key)]);
    }
  }
  template <Message M>
  void get(M& message) {
    message.visit_fields([this](auto&... field) { (this->get(field), ...); });
  }
  template <class... Ts>
  void get(std::variant<Ts...>& choice) {
    uint16_t index = 0;
    get(index);
    if (index >= sizeof...(Ts)) return fail();
    get_alternative<0>(choice, index);
  }

 private:
  // A count of items that each take at least one byte can never exceed what is left.
  uint32_t get_count() {
    uint32_t count = 0;
    get(count);
    if (count > rest_.size()) {
      fail();
      return 0;
    }
    return count;
  }
  template <size_t I, class... Ts>
  void get_alternative(std::variant<Ts...>& choice, size_t index) {
    if constexpr (I < sizeof...(Ts)) {
      if (index == I) {
        get(choice.template emplace<I>());
      } else {
        get_alternative<I + 1>(choice, index);
      }
    }
  }
  void raw(void* to, size_t size) {
    if (size > rest_.size()) return fail();
    std::memcpy(to, rest_.data(), size);
    rest_.remove_prefix(size);
  }
  void fail() {
    good_ = false;
    rest_ = {};
  }

  std::string_view rest_;
  bool good_ = true;
};

template <class M>
void encode(const M& message, std::string& out) {
  Encoder(out).put(message);
}

// Exactly one M and nothing behind it.
template <class M>
Result<M> decode(std::string_view bytes) {
  M message{};
  Decoder decoder(bytes);
  decoder.get(message);
  if (!decoder.good()) return Error{ErrorCode::kCorrupt, "message is cut short or has a bad tag"};
  if (!decoder.at_end()) return Error{ErrorCode::kCorrupt, "message has bytes behind its end"};
  return message;
}

}  // namespace eagleray
