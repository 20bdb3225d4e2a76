// Which node a task, an actor or a placement group can run on: pure functions over a view of nodes.
#pragma once

#include <string>
#include <vector>

#include "message/common.h"

namespace eagleray {

enum class Fit : uint8_t { kNever, kLater, kNow };

struct NodeView {
  NodeIndex index;
  const NodeInfo* info = nullptr;
  const ResourceMap* available = nullptr;
};

struct Choice {
  Fit fit = Fit::kNever;  // kNever: `node` is zero
  NodeIndex node;
};

// Whether the strategy lets it run on this node, whatever the node has to offer.
bool admits(const NodeInfo& node, const Strategy& strategy);

Fit fit(const NodeView& node, const ResourceMap& want, const Strategy& strategy);

// The best node: one that can now before one that can later; of those the one with affinity, the
// one with preferred labels, or the first; with kSpread the one whose `turn` it is. Selectors are
// tried in their order.
Choice choose(const std::vector<NodeView>& nodes, const ResourceMap& want, const Strategy& strategy,
              uint64_t turn);

// A hard affinity that cannot be satisfied is an error; whatever else no node can run waits.
bool is_refused(const Strategy& strategy, Fit fit);
inline constexpr const char* kRefusedText =
    "The node specified via NodeAffinitySchedulingStrategy doesn't exist any more or is "
    "infeasible, and soft=False was specified.";

// Why `node` can never run it, in half a sentence.
std::string why_never(const NodeInfo& node, const ResourceMap& want, const Strategy& strategy);

// A group lies on one node with all of its bundles.
Fit fit(const NodeView& node, const GroupSpec& group);
std::string why_never(const NodeInfo& node, const GroupSpec& group);
Choice choose(const std::vector<NodeView>& nodes, const GroupSpec& group);

}  // namespace eagleray
