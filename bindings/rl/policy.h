// Mlp, PpoLearner and Rollout as Python holds them. Each object has a lock, taken without the GIL:
// calls on one policy from several threads wait for each other.
#pragma once

#include <memory>
#include <mutex>

#include "learn/actor.h"
#include "learn/learner.h"
#include "learn/rollout.h"
#include "rl/common.h"
#include "rl/env.h"

namespace eagleray::rl {

class PyMlp {
 public:
  explicit PyMlp(const learn::NetShape& shape)
      : policy(value_of(learn::Mlp::make(shape))), actor(policy) {}

  const learn::NetShape& shape() const { return policy.shape(); }
  // Parameters, or moments or gradients in their layout, as {name: array} and back.
  nb::dict named(const float* flat) const;
  void set_named(nb::handle weights, float* flat, const char* what) const;

  learn::Mlp policy;
  learn::Actor actor;
  std::mutex mutex;
};

// Runs `work` without the GIL and with the lock.
template <class Work>
auto locked(std::mutex& mutex, Work work) {
  nb::gil_scoped_release unlocked;
  std::scoped_lock lock(mutex);
  return work();
}

// Keyword arguments by name: each is taken once, and what is left is an error.
class Keywords {
 public:
  explicit Keywords(nb::kwargs given) : left_(nb::cast<nb::dict>(given.attr("copy")())) {}

  // Returns false where it is not given.
  template <class T>
  bool take(const char* name, T& out) {
    if (!left_.contains(name)) return false;
    const nb::object value = left_.attr("pop")(name);
    try {
      out = nb::cast<T>(value);
    } catch (const nb::cast_error&) {
      refuse(std::string(name) + " cannot be " + nb::cast<std::string>(nb::repr(value)));
    }
    return true;
  }
  // None gives `none`.
  void take_or(const char* name, float& out, float none);
  void done() const;  // TypeError names the first that nobody took

 private:
  nb::dict left_;
};

}  // namespace eagleray::rl
