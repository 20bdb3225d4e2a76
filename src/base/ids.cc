#include "base/ids.h"

namespace eagleray {
namespace {

void put_u32(uint8_t* to, uint32_t value) {
  for (int i = 0; i < 4; ++i) to[i] = static_cast<uint8_t>(value >> (8 * i));
}

uint32_t get_u32(const uint8_t* from) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value |= static_cast<uint32_t>(from[i]) << (8 * i);
  return value;
}

// 40 bits of counter over 24 bits of process: unique while a job has below 2^24 processes.
uint64_t unique_of(ProcId proc, uint64_t counter) {
  return (counter << 24) | (proc.value & 0xFFFFFFu);
}

void put_u64(uint8_t* to, uint64_t value) {
  put_u32(to, static_cast<uint32_t>(value));
  put_u32(to + 4, static_cast<uint32_t>(value >> 32));
}

}  // namespace

std::string to_hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(bytes.size() * 2);
  for (char c : bytes) {
    const auto byte = static_cast<uint8_t>(c);
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15]);
  }
  return hex;
}

JobId job_of(const ActorId& id) { return JobId{get_u32(id.bytes.data() + 12)}; }

JobId job_of(const PlacementGroupId& id) { return JobId{get_u32(id.bytes.data() + 14)}; }

JobId job_of(const ObjectId& id) { return job_of(actor_of(task_of(id))); }

TaskId task_of(const ObjectId& id) { return TaskId::from(id.view()); }

ActorId actor_of(const TaskId& id) { return ActorId::from(id.view().substr(8)); }

uint32_t index_of(const ObjectId& id) { return get_u32(id.bytes.data() + TaskId::kSize); }

ActorId make_actor_id(ProcId proc, uint64_t counter, JobId job) {
  ActorId id;
  put_u64(id.bytes.data(), unique_of(proc, counter));
  put_u32(id.bytes.data() + 8, static_cast<uint32_t>(proc.value >> 24));
  put_u32(id.bytes.data() + 12, job.value);
  return id;
}

TaskId make_task_id(ProcId proc, uint64_t counter, JobId job) {
  TaskId id;
  put_u64(id.bytes.data(), unique_of(proc, counter));
  // A normal task belongs to no actor: the actor's unique part is all ones, as in Ray.
  std::memset(id.bytes.data() + 8, 0xFF, 12);
  put_u32(id.bytes.data() + 20, job.value);
  return id;
}

TaskId make_actor_task_id(ProcId proc, uint64_t counter, const ActorId& actor) {
  TaskId id;
  put_u64(id.bytes.data(), unique_of(proc, counter));
  std::memcpy(id.bytes.data() + 8, actor.bytes.data(), ActorId::kSize);
  return id;
}

ObjectId make_object_id(const TaskId& task, uint32_t index) {
  ObjectId id;
  std::memcpy(id.bytes.data(), task.bytes.data(), TaskId::kSize);
  put_u32(id.bytes.data() + TaskId::kSize, index);
  return id;
}

}  // namespace eagleray
