// ClientMachine, actors as their callers see them. Control decides an actor's life; this file keeps
// the order of calls and the fate of those that an actor's death catches.
#include <algorithm>
#include <utility>

#include "base/planted.h"
#include "client/client_machine.h"

namespace eagleray {

ObjectId ClientMachine::handle_object_of(const ActorId& actor) {
  return make_object_id(make_actor_task_id(ProcId{}, 0, actor), 1);
}

ActorPeer* ClientMachine::actor_peer(const ActorId& id, Effects& out) {
  std::unique_ptr<ActorPeer>& actor = actors_[id];
  if (!actor) {
    actor = std::make_unique<ActorPeer>();
    actor->actor = id;
    actor_numbers_.push_back(id);
    actor->number = static_cast<uint32_t>(actor_numbers_.size());
    subscribe(id, out);
  } else if (uncreated_.erase(id) > 0) {  // the handle that was to tell may have been let go of
    subscribe(id, out);
  }
  return actor.get();
}

void ClientMachine::subscribe(const ActorId& id, Effects& out) {
  out.to_node.push_back(AskControl{next_request(), SubscribeActor{id}});
}

// A handle may be here before control has heard of its actor: the creation waits for arguments of
// the constructor, or goes a longer way. The creator gives the handle's object a value when control
// has spoken of the actor; who gets that asks control once more. False: there is no such hope.
bool ClientMachine::awaits_creation(const ActorId& id, Effects& out) {
  Object* handle = index_.find(handle_object_of(id));
  if (!handle || handle->owned || !handle->pending()) return false;
  uncreated_.insert(id);
  want(handle, out);
  return true;
}

void ClientMachine::handle_is_ready(const Object& handle, Effects& out) {
  const ActorId actor = actor_of(task_of(handle.id));
  if (handle.id == handle_object_of(actor) && uncreated_.erase(actor) > 0) subscribe(actor, out);
}

// What became of its creation is known.
void ClientMachine::settle_handle(const ActorId& actor, Effects& out) {
  Object* handle = index_.find(handle_object_of(actor));
  if (!handle || !handle->owned) return;
  Value value;
  value.kind = ValueKind::kInline;
  settle(handle, std::move(value), ProcId{}, out);
}

ClientMachine::NewActor ClientMachine::create_actor(ActorSpec&& spec, Payload arguments,
                                                    std::vector<ArgumentRef> refs,
                                                    std::vector<Object*> nested, Effects& out) {
  spec.actor = make_actor_id(proc_, ++last_counter_, job_);
  spec.owner = proc_;
  spec.job = job_;
  auto& slot = actors_[spec.actor];
  slot = std::make_unique<ActorPeer>();
  ActorPeer* actor = slot.get();
  actor->actor = spec.actor;
  actor_numbers_.push_back(spec.actor);
  actor->number = static_cast<uint32_t>(actor_numbers_.size());
  Object* handle = new_object(handle_object_of(spec.actor), proc_);
  handle->refs = 1;
  if (!spec.detached) handle->extra().actor = spec.actor;
  const RequestId request = next_request();
  Call call;
  call.arguments = std::move(arguments);
  call.refs = std::move(refs);
  call.nested = std::move(nested);
  TaskRecord* task = new_task(std::move(call), task_of(handle->id));
  creations_[task->token] = PendingCreation{std::move(spec), request};
  await_arguments(task, out);
  if (task->missing == 0) arguments_ready(task, out);
  return NewActor{actor, handle, request};
}

// The arguments have values: hand the actor to control. What the arguments refer to stays pinned
// while the actor may restart.
void ClientMachine::start_creation(TaskRecord* task, Effects& out) {
  auto node = creations_.extract(task->token);
  PendingCreation& pending = node.mapped();
  ActorCreation creation;
  creation.request = pending.request;
  creation.spec = std::move(pending.spec);
  const bool detached = creation.spec.detached;
  creation.arguments = task->arguments;
  std::vector<Object*>& pins = creation_pins_[creation.spec.actor];
  for (const ArgumentRef& argument : task->refs) {
    Object* object = argument.object;
    RefArgument& ref = creation.refs.emplace_back();
    ref.position = argument.position;
    ref.ref = NestedRef{object->id, object->owner};
    ref.value = value_of(object);
    if (object->more) {
      for (Object* inner : object->more->nested) {
        ref.value.nested.push_back(NestedRef{inner->id, inner->owner});
      }
    }
    pins.push_back(object);
  }
  for (Object* object : task->nested) {
    creation.nested.push_back(NestedRef{object->id, object->owner});
    pins.push_back(object);
  }
  task->refs.clear();
  task->nested.clear();
  const ActorId id = creation.spec.actor;
  out.create_actors.push_back(std::move(creation));
  // Subscribe behind the creation, so that control knows the actor.
  out.after_creations.push_back(AskControl{next_request(), SubscribeActor{id}});
  if (!detached && !index_.find(handle_object_of(id))) {  // nobody has waited for it
    out.after_creations.push_back(AskControl{next_request(), ActorOutOfScope{id}});
  }
  retire(task, out);
}

void ClientMachine::fail_creation(TaskRecord* task, const Value& error, Effects& out) {
  auto node = creations_.extract(task->token);
  const ActorId id = node.mapped().spec.actor;
  ActorPeer& actor = *actors_.at(id);
  actor.phase = ActorPhase::kDead;
  actor.death = Failure{FailureKind::kActorDied, "an argument of its constructor failed"};
  if (error.kind == ValueKind::kError) actor.creation_error = error.bytes.view();
  settle_handle(id, out);
  retire(task, out);
  flush_actor(actor, out);
}

ClientMachine::Submitted ClientMachine::submit_to_actor(ActorPeer* actor, Call&& call, Instant now,
                                                        Effects& out) {
  now_ = now;
  ++attempts_;
  TaskRecord* task =
      new_task(std::move(call), make_actor_task_id(proc_, ++last_counter_, actor->actor));
  task->order = last_counter_;
  task->actor = actor;
  ++actor->unfinished;
  if (Object* handle = index_.find(handle_object_of(actor->actor))) {
    ++handle->refs;  // a call in flight keeps the actor
    task->actor_pin = handle;
  }
  add_outputs(task);
  Submitted submitted{task->output, task->more_outputs, task->stream, task->token};
  if (node_lost_) {
    fail(task, FailureKind::kNodeDied, "the node of this process has ended", out);
    return submitted;
  }
  actor->queue.push_back(task);
  await_arguments(task, out);
  if (task->missing == 0) arguments_ready(task, out);
  return submitted;
}

// Pushes what may go: in order, up to the first call whose arguments are missing; for actors
// without order, whatever is complete.
void ClientMachine::flush_actor(ActorPeer& actor, Effects& out) {
  if (actor.phase == ActorPhase::kDead) {
    std::deque<TaskRecord*> queue;
    queue.swap(actor.queue);
    for (TaskRecord* task : queue) fail_for_actor(task, actor, out);
    return;
  }
  if (actor.phase != ActorPhase::kAlive) return;
  std::deque<TaskRecord*> rest;
  while (!actor.queue.empty()) {
    TaskRecord* task = actor.queue.front();
    if (task->missing > 0) {
      if (actor.ordered) break;
      rest.push_back(task);
      actor.queue.pop_front();
      continue;
    }
    actor.queue.pop_front();
    push(task, actor.proc, out);
  }
  for (auto it = rest.rbegin(); it != rest.rend(); ++it) actor.queue.push_front(*it);
}

void ClientMachine::fail_for_actor(TaskRecord* task, const ActorPeer& actor, Effects& out) {
  if (task->cancelled) {
    fail(task, FailureKind::kCancelled, "the call was cancelled", out);
  } else if (!actor.creation_error.empty()) {
    Value error;
    error.kind = ValueKind::kError;
    error.bytes = Payload::copy_of(actor.creation_error);
    fail(task, error, out);
  } else {
    fail(task, actor.phase == ActorPhase::kDead ? actor.death.kind : FailureKind::kActorUnavailable,
         actor.death.message, out);
  }
}

void ClientMachine::on_actor_update(const ActorStatus& status, Effects& out) {
  const auto it = actors_.find(status.actor);
  if (it == actors_.end()) return;
  ActorPeer& actor = *it->second;
  if (actor.phase == ActorPhase::kDead) return;
  settle_handle(status.actor, out);
  const bool moved =
      actor.proc && (status.state != ActorState::kAlive || status.proc != actor.proc);
  if (moved && peer(actor.proc).first && !peer(actor.proc).lost &&
      !planted(Planted::kWordBeforeLoss)) {
    actor.deferred = std::make_unique<ActorStatus>(status);
    actor.phase = ActorPhase::kRestarting;  // nothing more goes there
    return;
  }
  actor.awaits_word = false;
  switch (status.state) {
    case ActorState::kPending: break;
    case ActorState::kAlive:
      if (actor.phase == ActorPhase::kAlive && actor.incarnation == status.incarnation) return;
      settle_lost(actor, out);
      actor.phase = ActorPhase::kAlive;
      actor.proc = status.proc;
      actor.incarnation = status.incarnation;
      if (peer(actor.proc).lost) {  // died already
        actor.phase = ActorPhase::kRestarting;
        actor.awaits_word = true;
      }
      break;
    case ActorState::kRestarting:
      actor.phase = ActorPhase::kRestarting;
      actor.death = Failure{FailureKind::kActorUnavailable, describe(status.exit)};
      settle_lost(actor, out);
      break;
    case ActorState::kDead: {
      actor.phase = ActorPhase::kDead;
      actor.death = Failure{
          status.exit.out_of_memory ? FailureKind::kWorkerOutOfMemory : status.failure,
          status.failure == FailureKind::kActorDied ? describe(status.exit) : status.exit.reason};
      actor.creation_error = status.creation_error;
      settle_lost(actor, out);
      const auto pins = creation_pins_.extract(status.actor);
      if (pins) {
        for (Object* object : pins.mapped()) unpin(object, out);
      }
      break;
    }
  }
  flush_actor(actor, out);
}

// Calls that the end of an incarnation caught. A call that had not begun, or that may be retried,
// goes to the next incarnation ahead of newer ones; the others fail: they may have run.
void ClientMachine::settle_lost(ActorPeer& actor, Effects& out) {
  std::vector<TaskRecord*> lost = std::exchange(actor.lost, {});
  if (planted(Planted::kLostCallsReversed)) std::reverse(lost.begin(), lost.end());
  for (auto it = lost.rbegin(); it != lost.rend(); ++it) {
    TaskRecord* task = *it;
    task->state = TaskState::kQueued;
    const bool may_run_again =
        !task->maybe_started || task->retries_left != 0 || planted(Planted::kCallRunsAgain);
    if (actor.phase == ActorPhase::kDead || task->cancelled || !may_run_again) {
      fail_for_actor(task, actor, out);
      continue;
    }
    if (task->maybe_started) {
      if (task->retries_left > 0) --task->retries_left;
      next_attempt(*task, TaskError::of(FailureKind::kActorDied), out);
    }
    actor.queue.push_front(task);
  }
}

// The actor's process is gone; what that means, control will say.
void ClientMachine::lost_actor_process(ProcId proc, const ExitInfo& exit) {
  for (auto& [id, actor] : actors_) {
    if (actor->proc != proc || actor->phase != ActorPhase::kAlive) continue;
    actor->phase = ActorPhase::kRestarting;
    actor->awaits_word = true;
    actor->death = Failure{FailureKind::kActorUnavailable, describe(exit)};
  }
}

// Control's word may come before the node's about the process.
void ClientMachine::settle_late_losses(Effects& out) {
  for (auto& [id, actor] : actors_) {
    if (actor->deferred && peer(actor->proc).lost) {
      const std::unique_ptr<ActorStatus> status = std::move(actor->deferred);
      on_actor_update(*status, out);
      continue;
    }
    if (actor->lost.empty() || actor->awaits_word) continue;
    settle_lost(*actor, out);
    flush_actor(*actor, out);
  }
}

}  // namespace eagleray
