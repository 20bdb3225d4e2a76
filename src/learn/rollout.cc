#include "learn/rollout.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <tuple>
#include <utility>

namespace eagleray::learn {
namespace {

// Environments that one thread steps together: their activations and its weights share the cache.
constexpr size_t kEnvsAtOnce = 128;

}  // namespace

// One part of the environments: buffers for up to kEnvsAtOnce environments, and the loop.
class Rollout::Part {
 public:
  Part(Rollout& all, const Mlp& policy) : all_(all), actor_(policy) {}

  void sample(size_t steps, const Sample& out, Range envs);
  std::vector<Ended> take_ended() { return std::exchange(ended_, {}); }

 private:
  void block(size_t steps, const Sample& out, Range envs);
  void act(size_t steps, size_t t, const Sample& out, Range envs);
  void record(size_t t, size_t steps, const Sample& out, size_t env, const float* final_obs);
  void judge(size_t steps, const Sample& out, Range envs);

  gym::VectorEnv& env() { return all_.env_; }
  const NetShape& shape() const { return all_.policy_.shape(); }

  Rollout& all_;
  Actor actor_;
  std::vector<Ended> ended_;
  // Of the current step, one row for each environment of the vector: step() wants whole arrays.
  std::vector<float> obs_, final_obs_, rewards_, box_, logp_, dist_inputs_;
  std::vector<int64_t> discrete_;
  std::vector<uint8_t> terminated_, truncated_;
  // What was led to where a value must follow, and the row that it belongs to.
  std::vector<float> last_obs_, last_values_;
  std::vector<size_t> last_rows_;
};

void Rollout::Part::sample(size_t steps, const Sample& out, Range envs) {
  const size_t n = env().size(), k = shape().obs_dim;
  obs_.resize(n * k), final_obs_.resize(n * k), rewards_.resize(n), logp_.resize(n);
  terminated_.resize(n), truncated_.resize(n), dist_inputs_.resize(n * shape().dist_inputs());
  discrete_.resize(n), box_.resize(n * shape().action_dim);
  for (size_t begin = envs.begin; begin < envs.end; begin += kEnvsAtOnce) {
    block(steps, out, {begin, std::min(begin + kEnvsAtOnce, envs.end)});
  }
}

void Rollout::Part::block(size_t steps, const Sample& out, Range envs) {
  const size_t k = shape().obs_dim;
  last_obs_.clear();
  last_rows_.clear();
  for (size_t i = envs.begin; i < envs.end; ++i) env().observe(i, &obs_[i * k]);
  for (size_t t = 0; t < steps; ++t) {
    act(steps, t, out, envs);
    env().step(
        envs.begin, envs.end, {.discrete = discrete_.data(), .box = box_.data()},
        {obs_.data(), rewards_.data(), terminated_.data(), truncated_.data(), final_obs_.data()});
    for (size_t i = envs.begin; i < envs.end; ++i) record(t, steps, out, i, &final_obs_[i * k]);
  }
  judge(steps, out, envs);
}

void Rollout::Part::act(size_t steps, size_t t, const Sample& out, Range envs) {
  const size_t k = shape().obs_dim, d = shape().dist_inputs(), dim = shape().action_dim;
  const size_t first = envs.begin, count = envs.end - envs.begin;
  actor_.evaluate(&obs_[first * k], count, &dist_inputs_[first * d], nullptr);
  const DrawKey key{all_.settings_.seed, all_.env_.options().first_index + first, all_.steps_ + t};
  actor_.decide(&dist_inputs_[first * d], count, key, all_.settings_.explore,
                {discrete_.data() + first, box_.data() + first * dim, &logp_[first]});
  for (size_t i = envs.begin; i < envs.end; ++i) {
    const size_t row = i * steps + t;
    std::memcpy(out.obs + row * k, &obs_[i * k], k * sizeof(float));
    std::memcpy(out.dist_inputs + row * d, &dist_inputs_[i * d], d * sizeof(float));
    out.logp[row] = logp_[i];
    if (shape().discrete()) {
      out.discrete_actions[row] = discrete_[i];
      continue;
    }
    float* action = &box_[i * dim];
    std::memcpy(out.box_actions + row * dim, action, dim * sizeof(float));
    const float high = env().spec().action_high;
    for (size_t j = 0; j < dim; ++j) {
      if (all_.settings_.actions == ActionMode::kNormalize) action[j] *= high;
      if (all_.settings_.actions != ActionMode::kRaw)
        action[j] = std::clamp(action[j], -high, high);
    }
  }
}

void Rollout::Part::record(size_t t, size_t steps, const Sample& out, size_t i,
                           const float* final_obs) {
  const size_t row = i * steps + t;
  const bool truncated = truncated_[i] != 0;
  const bool terminated = terminated_[i] != 0;
  Running& running = all_.running_[i];
  const auto index = static_cast<int64_t>(env().options().first_index + i);
  const int64_t id = index << 32 | running.number;
  out.rewards[row] = rewards_[i];
  out.terminated[row] = terminated_[i];
  out.truncated[row] = truncated_[i];
  out.episode_ids[row] = id;
  out.episode_steps[row] = running.length;
  running.reward += static_cast<double>(rewards_[i]);
  ++running.length;
  if ((truncated || t + 1 == steps) && !terminated) {
    last_rows_.push_back(row);
    last_obs_.insert(last_obs_.end(), final_obs, final_obs + shape().obs_dim);
  }
  if (!truncated && !terminated) return;
  ended_.push_back({t, {running.reward, running.length, id, static_cast<int64_t>(i)}});
  running = {0, 0, running.number + 1};
}

// Values and advantages, when all steps of the block are there: nets are asked for many rows at
// once.
void Rollout::Part::judge(size_t steps, const Sample& out, Range envs) {
  const RolloutSettings& s = all_.settings_;
  const size_t first = envs.begin * steps, rows = (envs.end - envs.begin) * steps;
  last_values_.assign(last_rows_.size(), 0.0f);
  if (s.use_critic) {
    actor_.evaluate(out.obs + first * shape().obs_dim, rows, nullptr, out.values + first);
    actor_.evaluate(last_obs_.data(), last_rows_.size(), nullptr, last_values_.data());
  } else {
    std::fill_n(out.values + first, rows, 0.0f);
  }
  std::vector<float> following(rows, 0.0f);
  for (size_t i = 0; i < last_rows_.size(); ++i) following[last_rows_[i] - first] = last_values_[i];
  for (size_t i = envs.begin; i < envs.end; ++i) {
    const size_t row = i * steps;
    std::vector<uint8_t> over(out.terminated + row, out.terminated + row + steps);
    for (size_t t = 0; t < steps && !s.bootstrap_truncated; ++t) over[t] |= out.truncated[row + t];
    gae({steps, out.rewards + row, out.values + row, over.data(), out.truncated + row,
         following.data() + (row - first)},
        s.gae, out.advantages + row, out.targets + row);
  }
}

Result<std::unique_ptr<Rollout>> Rollout::make(gym::VectorEnv& env, const Mlp& policy,
                                               const RolloutSettings& settings) {
  const gym::EnvSpec& spec = env.spec();
  const NetShape& shape = policy.shape();
  if (spec.obs_dim != shape.obs_dim) {
    return Error{ErrorCode::kInvalid, "the policy sees " + std::to_string(shape.obs_dim) +
                                          " numbers, " + std::string(spec.id) + " has " +
                                          std::to_string(spec.obs_dim)};
  }
  if (spec.num_actions != shape.num_actions || spec.action_dim != shape.action_dim) {
    return Error{ErrorCode::kInvalid,
                 "the policy's actions are not those of " + std::string(spec.id)};
  }
  return std::unique_ptr<Rollout>(new Rollout(env, policy, settings));
}

Rollout::Rollout(gym::VectorEnv& env, const Mlp& policy, const RolloutSettings& settings)
    : env_(env),
      policy_(policy),
      settings_(settings),
      team_(std::min(settings.threads, env.size())),
      running_(env.size()) {
  for (size_t i = 0; i < team_.size(); ++i) parts_.push_back(std::make_unique<Part>(*this, policy));
}

Rollout::~Rollout() = default;

std::vector<Episode> Rollout::sample(size_t steps, const Sample& out) {
  team_.run([&](size_t part) {
    parts_[part]->sample(steps, out, part_of(env_.size(), team_.size(), part, 1));
  });
  steps_ += steps;
  std::vector<Ended> ended;
  for (auto& part : parts_) {
    for (Ended& e : part->take_ended()) ended.push_back(e);
  }
  std::sort(ended.begin(), ended.end(), [](const Ended& a, const Ended& b) {
    return std::tie(a.step, a.episode.env) < std::tie(b.step, b.episode.env);
  });
  std::vector<Episode> episodes;
  for (const Ended& e : ended) episodes.push_back(e.episode);
  return episodes;
}

std::string Rollout::save() const {
  std::string bytes(reinterpret_cast<const char*>(&steps_), sizeof(steps_));
  bytes.append(reinterpret_cast<const char*>(running_.data()), sizeof(Running) * running_.size());
  return bytes + env_.save();
}

Result<> Rollout::load(std::string_view saved) {
  const size_t own = sizeof(steps_) + sizeof(Running) * running_.size();
  if (saved.size() < own) {
    return Error{ErrorCode::kCorrupt, "not saved by a rollout of the same environments"};
  }
  Result<> loaded = env_.load(saved.substr(own));
  if (!loaded.ok()) return loaded;
  std::memcpy(&steps_, saved.data(), sizeof(steps_));
  std::memcpy(running_.data(), saved.data() + sizeof(steps_), own - sizeof(steps_));
  return Ok{};
}

}  // namespace eagleray::learn
