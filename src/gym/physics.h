// The environments' rules: each is a State (doubles, copied as bytes), a reset, a step and an
// observation. The order of operations and the precision of each are gymnasium 1.x's; comments say
// where these are not what one would write.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>

#include "gym/stream.h"

namespace eagleray::gym {

// x ** 2 as Python computes it, by pow(), which differs from x * x in the last bit now and then.
inline double python_square(double x) {
  volatile double two = 2.0;  // a constant would be folded into a product
  return std::pow(x, two);
}

struct CartPole {
  static constexpr size_t kObs = 4;
  static constexpr size_t kState = 4;  // x, its speed, angle, its speed
  using State = std::array<double, kState>;
  using Action = int64_t;

  static State reset(Stream& random) {
    State s;
    for (double& x : s) x = random.uniform(-0.05, 0.05);
    return s;
  }

  static bool step(State& s, const Action* action, Stream&, float& reward) {
    constexpr double kTotalMass = 0.1 + 1.0, kPoleMassLength = 0.1 * 0.5, kTau = 0.02;
    const double force = *action == 1 ? 10.0 : -10.0;
    const double cosine = std::cos(s[2]), sine = std::sin(s[2]);
    const double temp = (force + kPoleMassLength * (s[3] * s[3]) * sine) / kTotalMass;
    const double angle_acc =
        (9.8 * sine - cosine * temp) / (0.5 * (4.0 / 3.0 - 0.1 * (cosine * cosine) / kTotalMass));
    const double acc = temp - kPoleMassLength * angle_acc * cosine / kTotalMass;
    s = {s[0] + kTau * s[1], s[1] + kTau * acc, s[2] + kTau * s[3], s[3] + kTau * angle_acc};
    reward = 1;
    constexpr double kAngleMax = 12 * 2 * std::numbers::pi / 360;
    return s[0] < -2.4 || s[0] > 2.4 || s[2] < -kAngleMax || s[2] > kAngleMax;
  }

  static void observe(const State& s, float* obs) {
    for (size_t i = 0; i < kObs; ++i) obs[i] = static_cast<float>(s[i]);
  }
};

struct Pendulum {
  static constexpr size_t kObs = 3;
  static constexpr size_t kState = 2;  // angle, its speed
  using State = std::array<double, kState>;
  using Action = float;

  static State reset(Stream& random) {
    State s;
    s[0] = random.uniform(-std::numbers::pi, std::numbers::pi);
    s[1] = random.uniform(-1.0, 1.0);
    return s;
  }

  // The torque is a float there, and so is what is computed of it alone.
  static bool step(State& s, const Action* action, Stream&, float& reward) {
    constexpr double kPi = std::numbers::pi, kTau = 0.05;
    const float torque = std::fmin(std::fmax(*action, -2.0f), 2.0f);
    double turned = std::fmod(s[0] + kPi, 2 * kPi);
    if (turned < 0) turned += 2 * kPi;
    const double angle = turned - kPi;
    const double costs = python_square(angle) + 0.1 * python_square(s[1]) +
                         static_cast<double>(0.001f * (torque * torque));
    double speed = s[1] + (15.0 * std::sin(s[0]) + static_cast<double>(3.0f * torque)) * kTau;
    speed = std::fmin(std::fmax(speed, -8.0), 8.0);
    s = {s[0] + speed * kTau, speed};
    reward = static_cast<float>(-costs);
    return false;
  }

  static void observe(const State& s, float* obs) {
    obs[0] = static_cast<float>(std::cos(s[0]));
    obs[1] = static_cast<float>(std::sin(s[0]));
    obs[2] = static_cast<float>(s[1]);
  }
};

struct MountainCar {
  static constexpr size_t kObs = 2;
  static constexpr size_t kState = 2;  // position, speed
  using State = std::array<double, kState>;
  using Action = int64_t;

  static State reset(Stream& random) { return {random.uniform(-0.6, -0.4), 0}; }

