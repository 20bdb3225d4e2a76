#include "rl/common.h"

#include <cmath>

namespace eagleray::rl {
namespace {

std::string shape_text(const auto& shape) {
  std::string text = "(";
  for (int64_t extent : shape) text += (extent < 0 ? "n" : std::to_string(extent)) + ", ";
  if (text.size() > 1) text.resize(text.size() - (shape.size() == 1 ? 1 : 2));
  return text + ")";
}

template <class Array>
void check_shape(const Array& array, const char* name, Shape shape) {
  bool fits = array.ndim() == shape.size();
  size_t axis = 0;
  for (int64_t extent : shape) {
    fits = fits && (extent < 0 || array.shape(axis) == static_cast<size_t>(extent));
    ++axis;
  }
  if (fits) return;
  std::vector<int64_t> given;
  for (size_t i = 0; i < array.ndim(); ++i) given.push_back(static_cast<int64_t>(array.shape(i)));
  refuse(std::string(name) + " must have the shape " + shape_text(std::vector<int64_t>(shape)) +
         ", not " + shape_text(given));
}

// What is no such array numpy converts, so that lists, other types and strides are welcome.
template <class T>
nb::ndarray<const T, nb::c_contig> converted(nb::handle value, const char* name, Shape shape,
                                             const char* dtype, const char* kinds) {
  nb::ndarray<const T, nb::c_contig> result;
  if (nb::try_cast(value, result, false)) {  // it is one already
    check_shape(result, name, shape);
    return result;
  }
  nb::module_ numpy = nb::module_::import_("numpy");
  nb::object array;
  try {
    array = numpy.attr("asarray")(value);
  } catch (nb::python_error& e) {
    refuse(std::string(name) + " is no array: " + e.what());
  }
  const auto kind = nb::cast<std::string>(array.attr("dtype").attr("kind"));
  if (std::string(kinds).find(kind) == std::string::npos) {
    const auto given = nb::cast<std::string>(array.attr("dtype").attr("name"));
    refuse(std::string(name) + " must be " + dtype + ", not " + given);
  }
  array = numpy.attr("ascontiguousarray")(array, dtype).attr("reshape")(array.attr("shape"));
  result = nb::cast<nb::ndarray<const T, nb::c_contig>>(array);
  check_shape(result, name, shape);
  return result;
}

template <class T, class Element>
Fresh<T, Element> fresh(std::initializer_list<size_t> shape) {
  size_t count = 1;
  for (size_t extent : shape) count *= extent;
  auto* data = new T[count == 0 ? 1 : count];
  nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<T*>(p); });
  nb::ndarray<nb::numpy, Element> array(data, shape.size(), shape.begin(), owner);
  return {data, nb::cast(array)};
}

}  // namespace

nb::ndarray<const float, nb::c_contig> in_floats(nb::handle value, const char* name, Shape shape) {
  return converted<float>(value, name, shape, "float32", "fiub");
}

nb::ndarray<const double, nb::c_contig> in_doubles(nb::handle value, const char* name,
                                                   Shape shape) {
  return converted<double>(value, name, shape, "float64", "fiub");
}

nb::ndarray<const int64_t, nb::c_contig> in_integers(nb::handle value, const char* name,
                                                     Shape shape) {
  return converted<int64_t>(value, name, shape, "int64", "iub");
}

nb::ndarray<const uint8_t, nb::c_contig> in_flags(nb::handle value, const char* name, Shape shape) {
  return converted<uint8_t>(value, name, shape, "uint8", "bu");
}

nb::ndarray<const float, nb::c_contig> in_finite(nb::handle value, const char* name, Shape shape) {
  auto array = in_floats(value, name, shape);
  float sum = 0;  // of zeros, unless something is not finite: one pass that vectorises
  for (size_t i = 0; i < array.size(); ++i) sum += array.data()[i] * 0.0f;
  if (sum != 0 || std::isnan(sum)) refuse(std::string(name) + " holds NaN or infinity");
  return array;
}

Fresh<float> fresh_floats(std::initializer_list<size_t> shape) {
  return fresh<float, float>(shape);
}
Fresh<int64_t> fresh_integers(std::initializer_list<size_t> shape) {
  return fresh<int64_t, int64_t>(shape);
}
Fresh<uint8_t, bool> fresh_flags(std::initializer_list<size_t> shape) {
  return fresh<uint8_t, bool>(shape);
}
Fresh<double> fresh_doubles(std::initializer_list<size_t> shape) {
  return fresh<double, double>(shape);
}

}  // namespace eagleray::rl
