// LeaseTable: who has asked for workers, who holds which, and whose turn it is. Owned by NodeMachine,
// which finds resources and workers for the request whose turn it is.
//
// Turns: clients that wait take turns, each with one lease per turn; within a client its keys take
// turns. A request that cannot be granted now does not hold up the others. Fair share: while somebody
// waits, the key with most leases is asked for one back (select_for_revocation).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/time.h"
#include "message/local.h"
#include "node/bundle_table.h"

namespace eagleray {

struct ClientKey {
  ProcId client;
  KeyId key;
  auto operator<=>(const ClientKey&) const = default;
};

struct LeaseRequest {
  RequestLeases want;         // `wanted` counts down when a lease of it ends, as the client does too
  bool hopeless = false;      // this node could not, even idle
  std::string hopeless_reason;
  uint32_t held = 0;
  uint32_t revoked = 0;       // of `held`, asked back
  uint32_t promised = 0;      // in this pass: resources are there, a worker is not
  Instant waits_since;        // of the oldest unanswered wish
  bool told = false;          // LeaseWaits sent since then
  bool lacks_resources = false;  // found in the last pass

  uint32_t pending() const {
    const uint32_t got = held + promised;
    return want.wanted > got ? want.wanted - got : 0;
  }
};

struct Lease {
  LeaseId id;
  ClientKey holder;
  ProcId worker;
  Holding holding;
  bool revoked = false;
};

enum class TurnResult : uint8_t { kGranted, kPromised, kCannot };

class LeaseTable {
 public:
  // A new or changed wish. Returns the request it is kept as.
  LeaseRequest& ask(ProcId client, RequestLeases&& message, Instant now);
  LeaseRequest* find_request(const ClientKey& key);
  Lease* find(LeaseId id);
  const Lease* find(LeaseId id) const;

  // Offers turns until everybody who waits was told kCannot in one round. `attempt` grants with
  // add() itself and says what came of it.
  void take_turns(const std::function<TurnResult(const ClientKey&, LeaseRequest&)>& attempt);

  Lease& add(const ClientKey& holder, ProcId worker, Holding&& holding, Instant now);
  // The lease is over; its holding comes back for the caller to return.
  Holding end(LeaseId id, Instant now);
  // Forgets a client's wishes; its leases must have been ended.
  void forget_client(ProcId client);

  std::vector<LeaseId> held_by(ProcId client) const;
  std::vector<LeaseId> inside_group(const PlacementGroupId& group) const;
  const std::map<LeaseId, Lease>& all() const { return leases_; }
  std::map<ClientKey, LeaseRequest>& requests() { return requests_; }
  const std::map<ClientKey, LeaseRequest>& requests() const { return requests_; }

  // For somebody who holds `held` leases and waits for `want`: the lease to ask back, or none. It is
  // the latest of the key with most leases, if that has at least two more, or the waiter has none.
  Lease* select_for_revocation(const ClientKey& waiter, uint32_t held, const ResourceMap& want,
                               const Strategy& strategy);
  uint32_t revocations() const { return revocations_; }

 private:
  std::map<ClientKey, LeaseRequest> requests_;
  std::map<LeaseId, Lease> leases_;
  ClientKey last_turn_;
  std::map<ProcId, KeyId> last_key_;  // per client, for the turns of its keys
  uint64_t next_lease_ = 1;
  uint32_t revocations_ = 0;          // outstanding
};

}  // namespace eagleray
