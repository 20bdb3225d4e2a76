// The arithmetic of small nets, once for each instruction set. A table of functions is chosen at
// run time; nothing here allocates, locks or knows what a policy is.
//
// Matrices are row-major floats whose leading dimension is a multiple of kLane; columns between the
// logical width and the leading dimension are zeros and stay so. Every element of a product is the
// same chain of additions (k ascending, one accumulator) wherever it stands, so a result depends
// neither on how rows are spread over threads nor on how many stand together.
#pragma once

#include <cstddef>
#include <cstdint>

namespace eagleray::learn {

inline constexpr size_t kLane = 16;  // floats of the widest vector: leading dimensions' unit

constexpr size_t padded(size_t n) { return (n + kLane - 1) / kLane * kLane; }

enum class Activation : uint8_t { kLinear, kTanh, kRelu };

struct Operand {
  const float* data;
  size_t ld;
};
struct Output {
  float* data;
  size_t ld;
};

// One step of Adam with all that is the same for all parameters.
struct AdamStep {
  float gradient_scale;  // below 1 where the global norm is clipped
  float beta1;
  float beta2;
  float step;        // lr / (1 - beta1^t)
  float root_scale;  // 1 / sqrt(1 - beta2^t)
  float epsilon;
};

struct Kernels {
  const char* name;

  // y[m][n] = act(bias[n] + sum_k x[m][k] w[k][n]) for m < rows, n < padded(out).
  void (*forward)(Operand x, Operand w, const float* bias, Output y, size_t rows, size_t in,
                  size_t out, Activation activation);

  // dx[m][k] = act'(.) sum_n dy[m][n] wt[n][k], the derivative being computed from the outputs
  // `x` of the layer below.
  void (*backward_input)(Operand dy, Operand wt, Operand x, Output dx, size_t rows, size_t in,
                         size_t out, Activation below);

  // dw[k][n] = sum_m x[m][k] dy[m][n] for begin <= k < end.
  void (*backward_weight)(Operand x, Operand dy, Output dw, size_t begin, size_t end, size_t rows,
                          size_t out);

  // sums[n] = sum_m dy[m][n].
  void (*column_sums)(Operand dy, float* sums, size_t rows, size_t out);

  // wt[n][k] = w[k][n] for begin <= k < end, n < out; begin is a multiple of kLane, and both have
  // whole blocks of kLane by kLane.
  void (*transpose)(Operand w, Output wt, size_t begin, size_t end, size_t out);

  // n is a multiple of kLane.
  float (*sum_of_squares)(const float* x, size_t n);
  void (*adam)(float* w, const float* g, float* m, float* v, size_t n, const AdamStep& step);

  // y[i] = f(x[i]); n is a multiple of kLane. tanh: error below 2 units in the last place; exp:
  // below 2, and 0 below -87 (kernels_test.cc).
  void (*tanh)(const float* x, float* y, size_t n);
  void (*exp)(const float* x, float* y, size_t n);
};

// The best that this processor can run.
const Kernels& kernels();

// All that it can run, best first: for tests and figures.
struct KernelList {
  const Kernels* list[3];
  size_t count;
};
KernelList all_kernels();

}  // namespace eagleray::learn
