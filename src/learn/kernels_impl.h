// The kernels for vectors of EAGLERAY_LANES floats: included once by each kernels_ISA.cc, which is
// compiled with that instruction set's flags. So it includes nothing that has inline functions:
// the linker might take such a one for the whole program.
//
// Products are made in tiles of kTileRows x kTileVectors accumulators that stay in registers: with
// 32 registers 8 x 2, with 16 of them 6 x 2. A panel of w (k x 2 vectors) stays in the first-level
// cache while all rows pass by.

#include "learn/kernels.h"

#ifndef EAGLERAY_LANES
#error "kernels_impl.h is for kernels_ISA.cc"
#endif

namespace eagleray::learn {
namespace {

inline constexpr size_t kLanes = EAGLERAY_LANES;
inline constexpr size_t kTileRows = kLanes == 16 ? 8 : 6;
inline constexpr size_t kTileVectors = 2;
// Few rows have too few accumulators to hide the latency of a product: they take wider tiles.
inline constexpr size_t kFewRows = 2;
inline constexpr size_t kFewVectors = 8;

using Vec = float __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));
using Bits = int32_t __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));

#define EAGLERAY_INLINE inline __attribute__((always_inline))

EAGLERAY_INLINE Vec load(const float* p) { return *reinterpret_cast<const Vec*>(p); }
EAGLERAY_INLINE void store(float* p, Vec v) { *reinterpret_cast<Vec*>(p) = v; }
EAGLERAY_INLINE Vec splat(float x) { return Vec{} + x; }
EAGLERAY_INLINE Vec smaller(Vec a, Vec b) { return a < b ? a : b; }
EAGLERAY_INLINE Vec larger(Vec a, Vec b) { return a > b ? a : b; }

// 2^n e^r with r = x - n ln 2; the polynomial is a minimax fit whose own error is 3.1e-9.
// For |x| < 88.
EAGLERAY_INLINE Vec exp_within(Vec x) {
  const Vec shift = splat(12582912.0f);  // 1.5 x 2^23: adding it rounds to a whole number
  const Vec n = (x * 1.44269504f + shift) - shift;
  const Vec r = (x - n * 0.693145752f) - n * 1.42860677e-06f;
  Vec p = r * 0.00138145289f + 0.00836875103f;
  p = p * r + 0.0416683927f;
  p = p * r + 0.166665196f;
  p = p * r + 0.49999994f;
  const Vec e = p * (r * r) + r + 1.0f;
  const Bits power = (__builtin_convertvector(n, Bits) + 127) << 23;
  return e * reinterpret_cast<const Vec&>(power);
}

// NaN stays NaN, here and below: it is the second operand of the comparisons.
EAGLERAY_INLINE Vec exp_of(Vec x) {
  const Vec y = exp_within(larger(splat(-87.5f), smaller(splat(88.0f), x)));
  return x < splat(-87.0f) ? Vec{} : y;
}

// Near 0 an odd polynomial, a minimax fit (its own error is 4.4e-9); elsewhere 1 - 2 / (e^2|x| +
// 1).
EAGLERAY_INLINE Vec tanh_of(Vec x) {
  const Vec z = x * x;
  Vec p = z * -0.005704985f + 0.0206390861f;
  p = p * z + -0.0537397154f;
  p = p * z + 0.133314416f;
  p = p * z + -0.333332807f;
  const Vec near = p * (z * x) + x;
  const Vec size = x < Vec{} ? -x : x;
  const Vec far = 1.0f - 2.0f / (exp_within(smaller(splat(20.0f), size + size)) + 1.0f);
  return size < splat(0.625f) ? near : x < Vec{} ? -far : far;
}

template <Activation activation>
EAGLERAY_INLINE Vec activated(Vec x) {
  if constexpr (activation == Activation::kTanh) return tanh_of(x);
  if constexpr (activation == Activation::kRelu) return larger(Vec{}, x);
  return x;
}

// The derivative, from the activation's value.
template <Activation activation>
EAGLERAY_INLINE Vec passed_back(Vec gradient, Vec value) {
  if constexpr (activation == Activation::kTanh) return gradient * (1.0f - value * value);
  if constexpr (activation == Activation::kRelu) return value > Vec{} ? gradient : Vec{};
  return gradient;
}

// How element (row m, step k) of a product's left factor is found: at m * row + k * step.
template <bool transposed>
struct Left {
  const float* data;
  size_t ld;
  EAGLERAY_INLINE float at(size_t m, size_t k) const {
    return transposed ? data[k * ld + m] : data[m * ld + k];
  }
};

