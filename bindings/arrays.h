// numpy arrays without pickle: plain numbers in C order, the bulk of what programs exchange. Needs
// the GIL. Layout behind the tag: 6 bytes of padding, the PEP 3118 format character at byte 7, u64
// number of dimensions, their lengths as u64, then the elements at the next multiple of 64.
#pragma once

#include <Python.h>

#include <optional>
#include <string_view>
#include <vector>

namespace eagleray::python {

// An array's bytes and shape, held while it is copied; nothing for what goes the way of pickle.
class ArraySource {
 public:
  static std::optional<ArraySource> of(PyObject* object);
  ArraySource(ArraySource&& other) noexcept : view_(other.view_) { other.view_.obj = nullptr; }
  ArraySource& operator=(ArraySource&&) = delete;
  ~ArraySource() {
    if (view_.obj) PyBuffer_Release(&view_);
  }

  size_t size() const;                // of the whole value
  size_t data_at() const;             // where the elements begin
  void write_header(char* to) const;  // everything in front of them, the tag left out
  const void* data() const { return view_.buf; }
  size_t data_bytes() const { return static_cast<size_t>(view_.len); }

 private:
  explicit ArraySource(const Py_buffer& view) : view_(view) {}
  Py_buffer view_;
};

// What a value says of its array; nothing if it is cut short or no array of ours.
struct ArrayShape {
  char format = 0;
  std::vector<Py_ssize_t> lengths;
  size_t data_at = 0;
  size_t data_bytes = 0;
};
std::optional<ArrayShape> read_array(std::string_view value);

// A read-only array over `buffer`, which holds exactly the elements. Null with a Python error set.
PyObject* make_array(const ArrayShape& shape, PyObject* buffer);

}  // namespace eagleray::python
