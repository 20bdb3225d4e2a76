// ClientMachine, owner and borrower: who holds what, and when an object ends.
// The protocol is argued in docs/design/client.md.
#include <utility>

#include "base/planted.h"
#include "client/client_machine.h"

namespace eagleray {

Object* ClientMachine::new_object(const ObjectId& id, ProcId owner) {
  auto* object = new Object;
  object->id = id;
  object->owner = owner;
  object->owned = owner == proc_;
  index_.insert(object);
  return object;
}

Object* ClientMachine::put(Value&& value, const std::vector<Object*>& nested) {
  Object* object = new_object(make_object_id(make_task_id(proc_, ++last_counter_, job_), 1), proc_);
  object->refs = 1;
  object->kind = value.kind;
  object->bytes = std::move(value.bytes);
  if (value.kind == ValueKind::kStored) object->extra().location = value.location;
  if (!nested.empty()) object->extra().nested = nested;
  return object;
}

void ClientMachine::unpin(Object* object, Effects& out) {
  EAGLERAY_CHECK(object->refs > 0, "object released more often than held");
  if (--object->refs == 0) release_object(object, out);
}

// Ends `object` if nobody holds it. What it held is released in turn, without recursion: a chain of
// nested references may be long.
void ClientMachine::release_object(Object* first, Effects& out) {
  std::vector<Object*> work{first};
  while (!work.empty()) {
    Object* object = work.back();
    work.pop_back();
    if (object->refs > 0) continue;
    ObjectMore* more = object->more.get();
    if (object->owned) {
      if (more && !more->borrowers.empty() && !planted(Planted::kFreesWhatIsLent)) continue;
      if (object->task) {
        TaskRecord* task = object->task;
        if (task->output == object) task->output = nullptr;
        for (Object*& output : task->more_outputs) {
          if (output == object) output = nullptr;
        }
      }
      if (more && !more->actor.is_zero()) {
        out.to_node.push_back(AskControl{next_request(), ActorOutOfScope{more->actor}});
      }
      if (object->kind == ValueKind::kStored) free_extent(more->location, out);
      if (more && more->left) out.withdraw.push_back(object->id);
    } else {
      if (more && more->acks_awaited > 0) continue;  // on_added comes back to it
      if (object->credits > 0 && peer(object->owner).lost) {
        out.to_node.push_back(
            CustodyRelease{object->owner, {Release{object->id, object->credits}}});
      } else if (object->credits > 0) {
        auto* last = out.to_peer.empty() || out.to_peer.back().proc != object->owner
                         ? nullptr
                         : std::get_if<ReleaseBorrows>(&out.to_peer.back().message);
        if (last) {
          last->releases.push_back(Release{object->id, object->credits});
        } else {
          send(object->owner, ReleaseBorrows{{Release{object->id, object->credits}}}, out);
        }
      }
    }
    if (more) {
      for (Object* inner : more->nested) {
        if (--inner->refs == 0) work.push_back(inner);
      }
    }
    index_.erase(object);
    delete object;
  }
}

void ClientMachine::free_extent(const StoreLocation& location, Effects& out) {
  if (location.writer == proc_) {
    out.free_extents.push_back(location);
  } else if (peer(location.writer).lost) {
    out.to_node.push_back(FreeOrphanExtents{location.segment, 1});
  } else {
    send(location.writer, FreeExtents{{location}}, out);
  }
}

Value ClientMachine::value_of(const Object* object) const {
  Value value;
  value.kind = object->kind;
  value.bytes = object->bytes;
  if (object->kind == ValueKind::kStored) value.location = object->more->location;
  return value;
}

// An owner's word that a text of its own gives: another process holds `object` from now on. What
// others hold is left to the node, which speaks for this process if it dies.
void ClientMachine::lend(Object* object, ProcId to, Effects& out) {
  ++object->extra().borrowers[to.value];
  leave(object, out);
}

// With all that it refers to; what is pending follows when it is ready.
void ClientMachine::leave(Object* first, Effects& out) {
  std::vector<Object*> work{first};
  while (!work.empty()) {
    Object* object = work.back();
    work.pop_back();
    if (!object->owned || (object->more && object->more->left)) continue;
    object->extra().to_leave = true;
    if (object->pending()) continue;
    object->more->left = true;
    Bequest& bequest = out.leave.emplace_back();
    bequest.object = object->id;
    bequest.value = value_of(object);
    for (Object* inner : object->more->nested) {
      bequest.value.nested.push_back(NestedRef{inner->id, inner->owner});
      work.push_back(inner);
    }
  }
}

// For messages whose receiver registers itself where we are not the owner (PushTask, ObjectIs).
std::vector<NestedRef> ClientMachine::hand_over(const std::vector<Object*>& objects, ProcId to,
                                                Effects& out) {
  std::vector<NestedRef> refs;
  refs.reserve(objects.size());
  for (Object* object : objects) {
    if (object->owned) lend(object, to, out);
    refs.push_back(NestedRef{object->id, object->owner});
  }
  return refs;
}

// Asks the owner, or the node in a dead owner's place.
void ClientMachine::ask_to_add(const NestedRef& ref, ProcId borrower, RequestId request,
                               Effects& out) {
  if (peer(ref.owner).lost) {
    out.to_node.push_back(CustodyAdd{request, ref.owner, ref.object, borrower});
  } else {
    send(ref.owner, AddBorrower{request, ref.object, borrower}, out);
  }
}

// A process that sends to itself, as an actor that calls itself does, lends to itself; what it gets
// back ends that loan.
// `registered`: the sender has made us a borrower at the owner, whoever that is, and if it is a
// third process its own word comes too (take_lent). Otherwise only the sender's own objects are
// registered and we ask the owner of the others ourselves; until it answers, `for_task`'s answer or
// `keep` holds the lender.
Object* ClientMachine::adopt(const NestedRef& ref, ProcId from, Adoption how, Effects& out) {
  Object* object = index_.find(ref.object);
  if (object && object->owner != ref.owner) {  // forged: nothing was lent
    ++object->refs;
    return object;
  }
  if (ref.owner == proc_) {
    if (!object) {  // freed meanwhile: only a forged or stray reference comes here
      object = new_object(ref.object, proc_);
      object->kind = ValueKind::kSystemError;
      object->bytes = to_payload(FailureKind::kObjectFreed, "its owner has let go of it");
    }
    ++object->refs;
    if (from == proc_) on_release(proc_, ReleaseBorrows{{Release{ref.object, 1}}}, out);
    return object;
  }
  if (how.registered && ref.owner != from && from != proc_) return take_lent(ref, from);
  if (!object) {
    object = new_object(ref.object, ref.owner);
  }
  ++object->refs;
  if (how.registered || ref.owner == from) {
    if (object->credits == 0 || !planted(Planted::kCreditNotCounted)) ++object->credits;
  } else if (object->credits == 0) {
    const RequestId request = next_request();
    ++object->extra().acks_awaited;
    if (how.for_task) ++how.for_task->acks_awaited;
    if (how.keep) ++how.keep->refs;
    acks_[request] = AwaitedAck{object, how.for_task, how.keep, ref.owner, ref.object, proc_};
    ask_to_add(ref, proc_, request, out);
  }
  return object;
}

Object* ClientMachine::adopt_stray(const ObjectId& id, ProcId owner, Effects& out) {
  return adopt(NestedRef{id, owner}, ProcId{}, Adoption{}, out);
}

void ClientMachine::adopt_stored(const RefArgument& argument, Effects& out) {
  Object* object = adopt(argument.ref, ProcId{}, Adoption{}, out);
  Value value = argument.value;
  value.nested.clear();
  settle(object, std::move(value), ProcId{}, out);
}

// `from`: the owner, or none for the node in its place.
void ClientMachine::on_added(ProcId from, RequestId request, Effects& out) {
  const auto it = acks_.find(request);
  if (it == acks_.end()) return;  // asked of a process that died meanwhile
  if (from && it->second.asked != from) return;
  const AwaitedAck ack = it->second;
  acks_.erase(it);
  if (ack.object) {
    --ack.object->more->acks_awaited;
    ++ack.object->credits;
    if (ack.object->refs == 0) release_object(ack.object, out);
  }
  if (ack.keep) unpin(ack.keep, out);
  if (ack.task && --ack.task->acks_awaited == 0 && ack.task->finished) answer(ack.task, out);
}

void ClientMachine::settle(Object* object, Value&& value, ProcId from, Effects& out) {
  if (!object->pending()) return;
  object->kind = value.kind;
  object->bytes = std::move(value.bytes);
  object->task = nullptr;
  if (value.kind == ValueKind::kStored) object->extra().location = value.location;
  if (!value.nested.empty()) {
    const bool registered = object->owned;  // a task's answer; a borrowed value comes by ObjectIs
    for (const NestedRef& ref : value.nested) {
      Object* inner =
          adopt(ref, from, Adoption{registered, nullptr, registered ? nullptr : object}, out);
      object->extra().nested.push_back(inner);
    }
  }
  became_ready(object, out);
}

void ClientMachine::became_ready(Object* object, Effects& out) {
  ++out.completed;
  if (!uncreated_.empty()) handle_is_ready(*object, out);
  ObjectMore* more = object->more.get();
  if (!more) return;
  if (object->owned && (more->to_leave || !more->borrowers.empty())) leave(object, out);
  if (more->notify) {
    more->notify = false;
    ++object->refs;
    out.notify.push_back(object);
  }
  for (ProcId wanting : std::exchange(more->wanting, {})) {
    tell_wanting(object, wanting, out);
    if (planted(Planted::kTellsOneWhoWants)) break;
  }
  for (TaskRecord* task : std::exchange(more->dependents, {})) {
    if (--task->missing == 0) arguments_ready(task, out);
  }
}

void ClientMachine::tell_wanting(Object* object, ProcId to, Effects& out) {
  if (peer(to).lost) return;
  ObjectIs message{object->id, value_of(object)};
  if (object->more) message.value.nested = hand_over(object->more->nested, to, out);
  send(to, std::move(message), out);
}

void ClientMachine::want(Object* object, Effects& out) {
  if (object->owned || !object->pending() || object->requested) return;
  object->requested = true;
  if (peer(object->owner).lost) {
    out.to_node.push_back(CustodyWant{object->owner, {object->id}});
    return;
  }
  auto* last = out.to_peer.empty() || out.to_peer.back().proc != object->owner
                   ? nullptr
                   : std::get_if<WantObjects>(&out.to_peer.back().message);
  if (last) {
    last->objects.push_back(object->id);
  } else {
    send(object->owner, WantObjects{{object->id}}, out);
  }
}

void ClientMachine::on_want(ProcId from, const WantObjects& message, Effects& out) {
  for (const ObjectId& id : message.objects) {
    Object* object = index_.find(id);
    if (!object || !object->owned) {
      send(from, ObjectIs{id, Value{}}, out);
    } else if (object->pending()) {
      object->extra().wanting.push_back(from);
    } else {
      tell_wanting(object, from, out);
    }
  }
}

void ClientMachine::on_object(ProcId from, ObjectIs&& message, Effects& out) {
  Object* object = index_.find(message.object);
  if (!object || object->owned || object->owner != from ||
      (!object->pending() && !planted(Planted::kSecondValueKeepsCredits))) {
    // Nobody here waits any more, or the value came with a task meanwhile. Its inner references
    // were lent with it: give them back.
    std::vector<Object*> inner;
    for (const NestedRef& ref : message.value.nested) {
      if (ref.owner == from) inner.push_back(adopt(ref, from, Adoption{}, out));
    }
    for (Object* each : inner) unpin(each, out);
    return;
  }
  if (message.value.kind == ValueKind::kNone) {
    message.value.kind = ValueKind::kSystemError;
    message.value.bytes =
        to_payload(FailureKind::kObjectLost, "its owner does not have it any more");
  }
  settle(object, std::move(message.value), from, out);
}

void ClientMachine::on_release(ProcId from, const ReleaseBorrows& message, Effects& out) {
  for (const Release& release : message.releases) {
    Object* object = index_.find(release.object);
    if (!object || !object->owned || !object->more) continue;
    const auto it = object->more->borrowers.find(from.value);
    if (it == object->more->borrowers.end()) continue;
    it->second -= std::min(it->second, release.credits);
    if (it->second == 0 || planted(Planted::kReleaseTakesAll)) object->more->borrowers.erase(it);
    if (object->refs == 0) release_object(object, out);
  }
}

void ClientMachine::on_add_borrower(ProcId from, const AddBorrower& message, Effects& out) {
  Object* object = index_.find(message.object);
  Peer& borrower = peer(message.borrower);
  if (object && object->owned && (!borrower.lost || planted(Planted::kLentToTheDead))) {
    lend(object, message.borrower, out);
  }
  if (message.borrower != from && !borrower.lost) {
    send(message.borrower, Lent{from, message.object}, out);
    if (!borrower.linked) {
      borrower.to_tell.emplace_back(from, message.request);
      return;
    }
  }
  send(from, BorrowerAdded{message.request}, out);
}

void ClientMachine::tell_lenders(Peer& borrower, Effects& out) {
  for (const auto& [lender, request] : std::exchange(borrower.to_tell, {})) {
    send(lender, BorrowerAdded{request}, out);
  }
}

// The owner's half of a loan: the credit. If the lender has sent its half, the reference, all is
// there; else the object is pinned until it does or dies.
void ClientMachine::on_lent(const NestedRef& ref, ProcId lender, Effects& out) {
  Object* object = index_.find(ref.object);
  if (object && object->owner != ref.owner) return;  // forged
  if (ref.owner == proc_) return;                    // what is ours needs no credit
  if (!object) object = new_object(ref.object, ref.owner);
  ++object->credits;
  const auto owed = lent_.find({lender, ref.object});
  if (owed != lent_.end() && owed->second < 0) {
    if (++owed->second == 0) lent_.erase(owed);
    --object->more->acks_awaited;
  } else if (!peer(lender).lost) {
    ++lent_[{lender, ref.object}];
    ++object->refs;
  }
  if (object->refs == 0) release_object(object, out);
}

// The lender's half of a loan.
Object* ClientMachine::take_lent(const NestedRef& ref, ProcId lender) {
  Object* object = index_.find(ref.object);
  if (!object) object = new_object(ref.object, ref.owner);
  const auto [balance, fresh] = lent_.try_emplace({lender, ref.object}, 0);
  if (balance->second-- > 0) {
    if (balance->second == 0) lent_.erase(balance);
    return object;  // with the pin of on_lent()
  }
  ++object->extra().acks_awaited;
  ++object->refs;
  return object;
}

// Loans of which one half will not come: the dead process was to send it.
void ClientMachine::lost_lender(ProcId proc, Effects& out) {
  std::vector<std::pair<Object*, int64_t>> halves;
  for (auto it = lent_.begin(); it != lent_.end();) {
    const ProcId lender = it->first.first;
    Object* object = index_.find(it->first.second);
    const bool no_reference = it->second > 0 && lender == proc;
    const bool no_credit = it->second < 0 && peer(lender).lost && peer(object->owner).lost;
    if (!no_reference && !no_credit) {
      ++it;
      continue;
    }
    halves.emplace_back(object, it->second);
    it = lent_.erase(it);
  }
  for (const auto& [object, balance] : halves) {
    if (balance > 0) {
      object->refs -= static_cast<uint32_t>(balance);
    } else {
      object->more->acks_awaited -= static_cast<uint32_t>(-balance);
    }
    if (object->refs == 0) release_object(object, out);
  }
}

void ClientMachine::free_value(Object* object, Effects& out) {
  if (!object->owned || object->pending()) return;
  if (object->kind == ValueKind::kStored) free_extent(object->more->location, out);
  if (object->more && std::exchange(object->more->left, false)) out.withdraw.push_back(object->id);
  object->kind = ValueKind::kSystemError;
  object->bytes = to_payload(FailureKind::kObjectFreed, "it was freed by the program");
}

// ---- a dead process's objects, and its claims on ours ----

void ClientMachine::lost_references(const PeerLost& message, Effects& out) {
  const ProcId proc = message.proc;
  for (const ObjectId& id : message.kept) {
    Object* object = index_.find(id);
    if (object && object->owned) lend(object, message.custodian, out);
  }
  claim(proc, out);
  lost_lender(proc, out);
  for (const auto& [request, ack] : acks_) {
    if (ack.asked == proc) ask_to_add(NestedRef{ack.id, proc}, ack.borrower, request, out);
  }
  std::vector<Object*> unclaimed, wanted;
  index_.for_each([&](Object* object) {
    if (object->owned && object->more && object->more->borrowers.contains(proc.value)) {
      unclaimed.push_back(object);
    }
    if (!object->owned && object->owner == proc && object->pending() && object->requested) {
      wanted.push_back(object);
    }
  });
  for (Object* object : wanted) {
    object->requested = planted(Planted::kWantsNotRepeated);
    want(object, out);
  }
  if (planted(Planted::kDeadBorrowersStay)) return;
  for (Object* object : unclaimed) {
    object->more->borrowers.erase(proc.value);
    if (object->refs == 0) release_object(object, out);
  }
}

// What this process holds of the dead `owner`, has of it in its segments, and owns in the dead
// one's.
void ClientMachine::claim(ProcId owner, Effects& out) {
  CustodyClaim message;
  message.owner = owner;
  index_.for_each([&](Object* object) {
    const bool stored = object->kind == ValueKind::kStored;
    if (!object->owned && object->owner == owner) {
      message.held.push_back(
          HeldOf{object->id, object->credits, stored ? object->more->location : StoreLocation{}});
    } else if (object->owned && stored && object->more->location.writer == owner) {
      message.owned.push_back(object->more->location);
    }
  });
  const auto written = written_.find(owner);
  if (written != written_.end()) {
    for (const auto& [place, location] : written->second) {
      message.written.push_back(location);
      in_custody_.insert(place);
    }
    written_.erase(written);
  }
  out.to_node.push_back(std::move(message));
}

void ClientMachine::on_custody(CustodyIs&& message, Effects& out) {
  Object* object = index_.find(message.bequest.object);
  if (!object || object->owned || object->owner != message.owner) return;
  Value& value = message.bequest.value;
  if (value.kind == ValueKind::kNone) {
    value.kind = ValueKind::kSystemError;
    value.bytes = to_payload(FailureKind::kOwnerDied,
                             "the process that owned it has died before it was computed, or has "
                             "left no copy");
  }
  settle(object, std::move(value), ProcId{}, out);
}

// A result that this process stored for `owner` is not needed any more.
void ClientMachine::freed_by_owner(ProcId owner, const StoreLocation& location, Effects& out) {
  const auto written = written_.find(owner);
  if (written == written_.end()) return;
  // Not where it says, but where we wrote: another's room is not its to free.
  if (written->second.erase({location.segment, location.offset}) > 0) {
    out.free_extents.push_back(location);
  }
}

}  // namespace eagleray
