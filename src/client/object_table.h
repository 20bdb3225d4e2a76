// The objects that one process knows: those it owns and those it borrows. Part of ClientMachine,
// which makes every decision; this file is the record and its index.
//
// An Object is held by address inside the client (the language's reference objects point at it) and
// by id everywhere else. It lives while `refs` is above zero or, if owned, while a borrower has
// credit. Belongs to the client's one lock.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/check.h"
#include "base/ids.h"
#include "message/peer.h"

namespace eagleray {

struct Object;
struct TaskRecord;

// What few objects need.
struct ObjectMore {
  StoreLocation location;                            // kind kStored
  std::vector<Object*> nested;                       // references inside the value, pinned by it
  std::unordered_map<uint64_t, uint32_t> borrowers;  // owned: ProcId to credits handed out
  std::vector<ProcId> wanting;          // owned, pending: peers to tell when it is ready
  std::vector<TaskRecord*> dependents;  // tasks of this process that wait for it
  bool to_leave = false;                // owned: others hold it, or something that refers to it
  bool left = false;                    // ... and it is in this process's estate
  bool notify = false;                  // somebody in this process registered a call-back
  uint32_t acks_awaited = 0;            // borrowed: our own AddBorrower questions in flight
  ActorId actor;                        // non-zero: an actor's handle; freed means out of scope
  std::unique_ptr<std::string> site;    // where it was made, if that is recorded
};

struct Object {
  ObjectId id;
  ValueKind kind = ValueKind::kNone;  // kNone: pending
  bool owned = true;
  bool requested = false;  // borrowed: the owner was asked for the value
  uint32_t refs = 0;       // references of this process, and pins by the machine
  uint32_t credits = 0;    // borrowed: how often it was handed to this process
  uint32_t mark = 0;       // of the last wait() that listed it, to find duplicates
  ProcId owner;
  TaskRecord* task = nullptr;  // owned and pending: who makes it
  Payload bytes;               // kInline, kError, kSystemError
  std::unique_ptr<ObjectMore> more;

  bool pending() const { return kind == ValueKind::kNone; }
  bool failed() const { return kind == ValueKind::kError || kind == ValueKind::kSystemError; }
  ObjectMore& extra() {
    if (!more) more = std::make_unique<ObjectMore>();
    return *more;
  }
};

// Open addressing over the ids: one pointer a slot, at most half full, so about 16 to 32 bytes an
// object and one cache miss a look-up.
class ObjectIndex {
 public:
  ObjectIndex() : slots_(kSlotsMin, nullptr) {}
  Object* find(const ObjectId& id) const;
  void insert(Object* object);
  void erase(const Object* object);
  size_t size() const { return size_; }
  template <class F>
  void for_each(F&& f) const {
    for (Object* object : slots_) {
      if (object) f(object);
    }
  }

 private:
  static constexpr size_t kSlotsMin = 64;
  size_t slot_of(const ObjectId& id) const { return IdHash{}(id) & (slots_.size() - 1); }
  void grow();
  std::vector<Object*> slots_;
  size_t size_ = 0;
};

}  // namespace eagleray
