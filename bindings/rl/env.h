// VectorEnv as Python holds it: the environments and the arrays of their last step.
#pragma once

#include <memory>
#include <vector>

#include "gym/vector_env.h"
#include "rl/common.h"

namespace eagleray::rl {

class PyVectorEnv {
 public:
  PyVectorEnv(std::string id, int64_t num_envs, uint64_t seed, uint64_t first_index,
              std::optional<int32_t> max_episode_steps);

  gym::VectorEnv& env() { return *env_; }
  const gym::EnvSpec& spec() const { return env_->spec(); }
  size_t size() const { return env_->size(); }

  nb::object reset();
  nb::object observations() const;
  nb::tuple step(nb::handle actions);
  nb::object state(int64_t index) const;
  void set_state(int64_t index, nb::handle state, int32_t elapsed);
  nb::bytes save() const;
  void load(nb::bytes saved);

 private:
  size_t checked(int64_t index) const;

  std::unique_ptr<gym::VectorEnv> env_;
};

nb::dict spec_dict(const gym::EnvSpec& spec);

}  // namespace eagleray::rl
