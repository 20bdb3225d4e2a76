#include "learn/kernels.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

#include "base/random.h"

namespace eagleray::learn {
namespace {

struct Matrix {
  Matrix(size_t rows_, size_t columns_) : rows(rows_), columns(columns_), ld(padded(columns_)) {
    data.resize(rows * ld);
  }
  static Matrix random(size_t rows, size_t columns, uint64_t seed) {
    Matrix m(rows, columns);
    Random random(seed);
    for (size_t i = 0; i < rows; ++i) {
      for (size_t j = 0; j < columns; ++j) {
        m.at(i, j) = static_cast<float>(random.below(2001)) / 1000 - 1;
      }
    }
    return m;
  }
  float& at(size_t i, size_t j) { return data[i * ld + j]; }
  float at(size_t i, size_t j) const { return data[i * ld + j]; }
  operator Operand() const { return {data.data(), ld}; }
  operator Output() { return {data.data(), ld}; }

  size_t rows, columns, ld;
  std::vector<float> data;
};

class EachInstructionSet : public testing::TestWithParam<const Kernels*> {};

std::vector<const Kernels*> instruction_sets() {
  const KernelList all = all_kernels();
  return {all.list, all.list + all.count};
}

INSTANTIATE_TEST_SUITE_P(Kernels, EachInstructionSet, testing::ValuesIn(instruction_sets()),
                         [](const auto& set) { return std::string(set.param->name); });

struct Worst {
  double ulps = 0;
  float at = 0;
};

// Over floats evenly spread over their bit patterns, of both signs up to `largest`.
Worst worst_error(void (*f)(const float*, float*, size_t), double (*exact)(double), float largest) {
  Worst worst;
  std::vector<float> x, y(kLane);
  for (uint32_t bits = 0x20000000; bits < std::bit_cast<uint32_t>(largest); bits += 997) {
    x.push_back(std::bit_cast<float>(bits) * ((bits & 1) != 0 ? 1.0f : -1.0f));
    if (x.size() < kLane) continue;
    f(x.data(), y.data(), kLane);
    for (size_t i = 0; i < kLane; ++i) {
      const double want = exact(static_cast<double>(x[i]));
      const auto nearest = static_cast<float>(want);
      const float next = std::nextafter(std::abs(nearest), 10 * std::abs(nearest));
      const double ulp = static_cast<double>(next) - std::abs(static_cast<double>(nearest));
      const double error = std::abs(static_cast<double>(y[i]) - want) / ulp;
      if (error > worst.ulps) worst = {error, x[i]};
    }
    x.clear();
  }
  return worst;
}

TEST_P(EachInstructionSet, TanhIsWithinTwoUnitsInTheLastPlace) {
  const Worst worst = worst_error(GetParam()->tanh, std::tanh, 100);
  EXPECT_LT(worst.ulps, 2) << "at " << worst.at;
  RecordProperty("ulps", std::to_string(worst.ulps));
}

TEST_P(EachInstructionSet, ExpIsWithinTwoUnitsInTheLastPlace) {
  const Worst worst = worst_error(GetParam()->exp, std::exp, 86.9f);
  EXPECT_LT(worst.ulps, 2) << "at " << worst.at;
  RecordProperty("ulps", std::to_string(worst.ulps));
}

TEST_P(EachInstructionSet, TheEndsOfTanhAndExpAreRight) {
  std::vector<float> x(kLane, 0.0f), y(kLane);
  x[0] = INFINITY, x[1] = -INFINITY, x[2] = NAN, x[3] = -0.0f, x[4] = 1e-40f, x[5] = 9.02f;
  GetParam()->tanh(x.data(), y.data(), kLane);
  EXPECT_EQ(y[0], 1);
  EXPECT_EQ(y[1], -1);
  EXPECT_TRUE(std::isnan(y[2]));
  EXPECT_EQ(y[3], 0);
  EXPECT_NEAR(y[4], 1e-40f, 1e-45);
  EXPECT_EQ(y[5], 1);
  GetParam()->exp(x.data(), y.data(), kLane);
  EXPECT_GT(y[0], 1e38f);
  EXPECT_EQ(y[1], 0);
  EXPECT_TRUE(std::isnan(y[2]));
  EXPECT_EQ(y[3], 1);
}

double act(Activation activation, double x) {
  return activation == Activation::kTanh   ? std::tanh(x)
         : activation == Activation::kRelu ? std::max(x, 0.0)
                                           : x;
}

TEST_P(EachInstructionSet, ForwardIsTheProductWithBiasAndActivation) {
  for (const auto& [rows, in, out] : {std::array<size_t, 3>{1, 3, 2},
                                      {7, 4, 256},
                                      {13, 64, 33},
                                      {2, 40, 300},
                                      {128, 17, 48},
                                      {23, 5, 16}}) {
    const Matrix x = Matrix::random(rows, in, 1), w = Matrix::random(in, out, 2);
    const Matrix bias = Matrix::random(1, out, 3);
    for (Activation a : {Activation::kLinear, Activation::kTanh, Activation::kRelu}) {
      Matrix y(rows, out);
      GetParam()->forward(x, w, bias.data.data(), y, rows, in, out, a);
      for (size_t i = 0; i < rows; ++i) {
        for (size_t j = 0; j < y.ld; ++j) {
          double sum = j < out ? bias.at(0, j) : 0;
          for (size_t k = 0; k < in; ++k) {
            sum += static_cast<double>(x.at(i, k)) * static_cast<double>(w.at(k, j));
          }
          ASSERT_NEAR(y.at(i, j), act(a, sum), 1e-5) << rows << "x" << in << "x" << out;
        }
      }
    }
  }
}

TEST_P(EachInstructionSet, ARowDoesNotDependOnItsNeighbours) {
  const size_t rows = 21, in = 37, out = 160;
  const Matrix x = Matrix::random(rows, in, 1), w = Matrix::random(in, out, 2);
  const Matrix bias = Matrix::random(1, out, 3);
  Matrix all(rows, out), few(rows, out);
  GetParam()->forward(x, w, bias.data.data(), all, rows, in, out, Activation::kTanh);
  for (size_t begin = 0, count = 1; begin < rows; begin += count, ++count) {
    count = std::min(count, rows - begin);
    GetParam()->forward({&x.data[begin * x.ld], x.ld}, w, bias.data.data(),
                        {&few.data[begin * few.ld], few.ld}, count, in, out, Activation::kTanh);
  }
  EXPECT_EQ(all.data, few.data);
}

TEST_P(EachInstructionSet, BackwardPassesTheGradientThroughTheActivation) {
  const size_t rows = 11, in = 45, out = 6;
  const Matrix dy = Matrix::random(rows, out, 1), w = Matrix::random(in, out, 2);
  const Matrix x = Matrix::random(rows, in, 3);
  Matrix wt(out, in), dx(rows, in);
  GetParam()->transpose(w, wt, 0, in, out);
  for (Activation below : {Activation::kLinear, Activation::kTanh, Activation::kRelu}) {
    GetParam()->backward_input(dy, wt, x, dx, rows, in, out, below);
    for (size_t m = 0; m < rows; ++m) {
      for (size_t k = 0; k < in; ++k) {
        double sum = 0;
        for (size_t n = 0; n < out; ++n) {
          sum += static_cast<double>(dy.at(m, n)) * static_cast<double>(w.at(k, n));
        }
        const double a = x.at(m, k);
        const double slope = below == Activation::kTanh   ? 1 - a * a
                             : below == Activation::kRelu ? (a > 0 ? 1 : 0)
                                                          : 1;
        ASSERT_NEAR(dx.at(m, k), sum * slope, 1e-5);
      }
    }
  }
}

TEST_P(EachInstructionSet, WeightGradientsAreSumsOverRows) {
  const size_t rows = 19, in = 50, out = 20;
  const Matrix x = Matrix::random(rows, in, 1), dy = Matrix::random(rows, out, 2);
  Matrix dw(in, out);
  GetParam()->backward_weight(x, dy, dw, 0, 17, rows, out);
  GetParam()->backward_weight(x, dy, dw, 17, in, rows, out);
  std::vector<float> sums(padded(out));
  GetParam()->column_sums(dy, sums.data(), rows, out);
  for (size_t n = 0; n < out; ++n) {
    double column = 0;
    for (size_t m = 0; m < rows; ++m) column += static_cast<double>(dy.at(m, n));
    ASSERT_NEAR(sums[n], column, 1e-5);
    for (size_t k = 0; k < in; ++k) {
      double sum = 0;
      for (size_t m = 0; m < rows; ++m) {
        sum += static_cast<double>(x.at(m, k)) * static_cast<double>(dy.at(m, n));
      }
      ASSERT_NEAR(dw.at(k, n), sum, 1e-5);
    }
  }
}

TEST_P(EachInstructionSet, TransposeInPartsIsTranspose) {
  const Matrix w = Matrix::random(70, 35, 1);
  Matrix wt(35, 70);
  GetParam()->transpose(w, wt, 0, 32, 35);
  GetParam()->transpose(w, wt, 32, 70, 35);
  for (size_t i = 0; i < 70; ++i) {
    for (size_t j = 0; j < 35; ++j) ASSERT_EQ(w.at(i, j), wt.at(j, i));
  }
}

TEST_P(EachInstructionSet, AdamMovesAsItsFormulaSays) {
  const size_t n = 32;
  Matrix w = Matrix::random(1, n, 1), m = Matrix::random(1, n, 3), v(1, n);
  const Matrix g = Matrix::random(1, n, 2), w0 = w, m0 = m;
  for (size_t i = 0; i < n; ++i) v.data[i] = 0.01f * static_cast<float>(i);
  const Matrix v0 = v;
  const AdamStep step{0.5f, 0.9f, 0.999f, 0.01f, 1.25f, 1e-8f};
  GetParam()->adam(w.data.data(), g.data.data(), m.data.data(), v.data.data(), n, step);
  for (size_t i = 0; i < n; ++i) {
    const double gradient = 0.5 * static_cast<double>(g.data[i]);
    const double m1 = 0.9 * static_cast<double>(m0.data[i]) + 0.1 * gradient;
    const double v1 = 0.999 * static_cast<double>(v0.data[i]) + 0.001 * gradient * gradient;
    const double moved = 0.01 * m1 / (std::sqrt(v1) * 1.25 + 1e-8);
    EXPECT_NEAR(w.data[i], static_cast<double>(w0.data[i]) - moved, 1e-5 * (1 + std::abs(moved)));
  }
  EXPECT_NEAR(
      GetParam()->sum_of_squares(g.data.data(), n),
      [&] {
        double sum = 0;
        for (float x : g.data) sum += static_cast<double>(x) * static_cast<double>(x);
        return sum;
      }(),
      1e-4);
}

}  // namespace
}  // namespace eagleray::learn