  static bool step(State& s, const Action* action, Stream&, float& reward) {
    double speed = s[1] + (static_cast<double>(*action - 1) * 0.001 + std::cos(3 * s[0]) * -0.0025);
    speed = std::fmin(std::fmax(speed, -0.07), 0.07);
    const double position = std::fmin(std::fmax(s[0] + speed, -1.2), 0.6);
    if (position == -1.2 && speed < 0) speed = 0;
    s = {position, speed};
    reward = -1;
    return position >= 0.5 && speed >= 0;
  }

  static void observe(const State& s, float* obs) {
    obs[0] = static_cast<float>(s[0]);
    obs[1] = static_cast<float>(s[1]);
  }
};

// Its state is double after a reset and float after every step.
struct MountainCarContinuous {
  static constexpr size_t kObs = 2;
  static constexpr size_t kState = 2;  // position, speed
  using State = std::array<double, kState>;
  using Action = float;

  static State reset(Stream& random) { return {random.uniform(-0.6, -0.4), 0}; }

  static bool step(State& s, const Action* action, Stream&, float& reward) {
    const bool is_float = static_cast<double>(static_cast<float>(s[0])) == s[0];
    const bool done = is_float ? move<float>(s, *action) : move<double>(s, *action);
    const double a = static_cast<double>(*action);
    reward = static_cast<float>((done ? 100.0 : 0.0) - a * a * 0.1);
    return done;
  }

  static void observe(const State& s, float* obs) { MountainCar::observe(s, obs); }

 private:
  template <class Real>
  static bool move(State& s, float action) {
    Real position = static_cast<Real>(s[0]), speed = static_cast<Real>(s[1]);
    const double slope = 0.0025 * std::cos(static_cast<double>(3 * position));
    if (action < -1.0f || action > 1.0f) {  // clipped, it is a Python float there
      speed += static_cast<Real>((action < 0 ? -1.0 : 1.0) * 0.0015 - slope);
    } else {
      speed += static_cast<Real>(action * 0.0015f - static_cast<float>(slope));
    }
    constexpr Real kSpeedMax = static_cast<Real>(0.07), kLeft = static_cast<Real>(-1.2);
    if (speed > kSpeedMax) speed = kSpeedMax;
    if (speed < -kSpeedMax) speed = -kSpeedMax;
    position += speed;
    if (position > static_cast<Real>(0.6)) position = static_cast<Real>(0.6);
    if (position < kLeft) position = kLeft;
    if (position == kLeft && speed < 0) speed = 0;
    s = {static_cast<double>(static_cast<float>(position)),
         static_cast<double>(static_cast<float>(speed))};
    return position >= static_cast<Real>(0.45) && speed >= 0;
  }
};

struct Acrobot {
  static constexpr size_t kObs = 6;
  static constexpr size_t kState = 4;  // two angles, two speeds
  using State = std::array<double, kState>;
  using Action = int64_t;

  static State reset(Stream& random) {
    State s;
    for (double& x : s) x = static_cast<double>(static_cast<float>(random.uniform(-0.1, 0.1)));
    return s;
  }

  static bool step(State& s, const Action* action, Stream&, float& reward) {
    constexpr double kPi = std::numbers::pi;
    s = integrate(s, static_cast<double>(*action - 1));
    s[0] = wrap(s[0]);
    s[1] = wrap(s[1]);
    s[2] = std::fmin(std::fmax(s[2], -4 * kPi), 4 * kPi);
    s[3] = std::fmin(std::fmax(s[3], -9 * kPi), 9 * kPi);
    const bool done = -std::cos(s[0]) - std::cos(s[1] + s[0]) > 1.0;
    reward = done ? 0 : -1;
    return done;
  }

  static void observe(const State& s, float* obs) {
    obs[0] = static_cast<float>(std::cos(s[0]));
    obs[1] = static_cast<float>(std::sin(s[0]));
    obs[2] = static_cast<float>(std::cos(s[1]));
    obs[3] = static_cast<float>(std::sin(s[1]));
    obs[4] = static_cast<float>(s[2]);
    obs[5] = static_cast<float>(s[3]);
  }

