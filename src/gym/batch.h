// The one implementation of VectorEnv: the loop around the rules of physics.h, with time limits,
// automatic resets and each environment's own random numbers.
#pragma once

#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

#include "gym/stream.h"
#include "gym/vector_env.h"

namespace eagleray::gym {

template <class Env>
class Batch final : public VectorEnv {
 public:
  Batch(const EnvSpec& spec, const EnvOptions& options)
      : VectorEnv(spec, options), limit_(steps_max()), slots_(options.num_envs) {
    for (size_t i = 0; i < slots_.size(); ++i) begin_episode(i);
  }

  void reset() override {
    for (size_t i = 0; i < slots_.size(); ++i) {
      // The constructor has begun the first episode: it is not thrown away unseen.
      if (slots_[i].elapsed > 0 || seen_) begin_episode(i);
    }
    seen_ = true;
  }

  void step(size_t begin, size_t end, const Actions& actions, const StepOutputs& out) override {
    for (size_t i = begin; i < end; ++i) {
      Slot& slot = slots_[i];
      const bool terminated =
          Env::step(slot.state, action(actions, i), slot.random, out.rewards[i]);
      const bool truncated = ++slot.elapsed >= limit_;
      out.terminated[i] = terminated;
      out.truncated[i] = truncated;
      float* final_obs = out.final_obs + i * Env::kObs;
      Env::observe(slot.state, final_obs);
      if (terminated || truncated) [[unlikely]] {
        begin_episode(i);
        Env::observe(slot.state, out.obs + i * Env::kObs);
      } else {
        std::memcpy(out.obs + i * Env::kObs, final_obs, sizeof(float) * Env::kObs);
      }
    }
  }

  void observe(size_t index, float* obs) const override { Env::observe(slots_[index].state, obs); }

  std::vector<double> state(size_t index) const override {
    return {slots_[index].state.begin(), slots_[index].state.end()};
  }

  Result<> set_state(size_t index, std::span<const double> state, int32_t elapsed) override {
    if (state.size() != Env::kState) {
      return Error{ErrorCode::kInvalid, "a state of " + std::string(spec().id) + " has " +
                                            std::to_string(Env::kState) + " numbers, not " +
                                            std::to_string(state.size())};
    }
    for (double x : state) {
      if (!std::isfinite(x)) return Error{ErrorCode::kInvalid, "the state is not finite"};
    }
    if (spec().discrete_obs && !(state[0] >= 0 && state[0] < static_cast<double>(Env::kObs))) {
      return Error{ErrorCode::kInvalid, "there is no such cell"};
    }
    if (elapsed < 0 || elapsed >= limit_) {
      return Error{ErrorCode::kInvalid, "elapsed steps are out of range"};
    }
    std::memcpy(slots_[index].state.data(), state.data(), sizeof(double) * Env::kState);
    slots_[index].elapsed = elapsed;
    seen_ = true;
    return Ok{};
  }

  std::string save() const override {
    std::string bytes(1, seen_ ? '\1' : '\0');
    bytes.append(reinterpret_cast<const char*>(slots_.data()), sizeof(Slot) * slots_.size());
    return bytes;
  }

  Result<> load(std::string_view saved) override {
    if (saved.size() != 1 + sizeof(Slot) * slots_.size()) {
      return Error{ErrorCode::kCorrupt, "not saved by a vector of the same environments"};
    }
    std::vector<Slot> slots(slots_.size());
    std::memcpy(slots.data(), saved.data() + 1, saved.size() - 1);
    for (const Slot& slot : slots) {
      for (double x : slot.state) {
        if (!std::isfinite(x) ||
            (spec().discrete_obs && !(x >= 0 && x < static_cast<double>(Env::kObs)))) {
          return Error{ErrorCode::kCorrupt, "the saved state is damaged"};
        }
      }
    }
    seen_ = saved[0] != '\0';
    slots_ = std::move(slots);
    return Ok{};
  }

 private:
  struct Slot {
    typename Env::State state{};
    Stream random;
    uint64_t episode = 0;  // the next one's number
    int64_t elapsed = 0;   // steps of this one
  };
  static_assert(std::is_trivially_copyable_v<Slot>);

  static const typename Env::Action* action(const Actions& actions, size_t i) {
    if constexpr (std::is_same_v<typename Env::Action, float>)
      return actions.box + i;
    else
      return actions.discrete + i;
  }

  void begin_episode(size_t i) {
    Slot& slot = slots_[i];
    slot.random = Stream(options().seed, options().first_index + i, slot.episode++);
    slot.state = Env::reset(slot.random);
    slot.elapsed = 0;
  }

  int64_t limit_;
  bool seen_ = false;  // somebody knows of the current episodes: reset() begins the next ones
  std::vector<Slot> slots_;
};

}  // namespace eagleray::gym
