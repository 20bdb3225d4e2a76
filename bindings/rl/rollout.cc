// Rollout, and gae() on arrays.
#include "rl/policy.h"

namespace eagleray::rl {
namespace {

learn::ActionMode mode_of(const std::string& name) {
  if (name == "clip") return learn::ActionMode::kClip;
  if (name == "normalize") return learn::ActionMode::kNormalize;
  if (name == "raw") return learn::ActionMode::kRaw;
  refuse("actions must be clip, normalize or raw, not '" + name + "'");
}

void check_unit(double x, const char* name) {
  if (!(x >= 0 && x <= 1)) refuse(std::string(name) + " must be between 0 and 1");
}

learn::RolloutSettings settings_of(nb::kwargs given) {
  learn::RolloutSettings s;
  Keywords keywords(given);
  std::string actions = "clip";
  keywords.take("gamma", s.gae.gamma);
  keywords.take("lambda_", s.gae.lambda);
  keywords.take("seed", s.seed);
  keywords.take("threads", s.threads);
  keywords.take("explore", s.explore);
  keywords.take("actions", actions);
  keywords.take("use_critic", s.use_critic);
  keywords.take("bootstrap_truncated", s.bootstrap_truncated);
  keywords.done();
  s.actions = mode_of(actions);
  check_unit(s.gae.gamma, "gamma");
  check_unit(s.gae.lambda, "lambda_");
  if (s.threads < 1 || s.threads > 64) refuse("threads must be between 1 and 64");
  return s;
}

constexpr int64_t kRowsMax = 1 << 26;  // of one sample; more is refused

class PyRollout {
 public:
  PyRollout(PyVectorEnv& env, PyMlp& policy, nb::kwargs settings)
      : env_(env),
        policy_(policy),
        rollout_(value_of(learn::Rollout::make(env.env(), policy.policy, settings_of(settings)))) {}

  nb::dict sample(int64_t steps) {
    const auto n = static_cast<int64_t>(env_.size());
    if (steps < 1 || steps > kRowsMax / n) refuse("num_steps is out of range");
    const size_t rows = env_.size() * static_cast<size_t>(steps);
    const learn::NetShape& shape = policy_.shape();
    auto obs = fresh_floats({rows, shape.obs_dim}), rewards = fresh_floats({rows});
    auto inputs = fresh_floats({rows, shape.dist_inputs()}), logp = fresh_floats({rows});
    auto values = fresh_floats({rows}), advantages = fresh_floats({rows});
    auto targets = fresh_floats({rows});
    auto terminated = fresh_flags({rows}), truncated = fresh_flags({rows});
    auto ids = fresh_integers({rows}), times = fresh_integers({rows});
    auto index = fresh_integers({rows});
    Fresh<int64_t> discrete{};
    Fresh<float> box{};
    if (shape.discrete())
      discrete = fresh_integers({rows});
    else
      box = fresh_floats({rows, shape.action_dim});
    std::vector<learn::Episode> ended = locked(policy_.mutex, [&] {
      for (size_t i = 0; i < rows; ++i) index.data[i] = static_cast<int64_t>(i) / steps;
      return rollout_->sample(static_cast<size_t>(steps),
                              {obs.data, discrete.data, box.data, rewards.data, terminated.data,
                               truncated.data, logp.data, inputs.data, values.data, advantages.data,
                               targets.data, ids.data, times.data});
    });
    episodes_.insert(episodes_.end(), ended.begin(), ended.end());
    nb::dict d;
    d["obs"] = obs.array;
    d["actions"] = shape.discrete() ? discrete.array : box.array;
    d["rewards"] = rewards.array;
    d["terminateds"] = terminated.array;
    d["truncateds"] = truncated.array;
    d["action_logp"] = logp.array;
    d["action_dist_inputs"] = inputs.array;
    d["vf_preds"] = values.array;
    d["advantages"] = advantages.array;
    d["value_targets"] = targets.array;
    d["eps_id"] = ids.array;
    d["t"] = times.array;
    d["env_index"] = index.array;
    return d;
  }

  nb::dict episodes() {
    const size_t n = episodes_.size();
    auto rewards = fresh_doubles({n});
    auto lengths = fresh_integers({n}), ids = fresh_integers({n}), index = fresh_integers({n});
    for (size_t i = 0; i < n; ++i) {
      rewards.data[i] = episodes_[i].reward;
      lengths.data[i] = episodes_[i].length;
      ids.data[i] = episodes_[i].id;
      index.data[i] = episodes_[i].env;
    }
    episodes_.clear();
    nb::dict d;
    d["returns"] = rewards.array;
    d["lengths"] = lengths.array;
    d["eps_id"] = ids.array;
    d["env_index"] = index.array;
    return d;
  }

  nb::bytes save() const {
    const std::string bytes = rollout_->save();
    return nb::bytes(bytes.data(), bytes.size());
  }
  void load(nb::bytes saved) { value_of(rollout_->load({saved.c_str(), saved.size()})); }

  learn::RolloutSettings& settings() { return rollout_->settings(); }

 private:
  PyVectorEnv& env_;
  PyMlp& policy_;
  std::unique_ptr<learn::Rollout> rollout_;
  std::vector<learn::Episode> episodes_;
};

nb::tuple gae_of(nb::handle rewards, nb::handle values, nb::handle terminated, nb::handle truncated,
                 nb::handle bootstrap, double gamma, double lambda) {
  check_unit(gamma, "gamma");
  check_unit(lambda, "lambda_");
  auto r = in_finite(rewards, "rewards", {-1, -1});
  const auto n = static_cast<int64_t>(r.shape(0)), steps = static_cast<int64_t>(r.shape(1));
  auto v = in_finite(values, "values", {n, steps});
  auto ended = in_flags(terminated, "terminated", {n, steps});
  auto cut = in_flags(truncated, "truncated", {n, steps});
  auto b = in_finite(bootstrap, "bootstrap_values", {n, steps});
  auto advantages = fresh_floats({r.shape(0), r.shape(1)});
  auto targets = fresh_floats({r.shape(0), r.shape(1)});
  {
    nb::gil_scoped_release unlocked;
    for (size_t i = 0; i < r.shape(0); ++i) {
      const size_t at = i * r.shape(1);
      learn::gae({r.shape(1), r.data() + at, v.data() + at, ended.data() + at, cut.data() + at,
                  b.data() + at},
                 {gamma, lambda}, advantages.data + at, targets.data + at);
    }
  }
  return nb::make_tuple(advantages.array, targets.array);
}

}  // namespace

void bind_rollout(nb::module_& module) {
  module.def("gae", &gae_of, nb::arg("rewards"), nb::arg("values"), nb::arg("terminated"),
             nb::arg("truncated"), nb::arg("bootstrap_values"), nb::arg("gamma"),
             nb::arg("lambda_"));
  nb::class_<PyRollout>(module, "Rollout")
      .def(nb::init<PyVectorEnv&, PyMlp&, nb::kwargs>(), nb::arg("env"), nb::arg("policy"),
           nb::arg("settings"), nb::keep_alive<1, 2>(), nb::keep_alive<1, 3>())
      .def_prop_rw(
          "explore", [](PyRollout& self) { return self.settings().explore; },
          [](PyRollout& self, bool explore) { self.settings().explore = explore; })
      .def("sample", &PyRollout::sample, nb::arg("num_steps"))
      .def("episodes", &PyRollout::episodes)
      .def("save", &PyRollout::save)
      .def("load", &PyRollout::load, nb::arg("saved"));
}

}  // namespace eagleray::rl
