// Custodian: takes the place of owners that have died, for the objects of theirs that somebody
// still holds. Pure; part of NodeMachine. The protocol is argued in docs/design/custodian.md.
//
// An estate: gathering (claims of the dead process's peers are awaited; nothing is freed) ->
// settled (an object goes when its last credit goes) -> gone when it is empty.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "message/local.h"

namespace eagleray {

class Custodian {
 public:
  struct Out {
    std::vector<std::pair<ProcId, NodeToClient>> messages;
    std::vector<StoreLocation> taken;  // extents that are in custody from now on
    std::vector<StoreLocation> freed;  // extents that are in custody no more
    std::vector<std::pair<ProcId, StoreLocation>> unclaimed;  // at a living writer, for nobody
    std::vector<ProcId> settled;                              // owners whose claims are all in
  };

  // `self`: the name under which the custodian borrows from living owners.
  void set_self(ProcId self) { self_ = self; }
  ProcId self() const { return self_; }

  // `owner` has died and has left `bequests`; each of `peers` will claim or die. Gives, per living
  // owner, the objects that the bequests refer to and that the custodian now borrows.
  std::map<ProcId, std::vector<ObjectId>> open(ProcId owner, const std::vector<Bequest>& bequests,
                                               const std::set<ProcId>& peers, Out& out);
  // Once from each of `peers`. False, and ignored: a repetition, or from a process that had no link
  // to the owner and so holds nothing but the custodian's own loans.
  bool claim(ProcId from, const CustodyClaim& claim, Out& out);
  void add(ProcId from, const CustodyAdd& add, Out& out);
  void release(ProcId from, const CustodyRelease& release, Out& out);
  void want(ProcId from, const CustodyWant& want, Out& out);
  // A borrower has died: after open() for the same process.
  void client_gone(ProcId proc, Out& out);

  size_t estates() const { return estates_.size(); }
  void check_invariants() const;

 private:
  struct Holding {
    Value value;                         // kNone: known only by its credits
    std::map<ProcId, uint32_t> credits;  // by borrower
    uint32_t inner = 0;                  // held by other objects in custody
    bool held() const { return inner > 0 || !credits.empty(); }
  };
  struct Estate {
    std::map<ObjectId, Holding> holdings;
    std::set<ProcId> awaited;
    std::vector<std::pair<ProcId, StoreLocation>> written;  // what living writers have of it
    std::vector<std::pair<ProcId, CustodyAdd>> waiting;     // for their borrowers' claims
  };

  Holding* find(ProcId owner, const ObjectId& object);
  void answer_waiting(Estate& estate, ProcId borrower, Out& out);
  void settle_if_complete(ProcId owner, Out& out);
  void drop_unheld(ProcId owner, Out& out);

  ProcId self_;
  std::map<ProcId, Estate> estates_;
};

}  // namespace eagleray
