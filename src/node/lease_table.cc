#include "node/lease_table.h"

#include <algorithm>

#include "base/check.h"

namespace eagleray {

LeaseRequest& LeaseTable::ask(ProcId client, RequestLeases&& message, Instant now) {
  LeaseRequest& request = requests_[ClientKey{client, message.key}];
  const bool waited = request.pending() > 0;
  request.want = std::move(message);
  if (!waited) {
    request.waits_since = now;
    request.told = false;
  }
  return request;
}

LeaseRequest* LeaseTable::find_request(const ClientKey& key) {
  const auto it = requests_.find(key);
  return it == requests_.end() ? nullptr : &it->second;
}

Lease* LeaseTable::find(LeaseId id) {
  const auto it = leases_.find(id);
  return it == leases_.end() ? nullptr : &it->second;
}

const Lease* LeaseTable::find(LeaseId id) const {
  const auto it = leases_.find(id);
  return it == leases_.end() ? nullptr : &it->second;
}

void LeaseTable::take_turns(
    const std::function<TurnResult(const ClientKey&, LeaseRequest&)>& attempt) {
  // Clients in order, each with its waiting keys, rotated to start behind the last turn.
  std::vector<std::pair<ProcId, std::vector<KeyId>>> clients;
  for (auto& [key, request] : requests_) {
    request.promised = 0;
    request.lacks_resources = false;
    if (request.pending() == 0 || request.hopeless) continue;
    if (clients.empty() || clients.back().first != key.client) clients.push_back({key.client, {}});
    clients.back().second.push_back(key.key);
  }
  std::rotate(clients.begin(),
              std::find_if(clients.begin(), clients.end(),
                           [&](const auto& entry) { return entry.first > last_turn_.client; }),
              clients.end());
  for (auto& [client, keys] : clients) {
    const KeyId last = last_key_[client];
    std::rotate(keys.begin(),
                std::find_if(keys.begin(), keys.end(), [&](KeyId key) { return key > last; }),
                keys.end());
  }
  bool progress = true;
  while (progress) {
    progress = false;
    for (auto& [client, keys] : clients) {
      for (auto it = keys.begin(); it != keys.end();) {
        const ClientKey key{client, *it};
        LeaseRequest& request = requests_.at(key);
        const TurnResult result =
            request.pending() == 0 ? TurnResult::kCannot : attempt(key, request);
        if (result == TurnResult::kCannot) {
          it = keys.erase(it);  // what is free only shrinks during a pass
          continue;
        }
        if (result == TurnResult::kGranted) last_turn_ = key;
        last_key_[client] = key.key;
        std::rotate(it, it + 1, keys.end());
        progress = true;
        break;
      }
    }
  }
}

Lease& LeaseTable::add(const ClientKey& holder, ProcId worker, Holding&& holding, Instant now) {
  const LeaseId id{next_lease_++};
  LeaseRequest& request = requests_.at(holder);
  ++request.held;
  request.waits_since = now;
  request.told = false;
  return leases_.emplace(id, Lease{id, holder, worker, std::move(holding), false}).first->second;
}

Holding LeaseTable::end(LeaseId id, Instant now) {
  const auto it = leases_.find(id);
  EAGLERAY_CHECK(it != leases_.end(), "end of an unknown lease");
  Lease lease = std::move(it->second);
  leases_.erase(it);
  if (lease.revoked) --revocations_;
  if (LeaseRequest* request = find_request(lease.holder)) {
    const bool waited = request->pending() > 0;
    --request->held;
    if (lease.revoked) --request->revoked;
    if (request->want.wanted > 0) --request->want.wanted;
    if (!waited) request->waits_since = now;
    if (request->held == 0 && request->want.wanted == 0) requests_.erase(lease.holder);
  }
  return std::move(lease.holding);
}

void LeaseTable::forget_client(ProcId client) {
  for (auto it = requests_.lower_bound(ClientKey{client, KeyId{}});
       it != requests_.end() && it->first.client == client;) {
    it = requests_.erase(it);
  }
  last_key_.erase(client);
}

std::vector<LeaseId> LeaseTable::held_by(ProcId client) const {
  std::vector<LeaseId> ids;
  for (const auto& [id, lease] : leases_) {
    if (lease.holder.client == client) ids.push_back(id);
  }
  return ids;
}

std::vector<LeaseId> LeaseTable::inside_group(const PlacementGroupId& group) const {
  std::vector<LeaseId> ids;
  for (const auto& [id, lease] : leases_) {
    if (lease.holding.in_bundle && lease.holding.group == group) ids.push_back(id);
  }
  return ids;
}

Lease* LeaseTable::select_for_revocation(const ClientKey& waiter, uint32_t held,
                                         const ResourceMap& want, const Strategy& strategy) {
  const bool in_group = strategy.kind == StrategyKind::kGroup;
  auto helps = [&](const Lease& lease) {
    if (lease.revoked || lease.holding.cpu_lent || lease.holder == waiter) return false;
    if (lease.holding.in_bundle != in_group) return false;
    if (in_group && lease.holding.group != strategy.group) return false;
    return std::any_of(want.begin(), want.end(), [&](const auto& entry) {
      return entry.second > 0 && lease.holding.allocation.amount.contains(entry.first);
    });
  };
  Lease* best = nullptr;
  uint32_t most = 0;
  for (auto& [id, lease] : leases_) {
    if (!helps(lease)) continue;
    const LeaseRequest& holder = requests_.at(lease.holder);
    const uint32_t count = holder.held - holder.revoked;
    if (count >= most) {  // later leases win: the oldest stay where they are warm
      most = count;
      best = &lease;
    }
  }
  if (!best || (held > 0 && most < held + 2)) return nullptr;
  best->revoked = true;
  ++requests_.at(best->holder).revoked;
  ++revocations_;
  return best;
}

}  // namespace eagleray
