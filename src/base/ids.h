// Strong ids. Small ones (ProcId, LeaseId, ...) are integers that name things inside a session;
// public ones (TaskId, ObjectId, ActorId, ...) are byte strings that nest as Ray's do: an ObjectId
// begins with its TaskId, which ends with its ActorId, which ends with its JobId.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

namespace eagleray {

template <class Tag, class Rep>
struct StrongInt {
  Rep value = 0;

  auto operator<=>(const StrongInt&) const = default;
  explicit operator bool() const { return value != 0; }  // 0 names nothing
};

using ProcId = StrongInt<struct ProcTag, uint64_t>;          // a client process, never reused
using LeaseId = StrongInt<struct LeaseTag, uint64_t>;        // a worker lent to a client
using KeyId = StrongInt<struct KeyTag, uint32_t>;            // a scheduling key, per client
using FunctionId = StrongInt<struct FunctionTag, uint32_t>;  // an exported function, per client
using SegmentId = StrongInt<struct SegmentTag, uint64_t>;    // a piece of the object store
using RequestId = StrongInt<struct RequestTag, uint64_t>;    // pairs an answer with its question
using EnvironmentId = StrongInt<struct EnvironmentTag, uint64_t>;  // of a node
using JobId = StrongInt<struct JobTag, uint32_t>;
using NodeIndex = StrongInt<struct NodeIndexTag, uint32_t>;

// A process's number tells its node.
constexpr NodeIndex node_of(ProcId proc) {
  return NodeIndex{static_cast<uint32_t>(proc.value >> 32)};
}

// Lower-case hexadecimal of `bytes`.
std::string to_hex(std::string_view bytes);

template <class Tag, size_t N>
struct BytesId {
  static constexpr size_t kSize = N;
  std::array<uint8_t, N> bytes{};

  auto operator<=>(const BytesId&) const = default;

  std::string_view view() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  std::string hex() const { return to_hex(view()); }
  bool is_zero() const { return *this == BytesId{}; }
  // The first N bytes of `data`, which must have at least N.
  static BytesId from(std::string_view data) {
    BytesId id;
    std::memcpy(id.bytes.data(), data.data(), N);
    return id;
  }
};

using ActorId = BytesId<struct ActorTag, 16>;           // 12 unique + 4 job
using TaskId = BytesId<struct TaskTag, 24>;             // 8 unique + ActorId
using ObjectId = BytesId<struct ObjectTag, 28>;         // TaskId + 4 index (from 1; puts from 2^24)
using PlacementGroupId = BytesId<struct GroupTag, 18>;  // 14 unique + 4 job
using NodeId = BytesId<struct NodeTag, 28>;
using WorkerId = BytesId<struct WorkerTag, 28>;

// The job whose number stands in the last four bytes (little-endian).
JobId job_of(const ActorId& id);
JobId job_of(const PlacementGroupId& id);
JobId job_of(const ObjectId& id);
TaskId task_of(const ObjectId& id);
ActorId actor_of(const TaskId& id);
uint32_t index_of(const ObjectId& id);

// Ids made by process `proc` of `job` from its own counter; unique in a cluster's life because a
// ProcId is never reused and a process never repeats a counter (40 bits).
ActorId make_actor_id(ProcId proc, uint64_t counter, JobId job);
TaskId make_task_id(ProcId proc, uint64_t counter, JobId job);  // a normal task
TaskId make_actor_task_id(ProcId proc, uint64_t counter, const ActorId& actor);
ObjectId make_object_id(const TaskId& task, uint32_t index);

struct IdHash {
  template <class Tag, class Rep>
  size_t operator()(const StrongInt<Tag, Rep>& id) const {
    return std::hash<uint64_t>{}(static_cast<uint64_t>(id.value) * 0x9E3779B97F4A7C15ull);
  }
  template <class Tag, size_t N>
  size_t operator()(const BytesId<Tag, N>& id) const {
    uint64_t hash = 0xCBF29CE484222325ull;
    for (size_t at = 0; at + 8 <= N + 7; at += 8) {
      uint64_t word = 0;
      std::memcpy(&word, id.bytes.data() + at, N - at < 8 ? N - at : 8);
      hash = (hash ^ word) * 0x9E3779B97F4A7C15ull;
      hash ^= hash >> 29;
    }
    return static_cast<size_t>(hash);
  }
};

}  // namespace eagleray
