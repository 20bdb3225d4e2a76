#include "rl/env.h"

#include <string_view>

namespace eagleray::rl {
namespace {

constexpr int64_t kEnvsMax = 1 << 20;  // of one vector; more is refused

nb::dict space(const gym::EnvSpec& spec, bool of_actions) {
  nb::dict d;
  const size_t n = of_actions ? spec.num_actions : spec.discrete_obs ? spec.obs_dim : 0;
  if (n > 0) {
    d["type"] = "discrete";
    d["n"] = n;
    return d;
  }
  d["type"] = "box";
  if (of_actions) {
    d["low"] = std::vector<float>(spec.action_dim, -spec.action_high);
    d["high"] = std::vector<float>(spec.action_dim, spec.action_high);
  } else {
    d["low"] = spec.obs_low;
    d["high"] = spec.obs_high;
  }
  return d;
}

nb::list ids() {
  nb::list list;
  for (std::string_view id : gym::env_ids()) list.append(nb::str(id.data(), id.size()));
  return list;
}

nb::dict spec_of(const std::string& id) {
  const gym::EnvSpec* spec = gym::find_env(id);
  if (spec == nullptr) refuse("no native environment '" + id + "'");
  return spec_dict(*spec);
}

}  // namespace

nb::dict spec_dict(const gym::EnvSpec& spec) {
  nb::dict d;
  d["id"] = nb::str(spec.id.data(), spec.id.size());
  d["max_episode_steps"] = spec.max_episode_steps;
  d["reward_threshold"] =
      spec.has_reward_threshold ? nb::object(nb::float_(spec.reward_threshold)) : nb::none();
  d["obs_dim"] = spec.obs_dim;
  d["observation"] = space(spec, false);
  d["action"] = space(spec, true);
  return d;
}

PyVectorEnv::PyVectorEnv(std::string id, int64_t num_envs, uint64_t seed, uint64_t first_index,
                         std::optional<int32_t> max_episode_steps) {
  if (num_envs < 1 || num_envs > kEnvsMax) {
    refuse("num_envs must be between 1 and " + std::to_string(kEnvsMax));
  }
  if (max_episode_steps && *max_episode_steps < 1) refuse("max_episode_steps must be positive");
  env_ = value_of(gym::VectorEnv::make({.id = std::move(id),
                                        .num_envs = static_cast<size_t>(num_envs),
                                        .seed = seed,
                                        .first_index = first_index,
                                        .max_episode_steps = max_episode_steps.value_or(0)}));
}

nb::object PyVectorEnv::reset() {
  env_->reset();
  return observations();
}

nb::object PyVectorEnv::observations() const {
  auto obs = fresh_floats({size(), spec().obs_dim});
  for (size_t i = 0; i < size(); ++i) env_->observe(i, obs.data + i * spec().obs_dim);
  return obs.array;
}

nb::tuple PyVectorEnv::step(nb::handle actions) {
  const GivenActions given =
      in_actions(actions, spec().num_actions, spec().action_dim, static_cast<int64_t>(size()));
  auto obs = fresh_floats({size(), spec().obs_dim}), rewards = fresh_floats({size()});
  auto terminated = fresh_flags({size()}), truncated = fresh_flags({size()});
  auto final_obs = fresh_floats({size(), spec().obs_dim});
  {
    nb::gil_scoped_release unlocked;
    env_->step(0, size(), {given.discrete.data(), given.box.data()},
               {.obs = obs.data,
                .rewards = rewards.data,
                .terminated = terminated.data,
                .truncated = truncated.data,
                .final_obs = final_obs.data});
  }
  return nb::make_tuple(obs.array, rewards.array, terminated.array, truncated.array,
                        final_obs.array);
}

GivenActions in_actions(nb::handle actions, size_t num_actions, size_t action_dim, int64_t rows) {
  GivenActions given;
  if (num_actions == 0) {
    given.box = in_finite(actions, "actions", {rows, static_cast<int64_t>(action_dim)});
    return given;
  }
  given.discrete = in_integers(actions, "actions", {rows});
  for (size_t i = 0; i < given.discrete.size(); ++i) {
    const int64_t a = given.discrete.data()[i];
    if (a < 0 || a >= static_cast<int64_t>(num_actions)) {
      refuse("action " + std::to_string(a) + " in row " + std::to_string(i) + " is not below " +
             std::to_string(num_actions));
    }
  }
  return given;
}

size_t PyVectorEnv::checked(int64_t index) const {
  if (index < 0 || index >= static_cast<int64_t>(size())) {
    refuse("no environment " + std::to_string(index) + ": there are " + std::to_string(size()));
  }
  return static_cast<size_t>(index);
}

nb::object PyVectorEnv::state(int64_t index) const {
  const std::vector<double> state = env_->state(checked(index));
  auto array = fresh_doubles({state.size()});
  std::copy(state.begin(), state.end(), array.data);
  return array.array;
}

void PyVectorEnv::set_state(int64_t index, nb::handle state, int32_t elapsed) {
  auto array = in_doubles(state, "state", {-1});
  value_of(env_->set_state(checked(index), {array.data(), array.size()}, elapsed));
}

nb::bytes PyVectorEnv::save() const {
  const std::string bytes = env_->save();
  return nb::bytes(bytes.data(), bytes.size());
}

void PyVectorEnv::load(nb::bytes saved) { value_of(env_->load({saved.c_str(), saved.size()})); }

void bind_envs(nb::module_& module) {
  module.def("env_ids", &ids);
  module.def("env_spec", &spec_of, nb::arg("id"));
  nb::class_<PyVectorEnv>(module, "VectorEnv")
      .def(nb::init<std::string, int64_t, uint64_t, uint64_t, std::optional<int32_t>>(),
           nb::arg("id"), nb::arg("num_envs"), nb::arg("seed") = 0, nb::kw_only(),
           nb::arg("first_index") = 0, nb::arg("max_episode_steps") = nb::none())
      .def_prop_ro("id", [](PyVectorEnv& self) { return std::string(self.spec().id); })
      .def_prop_ro("num_envs", &PyVectorEnv::size)
      .def_prop_ro("seed", [](PyVectorEnv& self) { return self.env().options().seed; })
      .def_prop_ro("first_index",
                   [](PyVectorEnv& self) { return self.env().options().first_index; })
      .def_prop_ro("max_episode_steps", [](PyVectorEnv& self) { return self.env().steps_max(); })
      .def_prop_ro("obs_dim", [](PyVectorEnv& self) { return self.spec().obs_dim; })
      .def_prop_ro("spec", [](PyVectorEnv& self) { return spec_dict(self.spec()); })
      .def("reset", &PyVectorEnv::reset)
      .def("observations", &PyVectorEnv::observations)
      .def("step", &PyVectorEnv::step, nb::arg("actions"))
      .def("state", &PyVectorEnv::state, nb::arg("index"))
      .def("set_state", &PyVectorEnv::set_state, nb::arg("index"), nb::arg("state"),
           nb::arg("elapsed") = 0)
      .def("save", &PyVectorEnv::save)
      .def("load", &PyVectorEnv::load, nb::arg("saved"));
}

}  // namespace eagleray::rl
