// The nets of a policy and of its value function: towers of dense layers with a linear head. An Mlp
// owns the parameters, one flat array, and knows where each layer's are; it is driven by whoever
// acts (Actor) or learns (Learner) and starts no thread.
//
// Weights lie as [in][padded(out)], so that a forward pass reads them in rows; whoever asks for
// them by name gets [out][in], torch's orientation. Initial weights are those of RLlib's normc:
// each unit's incoming weights are normal, scaled to norm 1 (0.01 in heads), biases 0.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "learn/buffer.h"
#include "learn/kernels.h"

namespace eagleray::learn {

struct NetShape {
  size_t obs_dim = 0;
  std::vector<size_t> hiddens{};
  Activation activation = Activation::kTanh;
  size_t num_actions = 0;  // discrete: as many logits
  size_t action_dim = 0;   // or a box: as many means and log-stds
  bool vf_share_layers = false;
  bool free_log_std = false;  // log-stds are parameters, not outputs
  uint64_t seed = 0;

  bool discrete() const { return num_actions > 0; }
  // Numbers that describe a distribution of actions.
  size_t dist_inputs() const { return discrete() ? num_actions : 2 * action_dim; }
};

struct Layer {
  size_t in;
  size_t out;
  size_t ld;      // padded(out)
  size_t weight;  // where [in][ld] begins in the parameters
  size_t bias;    // where [ld] begins
  size_t wt;      // where [out][padded(in)] begins among the transposed weights
  Activation activation;
};

struct Tower {
  std::vector<Layer> layers;
};

// Outputs of every layer of a tower for some rows; [0] is its input.
class Activations {
 public:
  Activations() = default;
  Activations(const Tower& tower, size_t rows);
  size_t rows() const { return rows_; }
  Output layer(size_t index, size_t row) {
    return {buffers_[index].data() + row * lds_[index], lds_[index]};
  }
  Operand layer(size_t index, size_t row) const {
    return {buffers_[index].data() + row * lds_[index], lds_[index]};
  }

 private:
  size_t rows_ = 0;
  std::vector<Buffer> buffers_;
  std::vector<size_t> lds_;
};

// A parameter as its name says: a matrix [out][in], or a vector of `out`.
struct NamedWeight {
  std::string name;
  size_t out;
  size_t in;      // 0: a vector
  size_t offset;  // of element (0, 0); (o, i) is at offset + i * ld + o
  size_t ld;
};

class Mlp {
 public:
  static Result<Mlp> make(const NetShape& shape);  // kInvalid

  const NetShape& shape() const { return shape_; }
  // The policy's, and the value function's if it has layers of its own.
  const std::vector<Tower>& towers() const { return towers_; }
  // Which tower has the value, and in which column of its output.
  size_t value_tower() const { return towers_.size() - 1; }
  size_t value_column() const { return shape_.vf_share_layers ? head_outputs() : 0; }
  // Columns of the policy's head that describe the distribution.
  size_t head_outputs() const {
    return shape_.free_log_std ? shape_.action_dim : shape_.dist_inputs();
  }

  std::span<float> parameters() { return {parameters_.data(), parameters_.size()}; }
  std::span<const float> parameters() const { return {parameters_.data(), parameters_.size()}; }
  size_t log_std() const { return log_std_; }          // where free log-stds begin
  size_t transposed_size() const { return wt_size_; }  // floats of all transposed weights

  const std::vector<NamedWeight>& named() const { return named_; }

  // Rows [begin, end) of `activations`, whose inputs are in place.
  void forward(size_t tower, Activations& activations, size_t begin, size_t end) const;

 private:
  explicit Mlp(const NetShape& shape);
  void add_tower(const char* name, size_t outputs);
  void initialize();

  NetShape shape_;
  std::vector<Tower> towers_;
  std::vector<NamedWeight> named_;
  Buffer parameters_;
  size_t size_ = 0;
  size_t log_std_ = 0;
  size_t wt_size_ = 0;
};

// Copies rows of `width` floats into a matrix of leading dimension padded(width).
void copy_rows(const float* from, size_t width, size_t rows, Output to);

}  // namespace eagleray::learn
