// What the files of the module eagleray._rl share: arrays in and out, errors as ValueError.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include <initializer_list>
#include <string>

#include "base/result.h"

namespace eagleray::rl {

namespace nb = nanobind;

// Contiguous arrays on the CPU. Taken from Python only by in_floats() and its like.
using Floats = nb::ndarray<nb::numpy, float, nb::c_contig>;

[[noreturn]] inline void refuse(const std::string& why) { throw nb::value_error(why.c_str()); }

template <class T>
T value_of(Result<T> result) {
  if (!result.ok()) refuse(result.error().message);
  return std::move(result).value();
}

// An argument as a contiguous array of T with this shape (-1: any extent), converted if numpy says
// that nothing is lost by kind (integers stay integers). `name` is how messages call it.
using Shape = std::initializer_list<int64_t>;
nb::ndarray<const float, nb::c_contig> in_floats(nb::handle value, const char* name, Shape shape);
nb::ndarray<const double, nb::c_contig> in_doubles(nb::handle value, const char* name, Shape shape);
nb::ndarray<const int64_t, nb::c_contig> in_integers(nb::handle value, const char* name,
                                                     Shape shape);
nb::ndarray<const uint8_t, nb::c_contig> in_flags(nb::handle value, const char* name, Shape shape);

// As in_floats, and every number is finite.
nb::ndarray<const float, nb::c_contig> in_finite(nb::handle value, const char* name, Shape shape);

// Actions of `rows` decisions, as the space has them: the first num_actions integers, or a box.
// Only the one of the two is set. ValueError where one is not in the space.
struct GivenActions {
  nb::ndarray<const int64_t, nb::c_contig> discrete;
  nb::ndarray<const float, nb::c_contig> box;
};
GivenActions in_actions(nb::handle actions, size_t num_actions, size_t action_dim, int64_t rows);

// A fresh array whose memory Python owns.
template <class T, class Element = T>
struct Fresh {
  T* data;
  nb::object array;
};
Fresh<float> fresh_floats(std::initializer_list<size_t> shape);
Fresh<int64_t> fresh_integers(std::initializer_list<size_t> shape);
Fresh<uint8_t, bool> fresh_flags(std::initializer_list<size_t> shape);
Fresh<double> fresh_doubles(std::initializer_list<size_t> shape);

void bind_envs(nb::module_& module);
void bind_policy(nb::module_& module);
void bind_learner(nb::module_& module);
void bind_rollout(nb::module_& module);

}  // namespace eagleray::rl