 private:
  static double wrap(double angle) {
    constexpr double kPi = std::numbers::pi;
    while (angle > kPi) angle -= 2 * kPi;
    while (angle < -kPi) angle += 2 * kPi;
    return angle;
  }

  // Sutton and Barto's equations, with unit masses, lengths and moments; centres at the half.
  static State derivative(const State& s, double torque) {
    const double cos2 = std::cos(s[1]), sin2 = std::sin(s[1]);
    const double d1 = 0.25 + (1.25 + 2.0 * 0.5 * cos2) + 1.0 + 1.0;
    const double d2 = (0.25 + 0.5 * cos2) + 1.0;
    const double phi2 = 0.5 * 9.8 * std::cos(s[0] + s[1] - std::numbers::pi / 2.0);
    const double phi1 = -0.5 * python_square(s[3]) * sin2 - s[3] * s[2] * sin2 +
                        1.5 * 9.8 * std::cos(s[0] - std::numbers::pi / 2) + phi2;
    const double acc2 = (torque + d2 / d1 * phi1 - 0.5 * python_square(s[2]) * sin2 - phi2) /
                        (0.25 + 1.0 - python_square(d2) / d1);
    return {s[2], s[3], -(d2 * acc2 + phi1) / d1, acc2};
  }

  static State moved(const State& s, double by, const State& k) {
    return {s[0] + by * k[0], s[1] + by * k[1], s[2] + by * k[2], s[3] + by * k[3]};
  }

  static State integrate(const State& s,
                         double torque) {  // Runge-Kutta of order 4, one step of 0.2 s
    constexpr double kTau = 0.2;
    const State k1 = derivative(s, torque);
    const State k2 = derivative(moved(s, kTau / 2.0, k1), torque);
    const State k3 = derivative(moved(s, kTau / 2.0, k2), torque);
    const State k4 = derivative(moved(s, kTau, k3), torque);
    State next;
    for (size_t i = 0; i < kState; ++i) {
      next[i] = s[i] + kTau / 6.0 * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i]);
    }
    return next;
  }
};

// FrozenLake: S start, F ice, H hole, G goal; one of three directions at random, the wanted one and
// its neighbours. The state is the cell.
template <size_t Side>
struct FrozenLake {
  static constexpr size_t kObs = Side * Side;
  static constexpr size_t kState = 1;
  using State = std::array<double, kState>;
  using Action = int64_t;

  static constexpr const char* kMap = Side == 4 ? "SFFFFHFHFFFHHFFG"
                                                : "SFFFFFFFFFFFFFFFFFFHFFFFFFFFFHFFFFFHFFFF"
                                                  "FHHFFFHFFHFFHFHFFFFHFFFG";

  // One number is drawn although all episodes start in the same cell: gymnasium draws one.
  static State reset(Stream& random) {
    random.uniform();
    return {0};
  }

  static bool step(State& s, const Action* action, Stream& random, float& reward) {
    constexpr double kThird = 1.0 / 3.0, kFail = (1.0 - kThird) / 2.0;
    const double u = random.uniform();
    const int64_t slip = kFail > u ? -1 : kFail + kThird > u ? 0 : 1;
    // The three sum to 1 only nearly; what is drawn above their sum is the first there.
    const bool none = !(kFail + kThird + kFail > u);
    const int64_t direction = (*action + (none ? -1 : slip) + 4) % 4;
    const auto cell = static_cast<size_t>(s[0]);
    size_t row = cell / Side, column = cell % Side;
    if (direction == 0 && column > 0) --column;
    if (direction == 1 && row + 1 < Side) ++row;
    if (direction == 2 && column + 1 < Side) ++column;
    if (direction == 3 && row > 0) --row;
    const size_t next = row * Side + column;
    s[0] = static_cast<double>(next);
    reward = kMap[next] == 'G' ? 1 : 0;
    return kMap[next] == 'G' || kMap[next] == 'H';
  }

  static void observe(const State& s, float* obs) {
    for (size_t i = 0; i < kObs; ++i) obs[i] = 0;
    obs[static_cast<size_t>(s[0])] = 1;
  }
};

}  // namespace eagleray::gym
