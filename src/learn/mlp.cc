#include "learn/mlp.h"

#include <cmath>
#include <cstring>
#include <numbers>

#include "gym/stream.h"

namespace eagleray::learn {
namespace {

// Above these a net is no longer "small", and what is allocated for it no longer harmless.
constexpr size_t kWidthMax = 1 << 14;
constexpr size_t kHiddensMax = 16;

// A normal number that is a function of its key only.
double normal(uint64_t seed, uint64_t layer, uint64_t element) {
  const double u = 1 - gym::unit(gym::mix(seed, layer, 2 * element));  // above 0
  const double angle = 2 * std::numbers::pi * gym::unit(gym::mix(seed, layer, 2 * element + 1));
  return std::sqrt(-2 * std::log(u)) * std::cos(angle);
}

}  // namespace

Activations::Activations(const Tower& tower, size_t rows) : rows_(rows) {
  lds_.push_back(padded(tower.layers.front().in));
  for (const Layer& layer : tower.layers) lds_.push_back(layer.ld);
  for (size_t ld : lds_) buffers_.emplace_back(rows * ld);
}

Result<Mlp> Mlp::make(const NetShape& shape) {
  const auto refused = [](std::string why) { return Error{ErrorCode::kInvalid, std::move(why)}; };
  if (shape.obs_dim < 1 || shape.obs_dim > kWidthMax) return refused("obs_dim is out of range");
  if ((shape.num_actions > 0) == (shape.action_dim > 0)) {
    return refused("one of num_actions and action_dim must be positive");
  }
  if (shape.num_actions > kWidthMax || shape.action_dim > kWidthMax) {
    return refused("there are too many actions");
  }
  if (shape.hiddens.size() > kHiddensMax) return refused("there are too many hidden layers");
  for (size_t width : shape.hiddens) {
    if (width < 1 || width > kWidthMax) return refused("a hidden layer's width is out of range");
  }
  if (shape.free_log_std && shape.discrete()) {
    return refused("free_log_std is for continuous actions");
  }
  return Mlp(shape);
}

Mlp::Mlp(const NetShape& shape) : shape_(shape) {
  add_tower("policy", head_outputs() + (shape.vf_share_layers ? 1 : 0));
  if (!shape.vf_share_layers) add_tower("value", 1);
  if (shape.free_log_std) {
    log_std_ = size_;
    named_.push_back({"log_std", shape.action_dim, 0, log_std_, 0});
    size_ += padded(shape.action_dim);
  }
  parameters_ = Buffer(size_);
  initialize();
}

void Mlp::add_tower(const char* name, size_t outputs) {
  Tower tower;
  size_t in = shape_.obs_dim;
  const auto add = [&](size_t out, Activation activation) {
    const size_t ld = padded(out), weight = size_, bias = size_ + in * ld;
    tower.layers.push_back({in, out, ld, weight, bias, wt_size_, activation});
    size_ = bias + ld;
    wt_size_ += out * padded(in);
    in = out;
  };
  const auto call = [&](const std::string& prefix, size_t begin, size_t out) {
    const Layer& layer = tower.layers.back();
    named_.push_back({prefix + ".weight", out, layer.in, layer.weight + begin, layer.ld});
    named_.push_back({prefix + ".bias", out, 0, layer.bias + begin, 0});
  };
  for (size_t i = 0; i < shape_.hiddens.size(); ++i) {
    add(shape_.hiddens[i], shape_.activation);
    call(std::string(name) + "." + std::to_string(i), 0, shape_.hiddens[i]);
  }
  add(outputs, Activation::kLinear);
  const bool both = towers_.empty() && shape_.vf_share_layers;
  call(std::string(name) + ".out", 0, both ? outputs - 1 : outputs);
  if (both) call("value.out", outputs - 1, 1);
  towers_.push_back(std::move(tower));
}

void Mlp::initialize() {
  for (uint64_t index = 0; const NamedWeight& w : named_) {
    const bool head = w.name.find(".out.") != std::string::npos;
    if (w.in == 0) continue;
    for (size_t o = 0; o < w.out; ++o) {
      double squares = 0;
      for (size_t i = 0; i < w.in; ++i) {
        const double x = normal(shape_.seed, index, o * w.in + i);
        squares += x * x;
        parameters_.data()[w.offset + i * w.ld + o] = static_cast<float>(x);
      }
      const auto scale = static_cast<float>((head ? 0.01 : 1.0) / std::sqrt(squares));
      for (size_t i = 0; i < w.in; ++i) parameters_.data()[w.offset + i * w.ld + o] *= scale;
    }
    ++index;
  }
}

void Mlp::forward(size_t tower, Activations& activations, size_t begin, size_t end) const {
  const std::vector<Layer>& layers = towers_[tower].layers;
  const float* parameters = parameters_.data();
  for (size_t i = 0; i < layers.size(); ++i) {
    const Layer& layer = layers[i];
    kernels().forward(std::as_const(activations).layer(i, begin),
                      {parameters + layer.weight, layer.ld}, parameters + layer.bias,
                      activations.layer(i + 1, begin), end - begin, layer.in, layer.out,
                      layer.activation);
  }
}

void copy_rows(const float* from, size_t width, size_t rows, Output to) {
  for (size_t i = 0; i < rows; ++i) {
    std::memcpy(to.data + i * to.ld, from + i * width, width * sizeof(float));
  }
}

}  // namespace eagleray::learn
