// What a simulated task or method does: its argument.
#pragma once

#include <cstdint>
#include <vector>

#include "base/ids.h"
#include "base/payload.h"
#include "message/fields.h"
#include "wire/codec.h"

namespace eagleray {

struct Script {
  int64_t number = 0;        // its result begins with this; an actor's caller counts with it
  uint32_t depth = 0;        // > 0: it submits tasks of its own
  bool gets = false;         // waits for what was passed inside, or for the tasks of its own
  std::vector<ActorId> via;  // calls the first of these with the rest, and waits for the result
  uint32_t items = 0;        // > 0: a generator of so many, `number` the first
  uint32_t ahead = 0;        // > 0: it waits when so many are not read
  EAGLERAY_FIELDS(Script, number, depth, gets, via, items, ahead)

  Payload encoded() const {
    std::string bytes;
    encode(*this, bytes);
    return Payload::copy_of(bytes);
  }
  static Script of(const Payload& bytes) { return decode<Script>(bytes.view()).value(); }
};

}  // namespace eagleray
