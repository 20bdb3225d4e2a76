#include "rl/policy.h"

#include <string_view>

namespace eagleray::rl {
namespace {

learn::Activation activation_of(const std::string& name) {
  if (name == "tanh") return learn::Activation::kTanh;
  if (name == "relu") return learn::Activation::kRelu;
  if (name == "linear") return learn::Activation::kLinear;
  refuse("activation must be tanh, relu or linear, not '" + name + "'");
}

size_t size_of(int64_t n, const char* name) {
  if (n < 0) refuse(std::string(name) + " must not be negative");
  return static_cast<size_t>(n);
}

void make_policy(PyMlp* self, int64_t obs_dim, const std::vector<int64_t>& hiddens,
                 int64_t num_actions, int64_t action_dim, const std::string& activation,
                 bool vf_share_layers, bool free_log_std, uint64_t seed) {
  learn::NetShape shape{.obs_dim = size_of(obs_dim, "obs_dim"),
                        .activation = activation_of(activation),
                        .num_actions = size_of(num_actions, "num_actions"),
                        .action_dim = size_of(action_dim, "action_dim"),
                        .vf_share_layers = vf_share_layers,
                        .free_log_std = free_log_std,
                        .seed = seed};
  for (int64_t width : hiddens) shape.hiddens.push_back(size_of(width, "a hidden layer's width"));
  new (self) PyMlp(shape);
}

nb::tuple forward(PyMlp& self, nb::handle given) {
  const auto width = static_cast<int64_t>(self.shape().obs_dim);
  auto obs = in_finite(given, "obs", {-1, width});
  const size_t rows = obs.shape(0);
  auto inputs = fresh_floats({rows, self.shape().dist_inputs()});
  auto values = fresh_floats({rows});
  locked(self.mutex, [&] { self.actor.evaluate(obs.data(), rows, inputs.data, values.data); });
  return nb::make_tuple(inputs.array, values.array);
}

nb::tuple act(PyMlp& self, nb::handle given, bool explore, uint64_t seed, uint64_t first_index,
              uint64_t step) {
  const auto width = static_cast<int64_t>(self.shape().obs_dim);
  auto obs = in_finite(given, "obs", {-1, width});
  const size_t rows = obs.shape(0);
  auto inputs = fresh_floats({rows, self.shape().dist_inputs()});
  auto values = fresh_floats({rows}), logp = fresh_floats({rows});
  Fresh<int64_t> discrete{};
  Fresh<float> box{};
  if (self.shape().discrete())
    discrete = fresh_integers({rows});
  else
    box = fresh_floats({rows, self.shape().action_dim});
  locked(self.mutex, [&] {
    self.actor.evaluate(obs.data(), rows, inputs.data, values.data);
    self.actor.decide(inputs.data, rows, {seed, first_index, step}, explore,
                      {discrete.data, box.data, logp.data});
  });
  return nb::make_tuple(self.shape().discrete() ? discrete.array : box.array, logp.array,
                        inputs.array, values.array);
}

nb::dict get_weights(PyMlp& self) { return self.named(self.policy.parameters().data()); }

void set_weights(PyMlp& self, nb::handle weights) {
  std::vector<float> flat(self.policy.parameters().size());
  self.set_named(weights, flat.data(), "weights");
  locked(self.mutex, [&] { std::copy(flat.begin(), flat.end(), self.policy.parameters().data()); });
}

}  // namespace

nb::dict PyMlp::named(const float* flat) const {
  nb::dict all;
  for (const learn::NamedWeight& w : policy.named()) {
    auto array = w.in == 0 ? fresh_floats({w.out}) : fresh_floats({w.out, w.in});
    const size_t in = std::max<size_t>(w.in, 1);
    for (size_t o = 0; o < w.out; ++o) {
      for (size_t i = 0; i < in; ++i) array.data[o * in + i] = flat[w.offset + i * w.ld + o];
    }
    all[w.name.c_str()] = array.array;
  }
  return all;
}

void PyMlp::set_named(nb::handle weights, float* flat, const char* what) const {
  const nb::dict given = nb::cast<nb::dict>(nb::module_::import_("builtins").attr("dict")(weights));
  for (const learn::NamedWeight& w : policy.named()) {
    if (!given.contains(w.name.c_str())) refuse(std::string(what) + " lack " + w.name);
    const nb::object value = given[w.name.c_str()];
    const auto out = static_cast<int64_t>(w.out), in = static_cast<int64_t>(w.in);
    auto array = w.in == 0 ? in_finite(value, w.name.c_str(), {out})
                           : in_finite(value, w.name.c_str(), {out, in});
    const size_t columns = std::max<size_t>(w.in, 1);
    for (size_t o = 0; o < w.out; ++o) {
      for (size_t i = 0; i < columns; ++i) {
        flat[w.offset + i * w.ld + o] = array.data()[o * columns + i];
      }
    }
  }
  if (given.size() == policy.named().size()) return;
  for (auto [name, value] : given) {
    const auto text = nb::cast<std::string>(nb::str(name));
    bool known = false;
    for (const learn::NamedWeight& w : policy.named()) known = known || w.name == text;
    if (!known) refuse(std::string(what) + " have " + text + ", which this net has not");
  }
}

void bind_policy(nb::module_& module) {
  module.def("kernels", [] { return std::string(learn::kernels().name); });
  nb::class_<PyMlp>(module, "Mlp")
      .def("__init__", &make_policy, nb::arg("obs_dim"), nb::arg("hiddens"), nb::kw_only(),
           nb::arg("num_actions") = 0, nb::arg("action_dim") = 0, nb::arg("activation") = "tanh",
           nb::arg("vf_share_layers") = false, nb::arg("free_log_std") = false, nb::arg("seed") = 0)
      .def_prop_ro("obs_dim", [](PyMlp& self) { return self.shape().obs_dim; })
      .def_prop_ro("dist_inputs_dim", [](PyMlp& self) { return self.shape().dist_inputs(); })
      .def("get_weights", &get_weights)
      .def("set_weights", &set_weights, nb::arg("weights"))
      .def("forward", &forward, nb::arg("obs"))
      .def("act", &act, nb::arg("obs"), nb::kw_only(), nb::arg("explore") = true,
           nb::arg("seed") = 0, nb::arg("first_index") = 0, nb::arg("step") = 0);
}

}  // namespace eagleray::rl
