// BundleTable: the node's resources and the parts of them that are set aside for placement groups.
// Owned by NodeMachine. It says whether something fits and where it is taken from; who gets it next
// is decided in lease_table and node_machine.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "message/common.h"
#include "sched/resource_pool.h"

namespace eagleray {

// What one lease or actor holds, and where it came from.
struct Holding {
  Allocation allocation;
  bool in_bundle = false;
  PlacementGroupId group;   // in_bundle
  uint32_t bundle = 0;      // in_bundle
  bool cpu_lent = false;    // its worker waits in get: the CPU part is free for others
};

class BundleTable {
 public:
  explicit BundleTable(const ResourceMap& total) : node_(total) {}

  const ResourcePool& node() const { return node_; }
  bool has_group(const PlacementGroupId& group) const { return groups_.contains(group); }
  bool was_removed(const PlacementGroupId& group) const { return removed_.contains(group); }

  // Takes `want` where `strategy` says, if `needed_free` (which covers `want`) is free there.
  std::optional<Holding> take(const ResourceMap& want, const ResourceMap& needed_free,
                              const Strategy& strategy);
  // Of a group that has been released since, nothing comes back: it went with the group.
  void give_back(const Holding& holding);
  void lend_cpu(Holding& holding);
  void take_cpu_again(Holding& holding);

  // Phase one: all of them or nothing. Phase two makes them usable. Both may be repeated.
  bool prepare(const PlacementGroupId& group, const std::vector<uint32_t>& indexes,
               const std::vector<ResourceMap>& bundles);
  void commit(const PlacementGroupId& group);
  void release(const PlacementGroupId& group);

  // What `strategy` draws from, for people.
  std::string describe(const Strategy& strategy) const;
  // The part of the node's resources that groups hold.
  ResourceMap set_aside() const;

 private:
  struct Bundle {
    Allocation allocation;  // of the node's pool
    ResourcePool pool;
  };
  struct Group {
    bool committed = false;
    std::map<uint32_t, Bundle> bundles;
  };
  ResourcePool* pool_of(const Holding& holding);

  ResourcePool node_;
  std::map<PlacementGroupId, Group> groups_;
  // For an answer to who still asks. Grows by 18 bytes a removed group.
  std::map<PlacementGroupId, bool> removed_;
};

}  // namespace eagleray
