// ClientMachine, owner and borrower: who holds what, and when an object ends.
// The protocol is argued in docs/design/client.md.
#include <utility>

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
      if (more && !more->borrowers.empty()) continue;
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
    } else {
      if (more && more->acks_awaited > 0) continue;  // on_added comes back to it
      if (object->credits > 0 && !peer(object->owner).lost) {
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

// For messages whose receiver registers itself where we are not the owner (PushTask, ObjectIs).
std::vector<NestedRef> ClientMachine::hand_over(const std::vector<Object*>& objects, ProcId to) {
  std::vector<NestedRef> refs;
  refs.reserve(objects.size());
  for (Object* object : objects) {
    if (object->owned) ++object->extra().borrowers[to.value];
    refs.push_back(NestedRef{object->id, object->owner});
  }
  return refs;
}

// `registered`: the sender has made us a borrower at the owner, whoever that is. Otherwise only the
// sender's own objects are registered and we ask the owner of the others ourselves; until it
// answers, `for_task`'s answer or `keep` holds the lender.
Object* ClientMachine::adopt(const NestedRef& ref, ProcId from, Adoption how, Effects& out) {
  Object* object = index_.find(ref.object);
  if (ref.owner == proc_) {
    if (!object) {  // freed meanwhile: only a forged or stray reference comes here
      object = new_object(ref.object, proc_);
      object->kind = ValueKind::kSystemError;
      object->bytes = to_payload(FailureKind::kObjectFreed, "its owner has let go of it");
    }
    ++object->refs;
    return object;
  }
  if (!object) {
    object = new_object(ref.object, ref.owner);
    if (peer(ref.owner).lost) {
      settle(object,
             Value{ValueKind::kSystemError,
                   to_payload(FailureKind::kOwnerDied, "the process that owned it has died"),
                   {},
                   {}},
             from, out);
    }
  }
  ++object->refs;
  if (how.registered || ref.owner == from) {
    ++object->credits;
  } else if (object->credits == 0 && !peer(ref.owner).lost) {
    const RequestId request = next_request();
    ++object->extra().acks_awaited;
    if (how.for_task) ++how.for_task->acks_awaited;
    if (how.keep) ++how.keep->refs;
    acks_[request] = AwaitedAck{object, how.for_task, how.keep, ref.owner};
    send(ref.owner, AddBorrower{request, ref.object, proc_}, out);
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

void ClientMachine::on_added(RequestId request, Effects& out) {
  const auto it = acks_.find(request);
  if (it == acks_.end()) return;  // asked of a process that died meanwhile
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
  ObjectMore* more = object->more.get();
  if (!more) return;
  if (more->notify) {
    more->notify = false;
    ++object->refs;
    out.notify.push_back(object);
  }
  for (ProcId wanting : std::exchange(more->wanting, {})) tell_wanting(object, wanting, out);
  for (TaskRecord* task : std::exchange(more->dependents, {})) {
    if (--task->missing == 0) arguments_ready(task, out);
  }
}

void ClientMachine::tell_wanting(Object* object, ProcId to, Effects& out) {
  if (peer(to).lost) return;
  ObjectIs message{object->id, value_of(object)};
  if (object->more) message.value.nested = hand_over(object->more->nested, to);
  send(to, std::move(message), out);
}

void ClientMachine::want(Object* object, Effects& out) {
  if (object->owned || !object->pending() || object->requested) return;
  object->requested = true;
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
  if (!object || object->owned || object->owner != from) {
    // Nobody here waits any more. Its inner references were lent with it: give them back.
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
    if (it->second == 0) object->more->borrowers.erase(it);
    if (object->refs == 0) release_object(object, out);
  }
}

void ClientMachine::on_add_borrower(ProcId from, const AddBorrower& message, Effects& out) {
  Object* object = index_.find(message.object);
  if (object && object->owned && !peer(message.borrower).lost) {
    ++object->extra().borrowers[message.borrower.value];
  }
  send(from, BorrowerAdded{message.request}, out);
}

void ClientMachine::free_value(Object* object, Effects& out) {
  if (!object->owned || object->pending()) return;
  if (object->kind == ValueKind::kStored) free_extent(object->more->location, out);
  object->kind = ValueKind::kSystemError;
  object->bytes = to_payload(FailureKind::kObjectFreed, "it was freed by the program");
}

// References to what a dead process owned, and its claims on what this one owns.
void ClientMachine::lost_references(ProcId proc, Effects& out) {
  std::vector<Object*> unowned, unclaimed;
  index_.for_each([&](Object* object) {
    if (!object->owned && object->owner == proc) unowned.push_back(object);
    if (object->owned && object->more && object->more->borrowers.contains(proc.value)) {
      unclaimed.push_back(object);
    }
  });
  for (Object* object : unowned) ++object->refs;
  for (Object* object : unowned) {
    settle(object,
           Value{ValueKind::kSystemError,
                 to_payload(FailureKind::kOwnerDied, "the process that owned it has died"),
                 {},
                 {}},
           proc, out);
  }
  std::vector<RequestId> answered;
  for (const auto& [request, ack] : acks_) {
    if (ack.asked == proc) answered.push_back(request);
  }
  for (RequestId request : answered) on_added(request, out);
  for (Object* object : unowned) unpin(object, out);
  for (Object* object : unclaimed) {
    object->more->borrowers.erase(proc.value);
    if (object->refs == 0) release_object(object, out);
  }
}

}  // namespace eagleray
