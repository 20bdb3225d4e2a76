// ClientMachine: events in, timers, and what is common to its parts.
#include "client/client_machine.h"

#include <algorithm>
#include <utility>

namespace eagleray {

void Effects::clear() {
  to_peer.clear();
  to_node.clear();
  free_extents.clear();
  leave.clear();
  withdraw.clear();
  notify.clear();
  create_actors.clear();
  after_creations.clear();
  interrupt.clear();
  history.clear();
  errors.clear();
  completed = 0;
  runnable = 0;
}

ClientMachine::~ClientMachine() {
  std::vector<Object*> objects;
  index_.for_each([&](Object* object) { objects.push_back(object); });
  for (Object* object : objects) delete object;
  for (TaskRecord* task : task_slots_) delete task;
  for (auto& [key, task] : exec_) delete task;
}

void ClientMachine::on_registered(const Registered& message, uint32_t pid) {
  pid_ = pid;
  proc_ = message.proc;
  job_ = message.job.job;
  node_ = message.node;
}

void ClientMachine::send(ProcId to, PeerMessage&& message, Effects& out) {
  Peer& target = peer(to);
  if (target.lost) return;
  if (target.linked || to == proc_) {  // an actor may call itself
    out.to_peer.push_back(Effects::ToPeer{to, std::move(message)});
    return;
  }
  if (target.unsent.empty()) out.to_node.push_back(ConnectPeer{to});
  target.unsent.push_back(std::move(message));
}

void ClientMachine::on_node(NodeToClient&& message, Instant now, Effects& out) {
  now_ = now;
  if (auto* linked = std::get_if<PeerLinked>(&message)) {
    Peer& target = peer(linked->proc);
    target.linked = true;
    for (PeerMessage& unsent : std::exchange(target.unsent, {})) {
      out.to_peer.push_back(Effects::ToPeer{linked->proc, std::move(unsent)});
    }
    tell_lenders(target, out);
  } else if (auto* granted = std::get_if<LeaseGranted>(&message)) {
    on_lease(*granted, out);
  } else if (auto* waits = std::get_if<LeaseWaits>(&message)) {
    if (waits->key.value >= 1 && waits->key.value <= keys_.size()) {
      keys_[waits->key.value - 1]->waits_for = waits->reason;
      keys_[waits->key.value - 1]->hopeless = waits->hopeless;
    }
  } else if (auto* refused = std::get_if<LeaseRefused>(&message)) {
    on_refused(*refused, out);
  } else if (auto* explained = std::get_if<ActorExplained>(&message)) {
    const auto asked = reasons_.find(explained->request);
    if (asked == reasons_.end()) return;
    asked->second = std::move(explained->reason);
    ++out.completed;
  } else if (auto* revoke = std::get_if<RevokeLease>(&message)) {
    const auto it = leases_.find(revoke->lease);
    if (it == leases_.end()) return;
    it->second->revoked = true;
    if (it->second->in_flight == 0) return_lease(it->second.get(), false, out);
  } else if (auto* says = std::get_if<ControlSays>(&message)) {
    const auto* update = std::get_if<ActorUpdate>(&says->answer);
    if (!update || (!update->known && awaits_creation(update->status.actor, out))) return;
    on_actor_update(update->status, out);
  } else if (auto* added = std::get_if<CustodyAdded>(&message)) {
    on_added(ProcId{}, added->request, out);
  } else if (auto* lent = std::get_if<CustodyLent>(&message)) {
    on_lent(NestedRef{lent->object, lent->owner}, lent->lender, out);
  } else if (auto* is = std::get_if<CustodyIs>(&message)) {
    on_custody(std::move(*is), out);
  } else if (auto* ended = std::get_if<CustodyEnded>(&message)) {
    ReleaseBorrows releases;
    for (const ObjectId& id : ended->objects) releases.releases.push_back(Release{id, 1});
    on_release(ended->custodian, releases, out);
  } else if (auto* freed = std::get_if<FreeStored>(&message)) {
    for (const StoreLocation& extent : freed->extents) {
      if (in_custody_.erase({extent.segment, extent.offset}) > 0)
        out.free_extents.push_back(extent);
    }
  } else if (auto* search = std::get_if<SearchActor>(&message)) {
    on_search(*search, out);
  } else if (auto* tell = std::get_if<TellState>(&message)) {
    if (tell->about == StateAbout::kHolders) return;  // the shell's: the language knows them
    out.to_node.push_back(StateTold{tell->question, report(tell->about, tell->limit)});
  }
}

void ClientMachine::on_peer(ProcId from, PeerMessage&& message, Instant now, Effects& out) {
  now_ = now;
  struct Visitor {
    ClientMachine& machine;
    ProcId from;
    Effects& out;
    void operator()(PushTask&& m) { machine.on_push(from, std::move(m), out); }
    void operator()(TaskDone&& m) { machine.on_done(from, std::move(m), out); }
    void operator()(DefineFunction&& m) {
      machine.peer(from).functions[m.function.value] = std::move(m);
    }
    void operator()(DefineKey&& m) { machine.peer(from).keys[m.key.value] = std::move(m); }
    void operator()(TasksReturned&& m) { machine.on_returned(from, m, out); }
    void operator()(CancelTask&& m) { machine.on_cancel(from, m, out); }
    void operator()(StreamItem&& m) { machine.on_stream_item(from, std::move(m), out); }
    void operator()(StreamConsumed&& m) {
      if (!machine.exec_.contains({from.value, m.token})) return;  // it has ended
      machine.consumed_[{from.value, m.token}] = m.cancelled ? UINT32_MAX : m.count;
      ++out.completed;
    }
    void operator()(AddBorrower&& m) { machine.on_add_borrower(from, m, out); }
    void operator()(BorrowerAdded&& m) { machine.on_added(from, m.request, out); }
    void operator()(Lent&& m) { machine.on_lent(NestedRef{m.object, from}, m.lender, out); }
    void operator()(ReleaseBorrows&& m) { machine.on_release(from, m, out); }
    void operator()(WantObjects&& m) { machine.on_want(from, m, out); }
    void operator()(ObjectIs&& m) { machine.on_object(from, std::move(m), out); }
    void operator()(FreeExtents&& m) {
      for (const StoreLocation& extent : m.extents) machine.freed_by_owner(from, extent, out);
    }
    void operator()(CancelObject&& m) {
      Object* object = machine.index_.find(m.object);
      if (!object || !object->owned || !object->more) return;
      if (!object->more->borrowers.contains(from.value) && from != machine.proc_) return;
      machine.cancel(object, m.force, m.recursive, out);
    }
    void operator()(SearchObjects&& m) { machine.on_search(from, m, out); }
    void operator()(SearchTask&& m) { machine.on_search(from, m, out); }
    void operator()(ExplainObject&& m) { machine.on_explain(m, out); }
    void operator()(ExplainTask&& m) { machine.on_explain(from, m, out); }
    void operator()(Explained&& m) {
      const auto asked = machine.reasons_.find(m.request);
      if (asked == machine.reasons_.end()) return;
      asked->second = std::move(m.reason);
      ++out.completed;
    }
  };
  std::visit(
      [&](auto&& each) {
        Visitor{*this, from, out}(std::forward<decltype(each)>(each));
      },
      std::move(message));
}

void ClientMachine::on_peer_lost(const PeerLost& message, uint64_t running_token, Instant now,
                                 Effects& out) {
  now_ = now;
  Peer& lost = peer(message.proc);
  if (lost.lost) {  // its link had failed before: only now the node knows
    claim(message.proc, out);
    return;
  }
  lost.lost = true;
  lost.linked = false;
  lost.exit = message.exit;
  for (PeerMessage& unsent : std::exchange(lost.unsent, {})) {
    // Never linked, so what we borrow of it is the custodian's loan.
    if (auto* release = std::get_if<ReleaseBorrows>(&unsent)) {
      out.to_node.push_back(CustodyRelease{message.proc, std::move(release->releases)});
    }
  }
  tell_lenders(lost, out);
  if (lost.lease) drop_lease(lost.lease);
  lost_actor_process(message.proc, message.exit);
  lost_tasks(lost, running_token, out);
  settle_late_losses(out);
  lost_caller(message.proc, out);
  lost_references(message, out);
  for (auto& key : keys_) dispatch(*key, out);
}

void ClientMachine::on_node_lost(Effects& out) {
  if (node_lost_) return;
  node_lost_ = true;
  std::vector<uint64_t> tokens;
  for (const TaskRecord* task : task_slots_) {
    if (task) tokens.push_back(task->token);
  }
  for (uint64_t token : tokens) {
    TaskRecord* task = task_of_token(token);
    if (!task) continue;
    if (task->state == TaskState::kPushed) {
      Peer& worker = peer(task->worker);
      if (!task->actor && worker.lease) --worker.lease->in_flight;
      unlink_task(worker, task);
    } else if (task->form) {
      remove_from_queue(task);
    }
    fail(task, FailureKind::kNodeDied, "the node of this process has ended", out);
  }
  std::vector<Object*> borrowed;
  index_.for_each([&](Object* object) {
    if (!object->owned && object->pending()) borrowed.push_back(object);
  });
  for (Object* object : borrowed) {
    Value error;
    error.kind = ValueKind::kSystemError;
    error.bytes = to_payload(FailureKind::kNodeDied, "the node of this process has ended");
    settle(object, std::move(error), ProcId{}, out);
  }
}

void ClientMachine::tick(Instant now, Effects& out) {
  now_ = now;
  release_delayed(out);
  std::vector<Lease*> idle;
  for (auto& [id, lease] : leases_) {
    if (lease->in_flight == 0 && now - lease->idle_since >= settings_.lease_linger) {
      idle.push_back(lease.get());
    }
  }
  for (Lease* lease : idle) {
    Key& key = *keys_[lease->key.value - 1];
    return_lease(lease, false, out);
    if (key.leases.empty() && key.asked > 0 && key.queue.empty()) {
      key.asked = 0;
      ask_leases(key, out);  // withdraws what was asked and is not needed any more
    }
  }
  if (running_ > 0) interrupt_again(out);
  if (wait_) search_cycle(out);
  if (!actor_worker_ && running_ > 0 && !runnable_.empty()) {
    for (auto& [key, task] : exec_) {
      if (task->started && !task->finished && now - task->started_at >= settings_.give_back_after) {
        give_back_queued(out);
        break;
      }
    }
  }
}

Instant ClientMachine::next_deadline() const {
  Instant next = delayed_.empty() ? Instant::never() : delayed_.begin()->first;
  for (const auto& [id, lease] : leases_) {
    if (lease->in_flight == 0) next = std::min(next, lease->idle_since + settings_.lease_linger);
  }
  if (wait_) next = std::min(next, wait_->next_search);
  if (running_ == 0) return next;
  for (const auto& [key, task] : exec_) {
    if (task->interrupts == 0 || task->finished) continue;
    if (task->interrupts >= settings_.interrupts_max) continue;
    next = std::min(next, task->interrupted_at + settings_.interrupt_again_after);
  }
  return next;
}

std::string ClientMachine::describe_objects() const {
  std::string text;
  index_.for_each([&](const Object* object) {
    text += object->id.hex().substr(0, 16) + (object->owned ? " owned" : " borrowed") + " kind " +
            std::to_string(static_cast<int>(object->kind)) + " refs " +
            std::to_string(object->refs) + " credits " + std::to_string(object->credits);
    if (object->more) {
      for (const auto& [proc, credits] : object->more->borrowers) {
        text += " lent to " + std::to_string(proc & 0xFFFFFFFF) + " x" + std::to_string(credits);
      }
      if (!object->more->actor.is_zero()) text += " (actor)";
      if (object->more->acks_awaited) text += " acks " + std::to_string(object->more->acks_awaited);
    }
    text += "\n";
  });
  return text;
}

void ClientMachine::check_invariants() const {
  size_t tasks = 0;
  for (const TaskRecord* task : task_slots_) tasks += task != nullptr;
  EAGLERAY_CHECK(tasks == task_count_, "task slots and their count differ");
  for (const auto& [id, lease] : leases_) {
    EAGLERAY_CHECK(lease->key.value <= keys_.size(), "lease of an unknown key");
  }
  for (const auto& key : keys_) {
    for (const TaskRecord* task : key->queue) {
      EAGLERAY_CHECK(task->state == TaskState::kQueued, "a queued task is not in state kQueued");
      EAGLERAY_CHECK(task->missing == 0, "a queued task waits for arguments");
    }
    for (const Lease* lease : key->leases) {
      uint32_t pushed = 0;
      const auto it = peers_.find(lease->proc);
      for (const TaskRecord* task = it->second.first; task; task = task->next) {
        pushed += task->actor == nullptr;
      }
      EAGLERAY_CHECK(pushed == lease->in_flight, "a lease's count differs from what was pushed");
    }
  }
  index_.for_each([](const Object* object) {
    const bool held = object->refs > 0 ||
                      (object->owned && object->more && !object->more->borrowers.empty()) ||
                      (!object->owned && object->more && object->more->acks_awaited > 0);
    EAGLERAY_CHECK(held, "an object is kept that nobody holds");
  });
}

}  // namespace eagleray
