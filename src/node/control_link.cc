#include "node/control_link.h"
#include "base/planted.h"
#include "base/result.h"

#include <algorithm>

namespace eagleray {
namespace {

bool changes_nothing(const ControlCall& call) {
  return std::holds_alternative<SubscribeActor>(call) || std::holds_alternative<FindActor>(call) ||
         std::holds_alternative<ListActors>(call) || std::holds_alternative<WaitGroup>(call) ||
         std::holds_alternative<QueryGroups>(call) || std::holds_alternative<KvGet>(call) ||
         std::holds_alternative<KvList>(call) || std::holds_alternative<QueryCluster>(call);
}

constexpr size_t kBacklogBytesMax = 64u << 20;

// Of what a client can make large.
size_t bytes_in(const NodeToControl& message) {
  if (const auto* placed = std::get_if<ActorPlaced>(&message)) return placed->error.size();
  const auto* asks = std::get_if<ClientAsks>(&message);
  if (!asks) return 0;
  if (const auto* put = std::get_if<KvPut>(&asks->call)) return put->key.size() + put->value.size();
  if (const auto* create = std::get_if<CreateActor>(&asks->call)) {
    return create->spec.class_blob.size() + create->spec.arguments.size();
  }
  return 0;
}

}  // namespace

void ControlLink::report(NodeToControl message, Out& out) {
  backlog_bytes_ += bytes_in(message);
  unacknowledged_.push_back(FromNode{++last_number_, std::move(message)});
  if (attached_) out.push_back(unacknowledged_.back());
}

void ControlLink::mention(NodeToControl message, Out& out) {
  if (attached_) out.push_back(FromNode{0, std::move(message)});
}

Result<Ok> ControlLink::ask(ProcId client, RequestId request, ControlCall call, Out& out) {
  const auto same = questions_.find({client, request});
  if (same != questions_.end()) forget(same);  // of a client that makes no sense
  if (changes_nothing(call)) {
    Question question;
    question.query = true;
    question.lasting = std::holds_alternative<SubscribeActor>(call);
    if (!question.lasting) {
      uint32_t& open = open_[client];
      if (open >= kOpenQuestionsMax) {
        return Error{ErrorCode::kLimit, std::to_string(kOpenQuestionsMax) +
                                            " questions of this process wait for control already"};
      }
      ++open;
    }
    question.call = call;
    questions_[{client, request}] = std::move(question);
    mention(ClientAsks{client, request, std::move(call)}, out);
    return Ok{};
  }
  if (!std::holds_alternative<ActorOutOfScope>(call)) questions_[{client, request}] = Question{};
  report(ClientAsks{client, request, std::move(call)}, out);
  return Ok{};
}

void ControlLink::forget(Questions::iterator question) {
  if (question->second.query && !question->second.lasting) {
    const auto open = open_.find(question->first.first);
    if (--open->second == 0) open_.erase(open);
  }
  questions_.erase(question);
}

bool ControlLink::withdraw(ProcId client, RequestId request, Out& out) {
  const auto it = questions_.find({client, request});
  if (it == questions_.end() || !it->second.query || it->second.lasting) return false;
  if (const auto* wait = std::get_if<WaitGroup>(&it->second.call)) {
    mention(WaitWithdrawn{client, request, wait->group}, out);
  }
  forget(it);
  return true;
}

void ControlLink::on_attached(const NodeInfo& info, Out& out) {
  attached_ = false;
  out.push_back(FromNode{0, NodeHello{kClusterVersion, info}});
}

void ControlLink::on_accepted(const NodeAccepted& message, Out& out) {
  attached_ = true;
  epoch_ = message.epoch;
  for (const FromNode& each : unacknowledged_) {
    if (!planted(Planted::kNothingSentAgain)) out.push_back(each);
  }
  for (const auto& [asker, question] : questions_) {
    if (question.query && !(question.lasting && planted(Planted::kSubscriptionsForgotten))) {
      out.push_back(FromNode{0, ClientAsks{asker.first, asker.second, question.call}});
    }
  }
}

void ControlLink::on_acknowledged(const Acknowledged& message) {
  while (!unacknowledged_.empty() && unacknowledged_.front().number <= message.number) {
    backlog_bytes_ -= bytes_in(unacknowledged_.front().message);
    unacknowledged_.pop_front();
  }
}

bool ControlLink::is_behind() const { return backlog_bytes_ > kBacklogBytesMax; }

bool ControlLink::reports_end_of(const ActorId& actor, uint32_t incarnation) const {
  return std::any_of(unacknowledged_.begin(), unacknowledged_.end(), [&](const FromNode& each) {
    const auto* ended = std::get_if<ActorEnded>(&each.message);
    return ended && ended->actor == actor && ended->incarnation == incarnation;
  });
}

// What was refused for want of room was not applied. Were it sent again, to a control that has
// room, it would be, although its sender has been told that it was not.
void ControlLink::on_job_refused(RequestId request) {
  std::erase_if(unacknowledged_, [&](const FromNode& each) {
    const auto* job = std::get_if<NewJob>(&each.message);
    return job && job->request == request;
  });
}

bool ControlLink::on_answer(const AnswerClient& message) {
  const auto* done = std::get_if<Done>(&message.answer);
  if (done && done->error_code == 1 + static_cast<uint8_t>(ErrorCode::kDiskFull)) {
    std::erase_if(unacknowledged_, [&](const FromNode& each) {
      const auto* asks = std::get_if<ClientAsks>(&each.message);
      return asks && asks->client == message.client && asks->request == message.request;
    });
  }
  const auto it = questions_.find({message.client, message.request});
  if (it == questions_.end()) return false;
  Question& question = it->second;
  const auto* update = std::get_if<ActorUpdate>(&message.answer);
  if (!question.lasting || !update) {
    forget(it);
    return true;
  }
  const ActorStatus& status = update->status;
  const bool news = !question.heard || question.state != status.state ||
                    question.incarnation != status.incarnation;
  question.heard = true;
  question.state = status.state;
  question.incarnation = status.incarnation;
  if (status.state == ActorState::kDead) forget(it);
  return news;
}

void ControlLink::on_client_gone(ProcId client) {
  std::erase_if(questions_, [&](const auto& each) { return each.first.first == client; });
  open_.erase(client);
}

}  // namespace eagleray
