#include <cstring>
#include <vector>

#include "arrays.h"

namespace eagleray::python {
namespace {

constexpr std::string_view kFormats = "?bBhHiIlLqQefd";  // native order, no objects
constexpr size_t kFormatAt = 7;
constexpr size_t kDimensionsAt = 8;
constexpr size_t kLengthsAt = 16;
constexpr size_t kDimensionsMax = 32;

constexpr size_t data_behind(size_t dimensions) {
  return (kLengthsAt + dimensions * 8 + 63) & ~size_t{63};
}

size_t item_bytes(char format) {
  switch (format) {
    case '?':
    case 'b':
    case 'B': return 1;
    case 'h':
    case 'H':
    case 'e': return 2;
    case 'i':
    case 'I':
    case 'f': return 4;
    default: return 8;
  }
}

// numpy.ndarray, once this process has loaded numpy; null before, unless `load`.
PyObject* array_type(bool load) {
  static PyObject* type = nullptr;
  if (type) return type;
  PyObject* module = nullptr;
  if (load) {
    module = PyImport_ImportModule("numpy");
  } else {
    module = PyDict_GetItemString(PyImport_GetModuleDict(), "numpy");
    Py_XINCREF(module);
  }
  if (!module) return nullptr;
  type = PyObject_GetAttrString(module, "ndarray");
  if (!type && !load) PyErr_Clear();  // numpy is being imported at this moment
  Py_DECREF(module);
  return type;
}

PyObject* dtype_of(char format) {
  static PyObject* types[128] = {};
  PyObject*& type = types[static_cast<size_t>(format)];
  if (!type) {
    PyObject* module = PyImport_ImportModule("numpy");
    if (!module) return nullptr;
    type = PyObject_CallMethod(module, "dtype", "C", static_cast<int>(format));
    Py_DECREF(module);
  }
  return type;
}

}  // namespace

std::optional<ArraySource> ArraySource::of(PyObject* object) {
  if (reinterpret_cast<PyObject*>(Py_TYPE(object)) != array_type(false)) return std::nullopt;
  Py_buffer view;
  if (PyObject_GetBuffer(object, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) != 0) {
    PyErr_Clear();
    return std::nullopt;
  }
  ArraySource source(view);
  const bool plain = view.format && view.format[0] != 0 && view.format[1] == 0 &&
                     kFormats.find(view.format[0]) != std::string_view::npos && view.len > 0 &&
                     view.ndim > 0 && static_cast<size_t>(view.ndim) <= kDimensionsMax;
  if (!plain) return std::nullopt;
  return source;
}

size_t ArraySource::data_at() const { return data_behind(static_cast<size_t>(view_.ndim)); }
size_t ArraySource::size() const { return data_at() + data_bytes(); }

void ArraySource::write_header(char* to) const {
  std::memset(to + 1, 0, data_at() - 1);
  to[kFormatAt] = view_.format[0];
  const auto dimensions = static_cast<uint64_t>(view_.ndim);
  std::memcpy(to + kDimensionsAt, &dimensions, sizeof dimensions);
  std::memcpy(to + kLengthsAt, view_.shape, dimensions * sizeof(uint64_t));
}

std::optional<ArrayShape> read_array(std::string_view value) {
  uint64_t dimensions = 0;
  if (value.size() < kLengthsAt) return std::nullopt;
  std::memcpy(&dimensions, value.data() + kDimensionsAt, sizeof dimensions);
  ArrayShape shape;
  shape.format = value[kFormatAt];
  if (dimensions == 0 || dimensions > kDimensionsMax ||
      kFormats.find(shape.format) == std::string_view::npos) {
    return std::nullopt;
  }
  shape.data_at = data_behind(dimensions);
  if (shape.data_at > value.size()) return std::nullopt;
  shape.data_bytes = value.size() - shape.data_at;
  size_t bytes = item_bytes(shape.format);
  for (uint64_t i = 0; i < dimensions; ++i) {
    uint64_t length = 0;
    std::memcpy(&length, value.data() + kLengthsAt + 8 * i, sizeof length);
    if (length == 0 || length > shape.data_bytes / bytes) return std::nullopt;
    bytes *= length;
    shape.lengths.push_back(static_cast<Py_ssize_t>(length));
  }
  if (bytes != shape.data_bytes) return std::nullopt;
  return shape;
}

PyObject* make_array(const ArrayShape& shape, PyObject* buffer) {
  PyObject* type = array_type(true);
  PyObject* dtype = type ? dtype_of(shape.format) : nullptr;
  if (!dtype) return nullptr;
  PyObject* lengths = PyTuple_New(static_cast<Py_ssize_t>(shape.lengths.size()));
  if (!lengths) return nullptr;
  for (size_t i = 0; i < shape.lengths.size(); ++i) {
    PyTuple_SET_ITEM(lengths, static_cast<Py_ssize_t>(i), PyLong_FromSsize_t(shape.lengths[i]));
  }
  PyObject* arguments[] = {lengths, dtype, buffer};
  PyObject* array = PyObject_Vectorcall(type, arguments, 3, nullptr);
  Py_DECREF(lengths);
  return array;
}

}  // namespace eagleray::python