// One tile of left * right, plus `initial` (a row of biases) if there is one, handed to
// finish(row, vector, value).
template <size_t rows, size_t vectors, bool transposed, class Finish>
EAGLERAY_INLINE void tile(Left<transposed> left, Operand right, size_t depth, const float* initial,
                          Finish finish) {
  Vec sums[rows][vectors];
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < vectors; ++j) sums[i][j] = initial ? load(initial + j * kLanes) : Vec{};
  }
  const float* b = right.data;
  for (size_t k = 0; k < depth; ++k, b += right.ld) {
    Vec row[vectors];
    for (size_t j = 0; j < vectors; ++j) row[j] = load(b + j * kLanes);
    for (size_t i = 0; i < rows; ++i) {
      const Vec factor = splat(left.at(i, k));
      for (size_t j = 0; j < vectors; ++j) sums[i][j] += factor * row[j];
    }
  }
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < vectors; ++j) finish(i, j, sums[i][j]);
  }
}

template <bool transposed>
struct Product {
  Left<transposed> left;
  Operand right;
  const float* initial;  // biases, or null
  Output out;
  size_t depth;
};

// Rows [m, m + rows) of one panel, plainly stored.
template <size_t rows, size_t vectors, bool transposed>
__attribute__((noinline)) void stored_tile(const Product<transposed>& p, size_t m, size_t n) {
  const Left<transposed> left{p.left.data + (transposed ? m : m * p.left.ld), p.left.ld};
  float* to = p.out.data + m * p.out.ld + n;
  tile<rows, vectors, transposed>(
      left, {p.right.data + n, p.right.ld}, p.depth, p.initial ? p.initial + n : nullptr,
      [&](size_t i, size_t j, Vec v) { store(to + i * p.out.ld + j * kLanes, v); });
}

// What is left when whole tiles of rows are done: fewer than kTileRows.
template <size_t rows, size_t vectors, bool transposed>
EAGLERAY_INLINE void last_rows(const Product<transposed>& p, size_t m, size_t n, size_t count) {
  if constexpr (rows > 0) {
    if (count == rows)
      stored_tile<rows, vectors>(p, m, n);
    else
      last_rows<rows - 1, vectors>(p, m, n, count);
  }
}

// One panel of `vectors` vectors from column n; done(m, rows) is called when rows are in place.
template <size_t vectors, bool transposed, class Done>
EAGLERAY_INLINE void panel(const Product<transposed>& p, size_t n, size_t rows, Done done) {
  constexpr size_t kRows = vectors == kFewVectors ? kFewRows : kTileRows;
  size_t m = 0;
  for (; m + kRows <= rows; m += kRows) {
    stored_tile<kRows, vectors>(p, m, n);
    done(m, kRows, n, vectors);
  }
  if (m < rows) {
    last_rows<kRows - 1, vectors>(p, m, n, rows - m);
    done(m, rows - m, n, vectors);
  }
}

// All of it: `columns` is a multiple of kLane.
template <bool transposed, class Done>
EAGLERAY_INLINE void product(const Product<transposed>& p, size_t rows, size_t columns, Done done) {
  size_t n = 0;
  if (rows <= kFewRows) {
    for (; n + kFewVectors * kLanes <= columns; n += kFewVectors * kLanes) {
      panel<kFewVectors>(p, n, rows, done);
    }
  }
  for (; n + kTileVectors * kLanes <= columns; n += kTileVectors * kLanes) {
    panel<kTileVectors>(p, n, rows, done);
  }
  for (; n < columns; n += kLanes) panel<1>(p, n, rows, done);
}

template <Activation activation>
void forward_with(const Product<false>& p, size_t rows, size_t columns) {
  product(p, rows, columns, [&](size_t m, size_t count, size_t n, size_t vectors) {
    if constexpr (activation == Activation::kLinear) return;
    for (size_t i = m; i < m + count; ++i) {
      float* y = p.out.data + i * p.out.ld + n;
      for (size_t j = 0; j < vectors; ++j) {
        store(y + j * kLanes, activated<activation>(load(y + j * kLanes)));
      }
    }
  });
}

void forward(Operand x, Operand w, const float* bias, Output y, size_t rows, size_t in, size_t out,
             Activation activation) {
  const Product<false> p{{x.data, x.ld}, w, bias, y, in};
  switch (activation) {
    case Activation::kLinear: return forward_with<Activation::kLinear>(p, rows, padded(out));
    case Activation::kTanh: return forward_with<Activation::kTanh>(p, rows, padded(out));
    case Activation::kRelu: return forward_with<Activation::kRelu>(p, rows, padded(out));
  }
}

template <Activation below>
void backward_input_with(const Product<false>& p, Operand x, size_t rows, size_t columns) {
  product(p, rows, columns, [&](size_t m, size_t count, size_t n, size_t vectors) {
    if constexpr (below == Activation::kLinear) return;
    for (size_t i = m; i < m + count; ++i) {
      float* dx = p.out.data + i * p.out.ld + n;
      const float* value = x.data + i * x.ld + n;
      for (size_t j = 0; j < vectors; ++j) {
        store(dx + j * kLanes, passed_back<below>(load(dx + j * kLanes), load(value + j * kLanes)));
      }
    }
  });
}

