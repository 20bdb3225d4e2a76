// Floats at an address that suits the widest vectors, zero at first.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>

namespace eagleray::learn {

class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t size)
      : size_(size),
        data_(static_cast<float*>(::operator new(std::max<size_t>(size, 1) * sizeof(float),
                                                 std::align_val_t(kAlignment)))) {
    std::fill_n(data_.get(), size, 0.0f);
  }

  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  size_t size() const { return size_; }
  // Room for `size` floats; what was there is lost if it grows.
  void reserve(size_t size) {
    if (size > size_) *this = Buffer(size);
  }

 private:
  static constexpr size_t kAlignment = 64;
  struct Free {
    void operator()(float* p) const { ::operator delete(p, std::align_val_t(kAlignment)); }
  };

  size_t size_ = 0;
  std::unique_ptr<float, Free> data_;
};

}  // namespace eagleray::learn
