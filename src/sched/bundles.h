// The bundles of placement groups that one node has reserved, and what is free in each. Pure.
#pragma once

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "message/common.h"
#include "sched/fit.h"

namespace eagleray {

class Bundles {
 public:
  // Phase one: the caller has taken the sum of `amounts` from the node. Phase two: may be used.
  void reserve(const PlacementGroupId& group, const std::vector<uint32_t>& indexes,
               const std::vector<ResourceMap>& amounts);
  void commit(const PlacementGroupId& group);
  // The sum that goes back to the node; what is still taken in them is given back to nobody.
  ResourceMap release(const PlacementGroupId& group);

  bool holds(const PlacementGroupId& group) const;
  std::vector<PlacementGroupId> groups() const;
  ResourceMap total() const;
  bool empty() const { return rows_.empty(); }

  // In a bundle that `strategy` (kGroup) means. kLater: also where the group is not here yet.
  Fit fit(const ResourceMap& want, const Strategy& strategy) const;
  uint32_t take(const ResourceMap& want, const Strategy& strategy);  // fit is kNow; which bundle
  // What take() has taken, less what is lent. Nothing, if the bundle is gone.
  void give(const ResourceMap& back, const PlacementGroupId& group, uint32_t index);
  // What is free in a bundle, to lend to or take back from; null when it is gone.
  ResourceMap* free_of(const PlacementGroupId& group, uint32_t index);

  std::vector<BundleLoad> loads() const;  // of all bundles
  std::vector<BundleLoad> changes();      // since the last call

 private:
  struct Row {
    ResourceMap total, free;
    bool committed = false;
    uint32_t users = 0;
  };
  using Key = std::pair<PlacementGroupId, uint32_t>;
  static bool meant(const Key& key, const Strategy& strategy);

  std::map<Key, Row> rows_;
  std::set<Key> changed_;
};

}  // namespace eagleray