void backward_input(Operand dy, Operand wt, Operand x, Output dx, size_t rows, size_t in,
                    size_t out, Activation below) {
  const Product<false> p{{dy.data, dy.ld}, wt, nullptr, dx, out};
  switch (below) {
    case Activation::kLinear:
      return backward_input_with<Activation::kLinear>(p, x, rows, padded(in));
    case Activation::kTanh: return backward_input_with<Activation::kTanh>(p, x, rows, padded(in));
    case Activation::kRelu: return backward_input_with<Activation::kRelu>(p, x, rows, padded(in));
  }
}

void backward_weight(Operand x, Operand dy, Output dw, size_t begin, size_t end, size_t rows,
                     size_t out) {
  const Product<true> p{
      {x.data + begin, x.ld}, dy, nullptr, {dw.data + begin * dw.ld, dw.ld}, rows};
  product(p, end - begin, padded(out), [](size_t, size_t, size_t, size_t) {});
}

void column_sums(Operand dy, float* sums, size_t rows, size_t out) {
  for (size_t n = 0; n < padded(out); n += kLanes) {
    Vec sum{};
    for (size_t m = 0; m < rows; ++m) sum += load(dy.data + m * dy.ld + n);
    store(sums + n, sum);
  }
}

template <int... i>
struct Indices {};
template <int n, int... i>
struct MakeIndices : MakeIndices<n - 1, n - 1, i...> {};
template <int... i>
struct MakeIndices<0, i...> {
  using Type = Indices<i...>;
};

// Swaps the off-diagonal of the 2 x 2 blocks of size `step` in rows a and b.
template <int step, int... i>
EAGLERAY_INLINE void swap_blocks(Vec& a, Vec& b, Indices<i...>) {
  constexpr int n = static_cast<int>(kLanes);
  const Vec x = __builtin_shufflevector(a, b, ((i & step) == 0 ? i : n + i - step)...);
  b = __builtin_shufflevector(a, b, ((i & step) == 0 ? i + step : n + i)...);
  a = x;
}

template <int step>
EAGLERAY_INLINE void transpose_steps(Vec (&rows)[kLanes]) {
  if constexpr (step < static_cast<int>(kLanes)) {
    for (size_t i = 0; i < kLanes; ++i) {
      if ((i & static_cast<size_t>(step)) == 0) {
        swap_blocks<step>(rows[i], rows[i + static_cast<size_t>(step)],
                          typename MakeIndices<static_cast<int>(kLanes)>::Type{});
      }
    }
    transpose_steps<step * 2>(rows);
  }
}

void transpose(Operand w, Output wt, size_t begin, size_t end, size_t out) {
  for (size_t k = begin; k < end; k += kLanes) {
    for (size_t n = 0; n < out; n += kLanes) {
      Vec rows[kLanes];
      for (size_t i = 0; i < kLanes; ++i) {
        rows[i] = k + i < end ? load(w.data + (k + i) * w.ld + n) : Vec{};
      }
      transpose_steps<1>(rows);
      for (size_t i = 0; i < kLanes && n + i < out; ++i) {
        store(wt.data + (n + i) * wt.ld + k, rows[i]);
      }
    }
  }
}

float sum_of_squares(const float* x, size_t n) {
  Vec sum{};
  for (size_t i = 0; i < n; i += kLanes) sum += load(x + i) * load(x + i);
  float total = 0;
  for (size_t i = 0; i < kLanes; ++i) total += sum[i];
  return total;
}

void adam(float* __restrict w, const float* __restrict g, float* __restrict m, float* __restrict v,
          size_t n, const AdamStep& step) {
  const AdamStep s = step;
  for (size_t i = 0; i < n; ++i) {
    const float gradient = g[i] * s.gradient_scale;
    m[i] = s.beta1 * m[i] + (1 - s.beta1) * gradient;
    v[i] = s.beta2 * v[i] + (1 - s.beta2) * gradient * gradient;
    w[i] -= s.step * m[i] / (__builtin_sqrtf(v[i]) * s.root_scale + s.epsilon);
  }
}

void tanh_all(const float* x, float* y, size_t n) {
  for (size_t i = 0; i < n; i += kLanes) store(y + i, tanh_of(load(x + i)));
}

void exp_all(const float* x, float* y, size_t n) {
  for (size_t i = 0; i < n; i += kLanes) store(y + i, exp_of(load(x + i)));
}

constexpr Kernels table(const char* name) {
  return {.name = name,
          .forward = forward,
          .backward_input = backward_input,
          .backward_weight = backward_weight,
          .column_sums = column_sums,
          .transpose = transpose,
          .sum_of_squares = sum_of_squares,
          .adam = adam,
          .tanh = tanh_all,
          .exp = exp_all};
}

}  // namespace
}  // namespace eagleray::learn
