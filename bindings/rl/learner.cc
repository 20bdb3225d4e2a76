// PpoLearner: settings by keyword, batches and state as dicts of arrays.
#include <limits>

#include "rl/policy.h"

namespace eagleray::rl {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

learn::Loss loss_of(const std::string& name) {
  if (name == "ppo") return learn::Loss::kPpo;
  if (name == "a2c") return learn::Loss::kA2c;
  if (name == "pg") return learn::Loss::kPg;
  refuse("loss must be ppo, a2c or pg, not '" + name + "'");
}

learn::LearnSettings settings_of(nb::kwargs given) {
  learn::LearnSettings s;
  Keywords keywords(given);
  std::string loss = "ppo";
  keywords.take("loss", loss);
  s.loss = loss_of(loss);
  keywords.take("num_sgd_iter", s.epochs);
  keywords.take("sgd_minibatch_size", s.minibatch);
  keywords.take("drop_last", s.drop_last);
  keywords.take("standardize_advantages", s.standardize_advantages);
  keywords.take("lr", s.lr);
  keywords.take("clip_param", s.clip_param);
  keywords.take_or("vf_clip_param", s.vf_clip_param, kInfinity);
  keywords.take("vf_loss_coeff", s.vf_loss_coeff);
  keywords.take("entropy_coeff", s.entropy_coeff);
  keywords.take("kl_coeff", s.kl_coeff);
  keywords.take("kl_target", s.kl_target);
  keywords.take_or("grad_clip", s.grad_clip, 0);
  keywords.take("adam_beta1", s.beta1);
  keywords.take("adam_beta2", s.beta2);
  keywords.take("adam_epsilon", s.epsilon);
  keywords.take("threads", s.threads);
  keywords.take("seed", s.seed);
  keywords.done();
  return s;
}

// A batch and the arrays that it points into.
struct GivenBatch {
  learn::Batch batch;
  std::vector<nb::ndarray<const float, nb::c_contig>> floats;
  GivenActions actions;
};

class PyLearner {
 public:
  PyLearner(PyMlp& policy, nb::kwargs settings)
      : policy_(policy),
        learner_(value_of(learn::Learner::make(policy.policy, settings_of(settings)))) {}

  learn::LearnSettings& settings() { return learner_->settings(); }

  nb::dict update(nb::handle batch) {
    const GivenBatch given = batch_of(batch);
    return stats_dict(
        value_of(locked(policy_.mutex, [&] { return learner_->update(given.batch); })));
  }

  nb::tuple gradients(nb::handle batch) {
    const GivenBatch given = batch_of(batch);
    std::vector<float> flat;
    auto stats =
        value_of(locked(policy_.mutex, [&] { return learner_->gradient(given.batch, flat); }));
    return nb::make_tuple(policy_.named(flat.data()), stats_dict(stats));
  }

  double apply_gradients(nb::dict given) {
    std::vector<float> flat(policy_.policy.parameters().size());
    policy_.set_named(given, flat.data(), "gradients");
    return value_of(locked(policy_.mutex, [&] { return learner_->apply(flat); }));
  }

  nb::dict get_state() {
    const learn::Learner::State state = learner_->state();
    nb::dict d;
    d["version"] = 1;
    d["weights"] = policy_.named(policy_.policy.parameters().data());
    d["first_moments"] = policy_.named(state.first_moments.data());
    d["second_moments"] = policy_.named(state.second_moments.data());
    d["steps"] = state.steps;
    d["updates"] = state.updates;
    d["lr"] = settings().lr;
    d["entropy_coeff"] = settings().entropy_coeff;
    d["kl_coeff"] = settings().kl_coeff;
    d["clip_param"] = settings().clip_param;
    return d;
  }

  void set_state(nb::dict given) {
    nb::object version = item(given, "version");
    if (!version.equal(nb::int_(1))) {
      refuse("state of version " + nb::cast<std::string>(nb::repr(version)) + "; this reads 1");
    }
    const size_t n = policy_.policy.parameters().size();
    learn::Learner::State state{std::vector<float>(n), std::vector<float>(n), 0, 0};
    std::vector<float> weights(n);
    policy_.set_named(item(given, "weights"), weights.data(), "weights");
    policy_.set_named(item(given, "first_moments"), state.first_moments.data(), "first_moments");
    policy_.set_named(item(given, "second_moments"), state.second_moments.data(), "second_moments");
    state.steps = number<uint64_t>(given, "steps");
    state.updates = number<uint64_t>(given, "updates");
    learn::LearnSettings s = settings();
    s.lr = number<float>(given, "lr");
    s.entropy_coeff = number<float>(given, "entropy_coeff");
    s.kl_coeff = number<float>(given, "kl_coeff");
    s.clip_param = number<float>(given, "clip_param");
    value_of(locked(policy_.mutex, [&] {
      std::copy(weights.begin(), weights.end(), policy_.policy.parameters().data());
      settings() = s;
      return learner_->set_state(state);
    }));
  }

