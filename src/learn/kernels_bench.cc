// Floating-point operations a second of the products that a minibatch is made of, and what tanh
// costs, for every instruction set that this processor has: build/dev/learn_bench.
#include "learn/kernels.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "learn/buffer.h"

namespace eagleray::learn {
namespace {

constexpr size_t kRows = 128, kWidth = 256;

template <class Work>
double best_seconds(Work work) {
  double best = 1e9;
  for (int round = 0; round < 300; ++round) {
    const auto start = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count());
  }
  return best;
}

void measure(const Kernels& k) {
  Buffer x(kRows * kWidth), y(kRows * kWidth), w(kWidth * kWidth), g(kWidth * kWidth);
  Buffer bias(kWidth);
  std::fill_n(x.data(), x.size(), 0.01f);
  std::fill_n(w.data(), w.size(), 0.02f);
  const Operand in{x.data(), kWidth}, weights{w.data(), kWidth};
  constexpr double kFlop = 2.0 * kRows * kWidth * kWidth * 1e-9;
  const auto products = [&](Activation activation) {
    return best_seconds([&] {
      k.forward(in, weights, bias.data(), {y.data(), kWidth}, kRows, kWidth, kWidth, activation);
    });
  };
  const double linear = products(Activation::kLinear), tanh = products(Activation::kTanh);
  const double back = best_seconds([&] {
    k.backward_input(in, weights, in, {y.data(), kWidth}, kRows, kWidth, kWidth, Activation::kTanh);
  });
  const double weight = best_seconds([&] {
    k.backward_weight(in, in, {g.data(), kWidth}, 0, kWidth, kRows, kWidth);
  });
  std::printf("%-9s forward %6.1f, backward %6.1f, weights %6.1f GFLOP/s; tanh %.2f ns\n", k.name,
              kFlop / linear, kFlop / back, kFlop / weight,
              (tanh - linear) * 1e9 / (kRows * kWidth));
}

}  // namespace
}  // namespace eagleray::learn

int main() {
  const eagleray::learn::KernelList all = eagleray::learn::all_kernels();
  for (size_t i = 0; i < all.count; ++i) eagleray::learn::measure(*all.list[i]);
}
