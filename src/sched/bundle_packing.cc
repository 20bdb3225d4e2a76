#include "sched/bundle_packing.h"

#include <algorithm>
#include <optional>
#include <string>

namespace eagleray {
namespace {

struct Room {
  NodeId node;
  ResourceMap total;  // for judging how large a bundle is
  ResourceMap free;
  uint32_t bundles = 0;  // placed here so far
};

using Places = std::vector<size_t>;  // index into rooms, per bundle

int64_t units(const ResourceMap& amount) {
  int64_t sum = 0;
  for (const auto& [name, value] : amount) {
    // Memory is counted in bytes and would drown everything else.
    sum += name == "memory" || name == "object_store_memory" ? value >> 30 : value;
  }
  return sum;
}

// Large bundles first: they have fewer places to go. Ties keep the order of the request.
std::vector<size_t> by_size(const std::vector<ResourceMap>& bundles) {
  std::vector<size_t> order(bundles.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return units(bundles[a]) > units(bundles[b]);
  });
  return order;
}

std::optional<Places> strict_pack(const std::vector<Room>& rooms,
                                  const std::vector<ResourceMap>& bundles) {
  ResourceMap sum;
  for (const ResourceMap& bundle : bundles) add(sum, bundle);
  std::optional<size_t> best;
  for (size_t i = 0; i < rooms.size(); ++i) {
    if (!covers(rooms[i].free, sum)) continue;
    if (!best || units(rooms[i].free) < units(rooms[*best].free)) best = i;  // the tightest fit
  }
  if (!best) return std::nullopt;
  return Places(bundles.size(), *best);
}

// Greedy, largest bundle first. PACK prefers a node that has bundles already and then the one with
// least room left; SPREAD the one with the fewest bundles and then the most room.
std::optional<Places> prefer(std::vector<Room> rooms, const std::vector<ResourceMap>& bundles,
                             bool together) {
  Places places(bundles.size());
  for (size_t bundle : by_size(bundles)) {
    std::optional<size_t> best;
    for (size_t i = 0; i < rooms.size(); ++i) {
      if (!covers(rooms[i].free, bundles[bundle])) continue;
      if (!best) {
        best = i;
        continue;
      }
      const Room& a = rooms[i];
      const Room& b = rooms[*best];
      const bool better =
          together ? (a.bundles > 0) != (b.bundles > 0) ? a.bundles > 0
                                                        : a.bundles > 0 && units(a.free) < units(b.free)
          : a.bundles != b.bundles ? a.bundles < b.bundles
                                   : units(a.free) > units(b.free);
      if (better) best = i;
    }
    if (!best) return std::nullopt;
    subtract(rooms[*best].free, bundles[bundle]);
    ++rooms[*best].bundles;
    places[bundle] = *best;
  }
  return places;
}

// PACK starts at the node that has most room, so that as many bundles as possible meet there.
std::optional<Places> pack(std::vector<Room> rooms, const std::vector<ResourceMap>& bundles) {
  if (auto one = strict_pack(rooms, bundles)) return one;
  std::vector<size_t> order(rooms.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return units(rooms[a].free) > units(rooms[b].free);
  });
  std::vector<Room> sorted;
  for (size_t i : order) sorted.push_back(rooms[i]);
  auto places = prefer(std::move(sorted), bundles, /*together=*/true);
  if (!places) return std::nullopt;
  for (size_t& place : *places) place = order[place];
  return places;
}

// A bundle finds a node by moving those that took it elsewhere (augmenting paths), so a placement is
// found whenever one exists.
bool seat(size_t bundle, const std::vector<Room>& rooms, const std::vector<ResourceMap>& bundles,
          std::vector<std::optional<size_t>>& guest, std::vector<bool>& tried) {
  for (size_t i = 0; i < rooms.size(); ++i) {
    if (tried[i] || !covers(rooms[i].free, bundles[bundle])) continue;
    tried[i] = true;
    if (!guest[i] || seat(*guest[i], rooms, bundles, guest, tried)) {
      guest[i] = bundle;
      return true;
    }
  }
  return false;
}

std::optional<Places> strict_spread(const std::vector<Room>& rooms,
                                    const std::vector<ResourceMap>& bundles) {
  std::vector<std::optional<size_t>> guest(rooms.size());
  for (size_t bundle = 0; bundle < bundles.size(); ++bundle) {
    std::vector<bool> tried(rooms.size(), false);
    if (!seat(bundle, rooms, bundles, guest, tried)) return std::nullopt;
  }
  Places places(bundles.size());
  for (size_t i = 0; i < rooms.size(); ++i) {
    if (guest[i]) places[*guest[i]] = i;
  }
  return places;
}

std::optional<Places> place(const std::vector<Room>& rooms, const GroupSpec& spec) {
  switch (spec.strategy) {
    case GroupStrategy::kStrictPack: return strict_pack(rooms, spec.bundles);
    case GroupStrategy::kStrictSpread: return strict_spread(rooms, spec.bundles);
    case GroupStrategy::kSpread: return prefer(rooms, spec.bundles, /*together=*/false);
    case GroupStrategy::kPack: break;
  }
  return pack(rooms, spec.bundles);
}

std::string describe(const GroupSpec& spec, size_t nodes) {
  ResourceMap sum;
  for (const ResourceMap& bundle : spec.bundles) add(sum, bundle);
  return std::to_string(spec.bundles.size()) + " bundles (" + to_string(sum) + " in all) on " +
         std::to_string(nodes) + (nodes == 1 ? " node" : " nodes");
}

}  // namespace

Result<std::vector<NodeId>> pack_bundles(const std::vector<ClusterNode>& view,
                                         const GroupSpec& spec) {
  std::vector<Room> rooms;
  for (const ClusterNode& node : view) {
    if (!node.info.alive) continue;
    rooms.push_back(Room{node.info.node, node.info.total, node.available, 0});
  }
  if (const auto places = place(rooms, spec)) {
    std::vector<NodeId> nodes;
    for (size_t i : *places) nodes.push_back(rooms[i].node);
    return nodes;
  }
  for (Room& room : rooms) room.free = room.total;
  if (place(rooms, spec)) {
    return Error{ErrorCode::kLimit, "not enough is free now for " + describe(spec, rooms.size())};
  }
  return Error{ErrorCode::kInvalid,
               "cannot be placed even when nothing else runs: " + describe(spec, rooms.size())};
}

}  // namespace eagleray