 private:
  static nb::object item(const nb::dict& d, const char* name) {
    if (!d.contains(name)) refuse("the state lacks " + std::string(name));
    return d[name];
  }
  template <class T>
  static T number(const nb::dict& d, const char* name) {
    try {
      return nb::cast<T>(item(d, name));
    } catch (const nb::cast_error&) {
      refuse("the state's " + std::string(name) + " is no number");
    }
  }

  // What a loss does not use is not looked at.
  GivenBatch batch_of(nb::handle handle) {
    nb::dict given = nb::cast<nb::dict>(nb::module_::import_("builtins").attr("dict")(handle));
    const learn::NetShape& shape = policy_.shape();
    const learn::Loss loss = settings().loss;
    GivenBatch g;
    const auto array = [&](const char* name) -> nb::object {
      if (!given.contains(name)) refuse("the batch lacks " + std::string(name));
      return given[name];
    };
    const auto floats = [&](const char* name, Shape of) {
      g.floats.push_back(in_finite(array(name), name, of));
      return g.floats.back().data();
    };
    g.batch.obs = floats("obs", {-1, static_cast<int64_t>(shape.obs_dim)});
    g.batch.rows = g.floats.back().shape(0);
    const auto rows = static_cast<int64_t>(g.batch.rows);
    g.actions = in_actions(array("actions"), shape.num_actions, shape.action_dim, rows);
    if (shape.discrete())
      g.batch.discrete = g.actions.discrete.data();
    else
      g.batch.box = g.actions.box.data();
    g.batch.advantages = floats("advantages", {rows});
    if (loss != learn::Loss::kPg) g.batch.value_targets = floats("value_targets", {rows});
    if (loss == learn::Loss::kPpo) {
      g.batch.logp = floats("action_logp", {rows});
      g.batch.dist_inputs =
          floats("action_dist_inputs", {rows, static_cast<int64_t>(shape.dist_inputs())});
    }
    return g;
  }

  static nb::dict stats_dict(const learn::LearnStats& s) {
    nb::dict d;
    d["total_loss"] = s.total_loss;
    d["policy_loss"] = s.policy_loss;
    d["vf_loss"] = s.vf_loss;
    d["vf_explained_var"] = s.vf_explained_var;
    d["kl"] = s.kl;
    d["entropy"] = s.entropy;
    d["entropy_coeff"] = s.entropy_coeff;
    d["cur_kl_coeff"] = s.cur_kl_coeff;
    d["cur_lr"] = s.cur_lr;
    d["grad_gnorm"] = s.grad_gnorm;
    d["num_grad_updates"] = s.minibatches;
    return d;
  }

  PyMlp& policy_;
  std::unique_ptr<learn::Learner> learner_;
};

}  // namespace

void Keywords::take_or(const char* name, float& out, float none) {
  if (left_.contains(name) && nb::object(left_[name]).is_none()) {
    left_.attr("pop")(name);
    out = none;
    return;
  }
  take(name, out);
}

void Keywords::done() const {
  for (auto [name, value] : left_) {
    const std::string why = "no setting '" + nb::cast<std::string>(nb::str(name)) + "'";
    throw nb::type_error(why.c_str());
  }
}

void bind_learner(nb::module_& module) {
  const auto setting = [](float learn::LearnSettings::*which) {
    return std::pair([which](PyLearner& self) { return self.settings().*which; },
                     [which](PyLearner& self, float value) { self.settings().*which = value; });
  };
  const auto [lr, set_lr] = setting(&learn::LearnSettings::lr);
  const auto [entropy, set_entropy] = setting(&learn::LearnSettings::entropy_coeff);
  const auto [kl, set_kl] = setting(&learn::LearnSettings::kl_coeff);
  const auto [clip, set_clip] = setting(&learn::LearnSettings::clip_param);
  nb::class_<PyLearner>(module, "PpoLearner")
      .def(nb::init<PyMlp&, nb::kwargs>(), nb::arg("policy"), nb::arg("settings"),
           nb::keep_alive<1, 2>())
      .def_prop_rw("lr", lr, set_lr)
      .def_prop_rw("entropy_coeff", entropy, set_entropy)
      .def_prop_rw("kl_coeff", kl, set_kl)
      .def_prop_rw("clip_param", clip, set_clip)
      .def("update", &PyLearner::update, nb::arg("batch"))
      .def("gradients", &PyLearner::gradients, nb::arg("batch"))
      .def("apply_gradients", &PyLearner::apply_gradients, nb::arg("gradients"))
      .def("get_state", &PyLearner::get_state)
      .def("set_state", &PyLearner::set_state, nb::arg("state"));
}

}  // namespace eagleray::rl
