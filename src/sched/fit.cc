#include "sched/fit.h"

#include <algorithm>

#include "base/names.h"
#include "sched/labels.h"

namespace eagleray {
namespace {

Fit fit(const NodeView& node, const ResourceMap& want) {
  if (!covers(node.info->total, want)) return Fit::kNever;
  return covers(*node.available, want) ? Fit::kNow : Fit::kLater;
}

bool admits_but_for_selectors(const NodeInfo& node, const Strategy& strategy) {
  if (strategy.kind == StrategyKind::kNodeAffinity && !strategy.soft &&
      node.node != strategy.node) {
    return false;
  }
  return matches(strategy.labels, node.labels);
}

bool is_preferred(const NodeInfo& node, const Strategy& strategy) {
  if (strategy.kind == StrategyKind::kNodeAffinity) return node.node == strategy.node;
  return !strategy.preferred.empty() && matches(strategy.preferred, node.labels);
}

// The best of the nodes that `selector` admits.
Choice choose_among(const std::vector<NodeView>& nodes, const ResourceMap& want,
                    const Strategy& strategy, const LabelSelector& selector, uint64_t turn) {
  Choice best;
  bool best_preferred = false;
  for (size_t i = 0; i < nodes.size(); ++i) {
    const size_t at = strategy.kind == StrategyKind::kSpread ? (turn + i) % nodes.size() : i;
    const NodeView& node = nodes[at];
    if (!admits_but_for_selectors(*node.info, strategy)) continue;
    if (!matches(selector, node.info->labels)) continue;
    const Fit here = fit(node, want);
    if (here == Fit::kNever) continue;
    const bool preferred = is_preferred(*node.info, strategy);
    // What has an affinity waits for its node; a preference for labels is not waited for.
    if (preferred && strategy.kind == StrategyKind::kNodeAffinity) return Choice{here, node.index};
    if (here > best.fit || (here == best.fit && preferred && !best_preferred)) {
      best = Choice{here, node.index};
      best_preferred = preferred;
    }
  }
  return best;
}

// The resource that `wanted`, which the node does not have, may be a slip of; empty: none is near.
std::string nearest_resource(const NodeInfo& node, const std::string& wanted) {
  const auto lower = [](std::string name) {
    for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    return name;
  };
  std::vector<std::string> known = {"CPU", "GPU", "TPU", "memory"};
  for (const auto& [name, amount] : node.total) known.push_back(name);
  std::string nearest;
  size_t least = lower(wanted).size() / 2 + 1;
  for (const std::string& name : known) {
    if (name == wanted) return "";
    const size_t distance = edit_distance(lower(wanted), lower(name));
    if (distance >= least || distance >= name.size()) continue;
    least = distance;
    nearest = name;
  }
  return nearest;
}

// `node` does not cover `want`.
std::string what_is_missing(const NodeInfo& node, const ResourceMap& want) {
  ResourceMap has;
  std::string slips;
  for (const auto& [name, amount] : want) {
    const auto found = node.total.find(name);
    if (found != node.total.end()) {
      has.insert(*found);
    } else if (const std::string near = nearest_resource(node, name); !near.empty()) {
      slips += "; is '" + near + "' meant by '" + name + "'?";
    }
  }
  return "it wants {" + to_string(want) + "} and of these the node has {" + to_string(has) +
         "} in total" + slips;
}

std::string which_labels(const NodeInfo& node, const std::string& wanted) {
  return "it wants labels " + wanted + " and the node has {" + to_string(node.labels) + "}";
}

ResourceMap sum_of(const GroupSpec& group) {
  ResourceMap sum;
  for (const ResourceMap& bundle : group.bundles) add(sum, bundle);
  return sum;
}

bool wants_several_nodes(const GroupSpec& group) {
  return group.strategy == GroupStrategy::kStrictSpread && group.bundles.size() > 1;
}

}  // namespace

bool admits(const NodeInfo& node, const Strategy& strategy) {
  if (!admits_but_for_selectors(node, strategy)) return false;
  const auto& selectors = strategy.selectors;
  return selectors.empty() ||
         std::any_of(selectors.begin(), selectors.end(),
                     [&](const LabelSelector& each) { return matches(each, node.labels); });
}

Fit fit(const NodeView& node, const ResourceMap& want, const Strategy& strategy) {
  return admits(*node.info, strategy) ? fit(node, want) : Fit::kNever;
}

Choice choose(const std::vector<NodeView>& nodes, const ResourceMap& want, const Strategy& strategy,
              uint64_t turn) {
  if (strategy.selectors.empty()) return choose_among(nodes, want, strategy, {}, turn);
  Choice best;
  for (const LabelSelector& selector : strategy.selectors) {
    const Choice choice = choose_among(nodes, want, strategy, selector, turn);
    if (choice.fit > best.fit) best = choice;
  }
  return best;
}

bool is_refused(const Strategy& strategy, Fit fit) {
  if (strategy.kind != StrategyKind::kNodeAffinity || strategy.soft) return false;
  return fit == Fit::kNever || (fit == Fit::kLater && strategy.fail_if_busy);
}

std::string why_never(const NodeInfo& node, const ResourceMap& want, const Strategy& strategy) {
  if (!covers(node.total, want)) return what_is_missing(node, want);
  std::string wanted = to_string(strategy.labels);
  for (const LabelSelector& selector : strategy.selectors) {
    wanted += (wanted.empty() ? "{" : " or {") + to_string(selector) + "}";
  }
  return which_labels(node, wanted);
}

// ---- groups ----

Fit fit(const NodeView& node, const GroupSpec& group) {
  if (wants_several_nodes(group)) return Fit::kNever;
  const bool admitted =
      std::all_of(group.selectors.begin(), group.selectors.end(),
                  [&](const LabelSelector& each) { return matches(each, node.info->labels); });
  return admitted ? fit(node, sum_of(group)) : Fit::kNever;
}

std::string why_never(const NodeInfo& node, const GroupSpec& group) {
  if (wants_several_nodes(group)) {
    return "STRICT_SPREAD wants " + std::to_string(group.bundles.size()) +
           " nodes, and a group lies on one";
  }
  const ResourceMap sum = sum_of(group);
  if (!covers(node.total, sum)) return what_is_missing(node, sum);
  std::string wanted;
  for (const LabelSelector& selector : group.selectors) {
    if (matches(selector, node.labels)) continue;
    wanted += (wanted.empty() ? "{" : " and {") + to_string(selector) + "}";
  }
  return which_labels(node, wanted);
}

Choice choose(const std::vector<NodeView>& nodes, const GroupSpec& group) {
  Choice best;
  for (const NodeView& node : nodes) {
    const Fit here = fit(node, group);
    if (here > best.fit ||
        (here == best.fit && here != Fit::kNever && node.info->node == group.target)) {
      best = Choice{here, node.index};
    }
  }
  return best;
}

}  // namespace eagleray
