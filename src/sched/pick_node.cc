#include "sched/pick_node.h"

#include <algorithm>
#include <string_view>

namespace eagleray {
namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

bool in_list(std::string_view list, std::string_view value) {
  for (;;) {
    const size_t comma = list.find(',');
    if (trim(list.substr(0, comma)) == value) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
}

// Share of the scarcest wanted resource that would be in use, in thousandths.
uint32_t busy_after(const ClusterNode& node, const ResourceMap& want) {
  int64_t worst = 0;
  for (const auto& [name, amount] : want) {
    const auto total = node.info.total.find(name);
    if (total == node.info.total.end() || total->second <= 0) continue;
    const auto free = node.available.find(name);
    const int64_t left = (free == node.available.end() ? 0 : free->second) - amount;
    worst = std::max(worst, (total->second - left) * 1000 / total->second);
  }
  return static_cast<uint32_t>(std::clamp<int64_t>(worst, 0, 1'000'000));
}

bool admits(const ClusterNode& node, const PlacementRequest& request, std::string& why) {
  const Strategy& strategy = request.strategy;
  if (!node.info.alive) {
    why = "is gone";
    return false;
  }
  if (strategy.kind == StrategyKind::kNodeAffinity && !strategy.soft &&
      node.info.node != strategy.node) {
    why = "is not the node asked for";
    return false;
  }
  if (strategy.kind == StrategyKind::kNodeLabels && !labels_match(strategy.labels, node.info.labels)) {
    why = "has not the labels asked for";
    return false;
  }
  return true;
}

NodeScore score_of(const ClusterNode& node, const PlacementRequest& request) {
  NodeScore score;
  score.node = node.info.node;
  if (!admits(node, request, score.why)) return score;
  score.feasible = covers(node.info.total, request.resources);
  if (!score.feasible) {
    score.why = "has " + to_string(node.info.total) + " in all, too little";
    return score;
  }
  score.available = covers(node.available, request.resources);
  score.busy_per_mille = busy_after(node, request.resources);
  score.why = "has " + to_string(node.available) + " free of " + to_string(node.info.total);
  return score;
}

// The node the default policy would like best, where it can.
NodeId preferred(const PlacementRequest& request) {
  if (request.strategy.kind == StrategyKind::kNodeAffinity) return request.strategy.node;
  NodeId best = request.local;
  uint64_t most = 0;
  for (const auto& [node, bytes] : request.bytes_at) {
    if (bytes > most) {
      most = bytes;
      best = node;
    }
  }
  return best;
}

std::string refusal(const Choice& choice, const PlacementRequest& request) {
  std::string reason = "needs " + to_string(request.resources);
  if (choice.scores.empty()) return reason + ", and the cluster has no node";
  const NodeScore& first = choice.scores.front();
  if (choice.scores.size() == 1) return reason + "; the node " + first.why;
  reason += choice.hopeless ? "; none of " : "; nothing is free now on any of ";
  return reason + std::to_string(choice.scores.size()) + " nodes" +
         (choice.hopeless ? " could ever run it" : "");
}

}  // namespace

bool label_matches(const std::string& expression, const std::string& value) {
  std::string_view text = trim(expression);
  bool wanted = true;
  if (!text.empty() && text.front() == '!') {
    wanted = false;
    text = trim(text.substr(1));
  }
  if (text.starts_with("in(") && text.ends_with(")")) {
    return in_list(text.substr(3, text.size() - 4), value) == wanted;
  }
  return (text == value) == wanted;
}

bool labels_match(const std::map<std::string, std::string>& required,
                  const std::map<std::string, std::string>& labels) {
  return std::all_of(required.begin(), required.end(), [&](const auto& entry) {
    const auto it = labels.find(entry.first);
    return label_matches(entry.second, it == labels.end() ? std::string() : it->second);
  });
}

Choice pick_node(const std::vector<ClusterNode>& view, const PlacementRequest& request) {
  Choice choice;
  choice.hopeless = true;
  const NodeId favourite = preferred(request);
  const NodeScore* best = nullptr;
  choice.scores.reserve(view.size());
  for (const ClusterNode& node : view) {
    const NodeScore& score = choice.scores.emplace_back(score_of(node, request));
    if (score.feasible) choice.hopeless = false;
    if (!score.available) continue;
    if (!best || score.busy_per_mille < best->busy_per_mille) best = &score;
  }
  if (!best) {
    choice.reason = refusal(choice, request);
    return choice;
  }
  choice.reason = "least busy of those that can run it";
  const StrategyKind kind = request.strategy.kind;
  if (kind != StrategyKind::kSpread) {
    for (const NodeScore& score : choice.scores) {
      if (score.node != favourite || !score.available) continue;
      if (kind == StrategyKind::kNodeAffinity) {
        best = &score;
        choice.reason = "asked for by affinity";
      } else if (score.busy_per_mille <= request.busy_per_mille ||
                 score.busy_per_mille <= best->busy_per_mille) {
        best = &score;
        choice.reason = request.bytes_at.contains(favourite) ? "holds most of the arguments"
                                                              : "is where the request was made";
      }
    }
  }
  choice.node = best->node;
  return choice;
}

}  // namespace eagleray
