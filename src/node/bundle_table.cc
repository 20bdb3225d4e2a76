#include "node/bundle_table.h"

namespace eagleray {
namespace {

int64_t cpu_of(const Allocation& allocation) {
  const auto it = allocation.amount.find("CPU");
  return it == allocation.amount.end() ? 0 : it->second;
}

}  // namespace

std::optional<Holding> BundleTable::take(const ResourceMap& want, const ResourceMap& needed_free,
                                         const Strategy& strategy) {
  Holding holding;
  if (strategy.kind != StrategyKind::kGroup) {
    if (!covers(node_.free(), needed_free)) return std::nullopt;
    auto allocation = node_.take(want);
    if (!allocation) return std::nullopt;
    holding.allocation = std::move(*allocation);
    return holding;
  }
  const auto group = groups_.find(strategy.group);
  if (group == groups_.end() || !group->second.committed) return std::nullopt;
  for (auto& [index, bundle] : group->second.bundles) {
    if (strategy.bundle_index >= 0 && index != static_cast<uint32_t>(strategy.bundle_index)) continue;
    if (!covers(bundle.pool.free(), needed_free)) continue;
    auto allocation = bundle.pool.take(want);
    if (!allocation) continue;
    holding.allocation = std::move(*allocation);
    holding.in_bundle = true;
    holding.group = strategy.group;
    holding.bundle = index;
    return holding;
  }
  return std::nullopt;
}

ResourcePool* BundleTable::pool_of(const Holding& holding) {
  if (!holding.in_bundle) return &node_;
  const auto group = groups_.find(holding.group);
  if (group == groups_.end()) return nullptr;
  const auto bundle = group->second.bundles.find(holding.bundle);
  return bundle == group->second.bundles.end() ? nullptr : &bundle->second.pool;
}

void BundleTable::give_back(const Holding& holding) {
  ResourcePool* pool = pool_of(holding);
  if (!pool) return;
  if (holding.cpu_lent) pool->take_cpu_again(cpu_of(holding.allocation));
  pool->give_back(holding.allocation);
}

void BundleTable::lend_cpu(Holding& holding) {
  if (holding.cpu_lent) return;
  holding.cpu_lent = true;
  if (ResourcePool* pool = pool_of(holding)) pool->lend_cpu(cpu_of(holding.allocation));
}

void BundleTable::take_cpu_again(Holding& holding) {
  if (!holding.cpu_lent) return;
  holding.cpu_lent = false;
  if (ResourcePool* pool = pool_of(holding)) pool->take_cpu_again(cpu_of(holding.allocation));
}

bool BundleTable::prepare(const PlacementGroupId& group, const std::vector<uint32_t>& indexes,
                          const std::vector<ResourceMap>& bundles) {
  if (indexes.size() != bundles.size()) return false;
  if (groups_.contains(group)) return true;
  Group prepared;
  for (size_t i = 0; i < bundles.size(); ++i) {
    auto allocation = node_.take(bundles[i]);
    if (!allocation) {
      for (const auto& [index, bundle] : prepared.bundles) node_.give_back(bundle.allocation);
      return false;
    }
    const auto [it, added] =
        prepared.bundles.try_emplace(indexes[i], Bundle{*allocation, ResourcePool(*allocation)});
    if (!added) node_.give_back(*allocation);  // the same index twice: the first counts
  }
  groups_.emplace(group, std::move(prepared));
  return true;
}

void BundleTable::commit(const PlacementGroupId& group) {
  const auto it = groups_.find(group);
  if (it != groups_.end()) it->second.committed = true;
}

void BundleTable::release(const PlacementGroupId& group) {
  const auto it = groups_.find(group);
  if (it == groups_.end()) return;
  for (const auto& [index, bundle] : it->second.bundles) node_.give_back(bundle.allocation);
  groups_.erase(it);
  removed_.emplace(group, true);
}

std::string BundleTable::describe(const Strategy& strategy) const {
  if (strategy.kind != StrategyKind::kGroup) {
    return "this node has " + to_string(node_.total()) + " in all and " + to_string(node_.free()) +
           " free";
  }
  const auto group = groups_.find(strategy.group);
  if (group == groups_.end()) {
    return was_removed(strategy.group) ? "its placement group was removed"
                                       : "its placement group is not ready";
  }
  std::string text = "its placement group has";
  for (const auto& [index, bundle] : group->second.bundles) {
    if (strategy.bundle_index >= 0 && index != static_cast<uint32_t>(strategy.bundle_index)) continue;
    text += " bundle " + std::to_string(index) + " with " + to_string(bundle.pool.free()) +
            " free of " + to_string(bundle.pool.total()) + ";";
  }
  text.back() == ';' ? text.pop_back() : (void)(text += " no bundle of that number");
  return text;
}

ResourceMap BundleTable::set_aside() const {
  ResourceMap sum;
  for (const auto& [id, group] : groups_) {
    for (const auto& [index, bundle] : group.bundles) add(sum, bundle.allocation.amount);
  }
  return sum;
}

}  // namespace eagleray
