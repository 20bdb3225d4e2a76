// Which node a task or actor goes to, and why. A pure function over a cluster view; control and
// nodes call it, it reserves nothing and knows no process.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "message/common.h"
#include "message/control_calls.h"

namespace eagleray {

struct PlacementRequest {
  ResourceMap resources;
  Strategy strategy;
  NodeId local;                             // where the request was made; zero: nowhere
  std::map<NodeId, uint64_t> bytes_at;      // argument bytes that lie on a node already
  // Default policy: a node busier than this (per mille of its scarcest wanted resource) is left for
  // an emptier one.
  uint32_t busy_per_mille = 500;
};

struct NodeScore {
  NodeId node;
  bool feasible = false;     // could, if it were idle
  bool available = false;    // can now
  uint32_t busy_per_mille = 0;  // after the request would run there
  std::string why;           // in words, for explain()
};

struct Choice {
  NodeId node;               // zero: no node can now
  bool hopeless = false;     // no node could even if it were idle
  std::string reason;        // one sentence
  std::vector<NodeScore> scores;
};

// Default: the local node (or the one that holds most argument bytes) up to `busy_per_mille`, then
// the least busy. SPREAD: the least busy. Affinity and labels: only nodes that fit, unless soft. A
// group's bundles are not looked at: whoever knows them asks with kDefault for the node it found.
Choice pick_node(const std::vector<ClusterNode>& view, const PlacementRequest& request);

// A label expression: "v", "!v", "in(a,b)", "!in(a,b)". A missing label has the value "".
bool label_matches(const std::string& expression, const std::string& value);
bool labels_match(const std::map<std::string, std::string>& required,
                  const std::map<std::string, std::string>& labels);

}  // namespace eagleray
