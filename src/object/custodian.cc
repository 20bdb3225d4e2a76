#include "object/custodian.h"

#include <algorithm>

#include "base/check.h"
#include "base/planted.h"

namespace eagleray {

Custodian::Holding* Custodian::find(ProcId owner, const ObjectId& object) {
  const auto estate = estates_.find(owner);
  if (estate == estates_.end()) return nullptr;
  const auto holding = estate->second.holdings.find(object);
  return holding == estate->second.holdings.end() ? nullptr : &holding->second;
}

std::map<ProcId, std::vector<ObjectId>> Custodian::open(ProcId owner,
                                                        const std::vector<Bequest>& bequests,
                                                        const std::set<ProcId>& peers, Out& out) {
  // What this owner had lent to the custodian itself.
  std::vector<ObjectId> ours;
  for (const auto& [other, theirs] : estates_) {
    for (const auto& [id, holding] : theirs.holdings) {
      for (const NestedRef& ref : holding.value.nested) {
        if (ref.owner == owner) ours.push_back(ref.object);
      }
    }
  }
  Estate& estate = estates_[owner];
  estate.awaited = peers;
  for (const ObjectId& object : ours) {
    if (!planted(Planted::kInnerNotHeld)) ++estate.holdings[object].inner;
  }
  for (const Bequest& bequest : bequests) {
    estate.holdings[bequest.object].value = bequest.value;
    if (bequest.value.kind == ValueKind::kStored) out.taken.push_back(bequest.value.location);
  }
  std::map<ProcId, std::vector<ObjectId>> kept;
  for (const Bequest& bequest : bequests) {
    for (const NestedRef& ref : bequest.value.nested) {
      if (estates_.contains(ref.owner)) {
        if (Holding* inner = find(ref.owner, ref.object)) ++inner->inner;
      } else {
        kept[ref.owner].push_back(ref.object);
      }
    }
  }
  settle_if_complete(owner, out);
  return kept;
}

bool Custodian::claim(ProcId from, const CustodyClaim& claim, Out& out) {
  const auto it = estates_.find(claim.owner);
  if (it == estates_.end() || it->second.awaited.erase(from) == 0) return false;
  Estate& estate = it->second;
  for (const HeldOf& held : claim.held) {
    Holding& holding = estate.holdings[held.object];
    if (held.credits > 0) holding.credits[from] += held.credits;
    // A borrower may know where it lies although the owner never told us.
    if (holding.value.kind == ValueKind::kNone && held.location.segment) {
      holding.value.kind = ValueKind::kStored;
      holding.value.location = held.location;
      out.taken.push_back(held.location);
    }
  }
  for (const StoreLocation& location : claim.written) estate.written.emplace_back(from, location);
  answer_waiting(estate, from, out);
  settle_if_complete(claim.owner, out);
  return true;
}

void Custodian::settle_if_complete(ProcId owner, Out& out) {
  Estate& estate = estates_.at(owner);
  if (!estate.awaited.empty()) return;
  std::set<std::pair<SegmentId, uint64_t>> in_custody;
  for (const auto& [id, holding] : estate.holdings) {
    if (holding.value.kind != ValueKind::kStored) continue;
    in_custody.insert({holding.value.location.segment, holding.value.location.offset});
  }
  for (const auto& [writer, location] : std::exchange(estate.written, {})) {
    if (!in_custody.contains({location.segment, location.offset})) {
      out.unclaimed.emplace_back(writer, location);
    }
  }
  out.settled.push_back(owner);
  drop_unheld(owner, out);
}

// Frees what nobody holds, and what only that had held.
void Custodian::drop_unheld(ProcId first, Out& out) {
  std::map<ProcId, std::vector<ObjectId>> ended;  // of living owners
  std::set<ProcId> work{first};
  while (!work.empty()) {
    const ProcId owner = *work.begin();
    work.erase(work.begin());
    const auto it = estates_.find(owner);
    if (it == estates_.end() || !it->second.awaited.empty()) continue;
    auto& holdings = it->second.holdings;
    for (auto each = holdings.begin(); each != holdings.end();) {
      if (each->second.held()) {
        ++each;
        continue;
      }
      const Value value = std::move(each->second.value);
      each = holdings.erase(each);
      if (value.kind == ValueKind::kStored && !planted(Planted::kFreedNotSaid)) {
        out.freed.push_back(value.location);
      }
      for (const NestedRef& ref : value.nested) {
        if (Holding* inner = find(ref.owner, ref.object)) {
          if (inner->inner > 0) --inner->inner;
          work.insert(ref.owner);
        } else {
          if (!planted(Planted::kKeptNotEnded)) ended[ref.owner].push_back(ref.object);
        }
      }
    }
    if (holdings.empty()) estates_.erase(it);
  }
  for (auto& [owner, objects] : ended) {
    out.messages.emplace_back(owner, CustodyEnded{self_, std::move(objects)});
  }
}

// A claim that is still to come must not count what is added here, so the addition comes after it:
// its borrower hears of the reference only when it is answered.
void Custodian::add(ProcId from, const CustodyAdd& add, Out& out) {
  const auto estate = estates_.find(add.owner);
  if (estate != estates_.end() && estate->second.awaited.contains(add.borrower) &&
      !planted(Planted::kAddsBeforeClaim)) {
    estate->second.waiting.emplace_back(from, add);
    return;
  }
  if (Holding* holding = find(add.owner, add.object)) ++holding->credits[add.borrower];
  if (add.borrower != from) {
    out.messages.emplace_back(add.borrower, CustodyLent{add.owner, from, add.object});
  }
  out.messages.emplace_back(from, CustodyAdded{add.request});
}

void Custodian::answer_waiting(Estate& estate, ProcId borrower, Out& out) {
  std::vector<std::pair<ProcId, CustodyAdd>> ready;
  std::erase_if(estate.waiting, [&](const auto& each) {
    if (each.second.borrower != borrower) return false;
    ready.push_back(each);
    return true;
  });
  for (const auto& [from, each] : ready) add(from, each, out);
}

void Custodian::release(ProcId from, const CustodyRelease& release, Out& out) {
  for (const Release& each : release.releases) {
    Holding* holding = find(release.owner, each.object);
    if (!holding) continue;
    const auto credit = holding->credits.find(from);
    if (credit == holding->credits.end()) continue;
    credit->second -= std::min(credit->second, each.credits);
    if (credit->second == 0) holding->credits.erase(credit);
  }
  drop_unheld(release.owner, out);
}

void Custodian::want(ProcId from, const CustodyWant& want, Out& out) {
  for (const ObjectId& object : want.objects) {
    const Holding* holding = find(want.owner, object);
    out.messages.emplace_back(
        from, CustodyIs{want.owner, Bequest{object, holding ? holding->value : Value{}}});
  }
}

void Custodian::client_gone(ProcId proc, Out& out) {
  std::vector<ProcId> owners;
  for (auto& [owner, estate] : estates_) {
    owners.push_back(owner);
    for (auto& [id, holding] : estate.holdings) holding.credits.erase(proc);
    // Its segments are orphans now; their counts follow from what is in custody.
    std::erase_if(estate.written, [&](const auto& each) { return each.first == proc; });
  }
  for (ProcId owner : owners) {
    const auto it = estates_.find(owner);
    if (it == estates_.end()) continue;
    if (it->second.awaited.erase(proc) > 0) {
      answer_waiting(it->second, proc, out);
      for (auto& [id, holding] : it->second.holdings) holding.credits.erase(proc);
      settle_if_complete(owner, out);
    } else {
      drop_unheld(owner, out);
    }
  }
}

void Custodian::check_invariants() const {
  for (const auto& [owner, estate] : estates_) {
    if (!estate.awaited.empty()) continue;
    EAGLERAY_CHECK(!estate.holdings.empty(), "an empty estate is kept");
    for (const auto& [id, holding] : estate.holdings) {
      EAGLERAY_CHECK(holding.held(), "custody of an object that nobody holds");
    }
  }
}

}  // namespace eagleray
