// Key-value pairs, and views of the cluster.
#include "control/control_machine.h"
#include "control/records.h"

namespace eagleray {
namespace {

constexpr size_t kKeyBytesMax = 64u << 10;  // of a key and its space; a longer one is refused

}  // namespace

void ControlMachine::call(const Caller& caller, const KvPut& put, ControlEffects& out) {
  const auto it = pairs_.find({put.space, put.key});
  if (it != pairs_.end() && !put.overwrite) {
    return fail(caller, ErrorCode::kExists, "the key exists", out);
  }
  if (put.value.size() > settings_.key_value_bytes_max) {
    return fail(caller, ErrorCode::kLimit,
                "the value has " + std::to_string(put.value.size()) +
                    " bytes; key_value_bytes_max is " +
                    std::to_string(settings_.key_value_bytes_max),
                out);
  }
  if (put.space.size() + put.key.size() > kKeyBytesMax) {
    return fail(caller, ErrorCode::kLimit,
                "the key has more than " + std::to_string(kKeyBytesMax) + " bytes", out);
  }
  if (it == pairs_.end() && pairs_.size() >= settings_.keys_max) {
    return fail(caller, ErrorCode::kLimit,
                "there are keys_max = " + std::to_string(settings_.keys_max) + " keys already",
                out);
  }
  if (!disk_trouble_.empty()) return fail(caller, ErrorCode::kDiskFull, disk_trouble_, out);
  pairs_[{put.space, put.key}] = put.value;
  persist_pair(put.space, put.key, out);
  answer(caller, Done{}, out);
}

void ControlMachine::call(const Caller& caller, const KvGet& get, ControlEffects& out) {
  const auto it = pairs_.find({get.space, get.key});
  answer(caller, it == pairs_.end() ? KvValue{} : KvValue{true, it->second}, out);
}

void ControlMachine::call(const Caller& caller, const KvDelete& erase, ControlEffects& out) {
  std::erase_if(pairs_, [&](const auto& pair) {
    const auto& [space, key] = pair.first;
    const bool goes =
        space == erase.space && (erase.by_prefix ? key.starts_with(erase.key) : key == erase.key);
    if (goes) out.durable.push_back({kTableOf<DurablePair>, key_of(space, key), {}});
    return goes;
  });
  answer(caller, Done{}, out);
}

void ControlMachine::call(const Caller& caller, const KvList& list, ControlEffects& out) {
  KvKeys found;
  for (const auto& [key, value] : pairs_) {
    if (key.first == list.space && key.second.starts_with(list.prefix)) {
      found.keys.push_back(key.second);
    }
  }
  answer(caller, std::move(found), out);
}

void ControlMachine::call(const Caller& caller, const QueryCluster&, ControlEffects& out) {
  ClusterView view;
  for (const auto& [index, row] : nodes_) {
    view.nodes.push_back(ClusterNode{row.info, row.available});
  }
  for (const auto& [id, group] : groups_) {
    if (group.state != GroupState::kCreated) continue;
    ReservedGroup reserved{group.spec.bundles, {}, id};
    for (const auto& [index, load] : group.loads) reserved.loads.push_back(load);
    view.groups.push_back(std::move(reserved));
  }
  answer(caller, std::move(view), out);
}

void ControlMachine::call(const Caller& caller, const QueryNode&, ControlEffects& out) {
  fail(caller, ErrorCode::kInvalid, "a node answers this", out);
}

void ControlMachine::call(const Caller& caller, const QueryActors&, ControlEffects& out) {
  ActorRows rows;
  for (const auto& [id, actor] : actors_) {
    ActorRow& row = rows.actors.emplace_back(ActorRow{actor.spec, actor.status, actor.node});
    row.spec.class_blob.clear();
    row.spec.arguments.clear();
    row.spec.handle_blob.clear();
    row.status.creation_error.clear();
  }
  answer(caller, std::move(rows), out);
}

void ControlMachine::call(const Caller& caller, const QueryJobs&, ControlEffects& out) {
  JobRows rows;
  for (const auto& [id, job] : jobs_) rows.jobs.push_back(job.info);
  answer(caller, std::move(rows), out);
}

}  // namespace eagleray
