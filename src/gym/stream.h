// Random numbers of one episode of one environment: splitmix64 from a state that is a function of
// (seed, global index of the environment, episode) and of nothing else, so a trajectory does not
// depend on how environments are spread over vectors, workers and threads.
#pragma once

#include <cstdint>

namespace eagleray::gym {

// The finalizer of splitmix64: a bijection whose output bits all depend on all input bits.
constexpr uint64_t mix(uint64_t z) {
  z += 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

constexpr uint64_t mix(uint64_t a, uint64_t b, uint64_t c) { return mix(mix(mix(a) ^ b) ^ c); }

// 53 random bits as a double in [0, 1), as numpy makes one of 64.
constexpr double unit(uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

class Stream {
 public:
  Stream() = default;
  Stream(uint64_t seed, uint64_t index, uint64_t episode) : state_(mix(seed, index, episode)) {}

  double uniform() {
    const uint64_t bits = mix(state_);
    state_ += 0x9E3779B97F4A7C15ull;
    return unit(bits);
  }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }

 private:
  uint64_t state_ = 0;
};

}  // namespace eagleray::gym
