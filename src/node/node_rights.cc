// Who may reach what: a process reaches what belongs to its own job, and to jobs that its own
// knows. Jobs come to know each other when one of them looks up something of the other by name;
// from then on references flow between them in both directions, to whomever they are handed on.
// What is said in another's name is no mistake of an honest process: the connection is cut.
#include <algorithm>
#include <optional>
#include <utility>

#include "node/node_machine.h"

namespace eagleray {
namespace {

// Whose actor or group a call is about.
std::optional<JobId> subject_of(const ControlCall& call) {
  if (const auto* subscribe = std::get_if<SubscribeActor>(&call)) return job_of(subscribe->actor);
  if (const auto* scope = std::get_if<ActorOutOfScope>(&call)) return job_of(scope->actor);
  if (const auto* kill = std::get_if<KillActor>(&call)) return job_of(kill->actor);
  if (const auto* remove = std::get_if<RemoveGroup>(&call)) return job_of(remove->group);
  if (const auto* wait = std::get_if<WaitGroup>(&call)) return job_of(wait->group);
  const auto* create = std::get_if<CreateActor>(&call);
  if (create && create->spec.strategy.kind == StrategyKind::kGroup) {
    return job_of(create->spec.strategy.group);
  }
  return std::nullopt;
}

ControlAnswer refusal(const ControlCall& call) {
  if (const auto* subscribe = std::get_if<SubscribeActor>(&call)) {
    ActorUpdate update;
    update.status.actor = subscribe->actor;
    update.status.state = ActorState::kDead;
    update.status.exit.reason = "it belongs to a job that this one does not know";
    return update;
  }
  if (const auto* wait = std::get_if<WaitGroup>(&call)) {
    GroupStatus status;
    status.spec.group = wait->group;
    status.state = GroupState::kRemoved;
    return status;
  }
  return Done{1 + static_cast<uint8_t>(ErrorCode::kNotFound),
              "it belongs to a job that this one does not know"};
}

}  // namespace

JobId NodeMachine::family_of(JobId job) const {
  for (auto next = families_.find(job); next != families_.end(); next = families_.find(job)) {
    job = next->second;
  }
  return job;
}

void NodeMachine::acquaint(JobId a, JobId b) {
  const std::pair<JobId, JobId> families = std::minmax({family_of(a), family_of(b)});
  if (families.first != families.second) families_[families.second] = families.first;
}

bool NodeMachine::may_reach(ProcId client, JobId job) const {
  const JobId own = clients_.at(client).job;
  return own && (own == job || family_of(own) == family_of(job));
}

// Else it would keep a stranger's segment.
bool NodeMachine::may_lie_in(ProcId client, const StoreLocation& location) const {
  const auto row = segments_.find(location.segment);
  return row == segments_.end() || may_reach(client, row->second.job);
}

void NodeMachine::acquaint_by(const AnswerClient& answer) {
  const JobId job = clients_.at(answer.client).job;
  if (const auto* found = std::get_if<FoundActor>(&answer.answer)) {
    if (found->found) acquaint(job, job_of(found->actor));
  } else if (const auto* groups = std::get_if<GroupList>(&answer.answer)) {
    // Of a group that has no name only its own job knows; a list of many is for people.
    if (groups->groups.size() != 1 || groups->groups[0].spec.name.empty()) return;
    acquaint(job, job_of(groups->groups[0].spec.group));
  }
}

void NodeMachine::cut_off(ProcId proc, const char* why, NodeEffects& out) {
  out.list.push_back(NodeEffects::CutOff{proc, why});
}

// What nobody but a liar says, or null.
const char* NodeMachine::forgery_in(ProcId from, const ControlCall& call) const {
  const JobId job = clients_.at(from).job;
  if (!job) return "it asks control before it has a job";
  if (const auto* create = std::get_if<CreateActor>(&call)) {
    const ActorSpec& spec = create->spec;
    if (spec.owner != from || spec.job != job || job_of(spec.actor) != job) {
      return "it creates an actor in another's name";
    }
    if (!is_amount(spec.resources) || !covers(spec.placement_resources, spec.resources)) {
      return "it creates an actor that holds less than nothing, or more than it wants";
    }
  } else if (const auto* group = std::get_if<CreateGroup>(&call)) {
    const GroupSpec& spec = group->spec;
    if (spec.owner != from || spec.job != job || job_of(spec.group) != job) {
      return "it creates a placement group in another's name";
    }
    for (const ResourceMap& bundle : spec.bundles) {
      if (!is_amount(bundle)) return "it creates a bundle of less than nothing";
    }
  }
  return nullptr;
}

bool NodeMachine::is_refused_call(ProcId from, const AskControl& ask, NodeEffects& out) {
  if (const char* why = forgery_in(from, ask.call)) {
    cut_off(from, why, out);
    return true;
  }
  const std::optional<JobId> subject = subject_of(ask.call);
  if (!subject || may_reach(from, *subject)) return false;
  if (!std::holds_alternative<ActorOutOfScope>(ask.call)) {
    send(from, ControlSays{ask.request, refusal(ask.call)}, out);
  }
  return true;
}

}  // namespace eagleray
