#include "sched/bundles.h"

#include <utility>

#include "base/check.h"

namespace eagleray {

bool Bundles::meant(const Key& key, const Strategy& strategy) {
  return key.first == strategy.group &&
         (strategy.bundle_index < 0 || key.second == static_cast<uint32_t>(strategy.bundle_index));
}

void Bundles::reserve(const PlacementGroupId& group, const std::vector<uint32_t>& indexes,
                      const std::vector<ResourceMap>& amounts) {
  for (size_t i = 0; i < amounts.size(); ++i) {
    rows_[{group, indexes[i]}] = Row{amounts[i], amounts[i]};
  }
}

void Bundles::commit(const PlacementGroupId& group) {
  for (auto& [key, row] : rows_) row.committed |= key.first == group;
}

ResourceMap Bundles::release(const PlacementGroupId& group) {
  ResourceMap sum;
  for (const auto& [key, row] : rows_) {
    if (key.first == group) add(sum, row.total);
  }
  std::erase_if(rows_, [&](const auto& each) { return each.first.first == group; });
  return sum;
}

bool Bundles::holds(const PlacementGroupId& group) const {
  const auto first = rows_.lower_bound({group, 0});
  return first != rows_.end() && first->first.first == group;
}

std::vector<PlacementGroupId> Bundles::groups() const {
  std::vector<PlacementGroupId> groups;
  for (const auto& [key, row] : rows_) {
    if (groups.empty() || groups.back() != key.first) groups.push_back(key.first);
  }
  return groups;
}

ResourceMap Bundles::total() const {
  ResourceMap sum;
  for (const auto& [key, row] : rows_) add(sum, row.total);
  return sum;
}

Fit Bundles::fit(const ResourceMap& want, const Strategy& strategy) const {
  if (!holds(strategy.group)) return Fit::kLater;
  Fit best = Fit::kNever;
  for (const auto& [key, row] : rows_) {
    if (!meant(key, strategy) || !covers(row.total, want)) continue;
    if (row.committed && covers(row.free, want)) return Fit::kNow;
    best = Fit::kLater;
  }
  return best;
}

uint32_t Bundles::take(const ResourceMap& want, const Strategy& strategy) {
  for (auto& [key, row] : rows_) {
    if (!meant(key, strategy) || !row.committed || !covers(row.free, want)) continue;
    subtract(row.free, want);
    ++row.users;
    changed_.insert(key);
    return key.second;
  }
  EAGLERAY_CHECK(false, "nothing fits into the placement group");
}

void Bundles::give(const ResourceMap& back, const PlacementGroupId& group, uint32_t index) {
  const auto it = rows_.find({group, index});
  if (it == rows_.end()) return;
  add(it->second.free, back);
  --it->second.users;
  changed_.insert(it->first);
}

ResourceMap* Bundles::free_of(const PlacementGroupId& group, uint32_t index) {
  const auto it = rows_.find({group, index});
  if (it == rows_.end()) return nullptr;
  changed_.insert(it->first);
  return &it->second.free;
}

std::vector<BundleLoad> Bundles::loads() const {
  std::vector<BundleLoad> loads;
  for (const auto& [key, row] : rows_) {
    loads.push_back(BundleLoad{key.first, key.second, row.free, row.users});
  }
  return loads;
}

std::vector<BundleLoad> Bundles::changes() {
  std::vector<BundleLoad> loads;
  for (const Key& key : std::exchange(changed_, {})) {
    const auto it = rows_.find(key);
    if (it == rows_.end()) continue;
    loads.push_back(BundleLoad{key.first, key.second, it->second.free, it->second.users});
  }
  return loads;
}

}  // namespace eagleray
