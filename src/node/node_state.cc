// Questions of what processes hold and run: handed to each, and their answers back. And what the
// node tells of ends, for those who look later.
#include <utility>

#include "node/node_machine.h"

namespace eagleray {
namespace {

constexpr size_t kQuestionsMax = 64;  // of one process; what it asks beyond is answered by nobody

}  // namespace

void NodeMachine::on(ProcId from, const AskState& ask, Instant, NodeEffects& out) {
  const RequestId id{++last_request_};
  Question question{from, ask.request, {}};
  size_t theirs = 0;
  for (const auto& [other, each] : questions_) theirs += each.asker == from;
  for (const auto& [proc, client] : clients_) {
    const bool is_there = client.kind == ClientKind::kWorker || client.job;
    if (!is_there || (ask.only && ask.only != proc) || theirs >= kQuestionsMax) continue;
    question.awaited.insert(proc);
  }
  if (question.awaited.empty()) {
    StateIs nobody;
    nobody.request = ask.request;
    return send(from, std::move(nobody), out);
  }
  for (ProcId proc : question.awaited) send(proc, TellState{id, ask.about, ask.limit}, out);
  questions_[id] = std::move(question);
}

void NodeMachine::on(ProcId from, const StateTold& answer, Instant, NodeEffects& out) {
  told(answer.question, from, answer.report, out);
}

void NodeMachine::told(RequestId id, ProcId by, StateReport report, NodeEffects& out) {
  const auto it = questions_.find(id);
  if (it == questions_.end() || it->second.awaited.erase(by) == 0) return;
  StateIs is;
  is.request = it->second.request;
  is.awaited = static_cast<uint32_t>(it->second.awaited.size());
  is.report = std::move(report);
  if (const auto client = clients_.find(by); client != clients_.end()) {
    is.proc = by;
    is.pid = client->second.pid;
    is.worker = client->second.kind == ClientKind::kWorker;
    is.job = client->second.job;
  }
  const ProcId asker = it->second.asker;
  if (it->second.awaited.empty()) questions_.erase(it);
  send(asker, std::move(is), out);
}

// Who has ended answers nobody, and hears nothing.
void NodeMachine::forget_questions(ProcId gone, NodeEffects& out) {
  std::vector<RequestId> open;
  std::erase_if(questions_, [&](const auto& each) { return each.second.asker == gone; });
  for (const auto& [id, question] : questions_) {
    if (question.awaited.contains(gone)) open.push_back(id);
  }
  for (RequestId id : open) told(id, gone, StateReport{}, out);
}

void NodeMachine::tell_of_end(ProcId proc, const Client& client, const ExitInfo& exit,
                              NodeEffects& out) {
  const auto worker = workers_.find(proc);
  if (worker != workers_.end() && !worker->second.actor.is_zero()) {
    out.events.push_back({"actor_ended", proc, client.pid, client.job, worker->second.actor,
                          worker->second.actor_class, exit});
  }
  const bool is_worker = client.kind == ClientKind::kWorker;
  out.events.push_back(
      {is_worker ? "worker_ended" : "job_ended", proc, client.pid, client.job, {}, "", exit});
}

}  // namespace eagleray
