// ControlLink: what this node has told and asked control, kept until control has answered, so that
// nothing is lost or applied twice when control dies and comes back. Pure; part of NodeMachine.
//
// States: detached -> greeting (NodeHello sent) -> attached. Only an attached link sends at once;
// before that messages wait, and go in their order when control has accepted the node.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "message/cluster.h"

namespace eagleray {

inline constexpr uint32_t kOpenQuestionsMax = 10'000;  // of one client; a further one is refused

class ControlLink {
 public:
  using Out = std::vector<FromNode>;

  // What changes control's tables. Numbered.
  void report(NodeToControl message, Out& out);
  // A client's call; numbered if it changes anything, repeated until answered if it only asks.
  // kLimit: more of the client's questions are open than an honest one asks at a time.
  Result<Ok> ask(ProcId client, RequestId request, ControlCall call, Out& out);
  // True: the question, which only asks, was open and is forgotten; its answer will go nowhere.
  bool withdraw(ProcId client, RequestId request, Out& out);
  // Of no use later: lost while detached.
  void mention(NodeToControl message, Out& out);

  void on_attached(const NodeInfo& info, Out& out);  // a connection to control stands
  void on_accepted(const NodeAccepted& message, Out& out);
  void on_acknowledged(const Acknowledged& message);
  void on_detached() { attached_ = false; }
  // True: the client waits for it; false: a repetition.
  bool on_answer(const AnswerClient& message);
  void on_job_refused(RequestId request);
  void on_client_gone(ProcId client);

  // Whether control may not know yet that this life of the actor has ended.
  bool reports_end_of(const ActorId& actor, uint32_t incarnation) const;

  // What is kept of large reports is beyond kBacklogBytesMax: whoever adds to it is to wait.
  bool is_behind() const;

  uint64_t epoch() const { return epoch_; }
  bool attached() const { return attached_; }

 private:
  struct Question {
    ControlCall call;      // of a query; a numbered call lies among the reports
    bool query = false;    // to be repeated
    bool lasting = false;  // a subscription: many answers
    bool heard = false;
    ActorState state = ActorState::kPending;  // a subscription's last answer
    uint32_t incarnation = 0;
  };
  using Asker = std::pair<ProcId, RequestId>;
  using Questions = std::map<Asker, Question>;
  void forget(Questions::iterator question);

  bool attached_ = false;
  uint64_t epoch_ = 0;
  uint64_t last_number_ = 0;
  std::deque<FromNode> unacknowledged_;
  size_t backlog_bytes_ = 0;  // of unacknowledged_, about
  Questions questions_;
  std::map<ProcId, uint32_t> open_;  // queries that do not last, of each client
};

}  // namespace eagleray
