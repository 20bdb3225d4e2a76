// ClientShell, store: room for what this process writes, and views of what others have written.
#include "shell/client_shell.h"

namespace eagleray {

Result<Ok> ClientShell::take_segment(SegmentReply& reply) {
  Result<Mapping> mapped = Mapping::map(reply.fd.get(), reply.bytes, Mapping::Access::kReadWrite);
  if (!mapped.ok()) {
    effects_.to_node.push_back(ReleaseSegment{reply.segment});
    return mapped.error();
  }
  auto mapping = std::make_shared<Mapping>(std::move(mapped).value());
  allocator_.add(reply.segment, mapping->data(), reply.bytes);
  own_segments_[reply.segment] = std::move(mapping);
  return Ok{};
}

// Asks for a segment and waits, until it comes or room is freed in a segment that is here already.
Result<SegmentAllocator::Extent> ClientShell::wait_for_room(uint64_t bytes, Wait::Signals signals,
                                                            const GiveUp& give_up) {
  RequestId request;
  {
    Access machine = access();
    request = machine->next_request();
    machine.effects().to_node.push_back(
        RequestSegment{request, allocator_.segment_bytes_for(bytes)});
    ++waiting_for_room_;
  }
  std::optional<SegmentAllocator::Extent> extent;
  std::optional<Error> failed;
  const auto done = [&] {
    const auto it = segment_replies_.find(request);
    if (it == segment_replies_.end()) {
      extent = allocator_.allocate(bytes);
      if (extent) abandoned_.insert(request);
      return extent || exiting();
    }
    SegmentReply reply = std::move(it->second);
    segment_replies_.erase(it);
    if (!reply.granted) {
      failed = Error{reply.hopeless ? ErrorCode::kInvalid : ErrorCode::kLimit, reply.message};
    } else if (const Result<Ok> taken = take_segment(reply); !taken.ok()) {
      failed = taken.error();
    } else {
      extent = allocator_.allocate(bytes);
    }
    return true;
  };
  bool given_up = false;
  for (;;) {
    const Waited waited = wait(done, Wait{.signals = signals});
    if (waited != Waited::kInterrupted && waited != Waited::kWatch) break;
    given_up = give_up(waited, signals);
    if (given_up) break;
  }
  std::lock_guard lock(mutex_);
  --waiting_for_room_;
  if (extent) return *extent;
  if (failed) return *failed;
  if (given_up) {
    abandoned_.insert(request);
    return Error{ErrorCode::kUnavailable, "interrupted"};
  }
  return Error{ErrorCode::kUnavailable, "the node is gone"};
}

Result<SegmentAllocator::Extent> ClientShell::find_room(uint64_t bytes, Wait::Signals signals,
                                                        const GiveUp& give_up) {
  {
    Access machine = access();
    const std::optional<SegmentAllocator::Extent> extent = allocator_.allocate(bytes);
    if (extent) return *extent;
  }
  return wait_for_room(bytes, signals, give_up);
}

Result<ClientShell::Room> ClientShell::allocate(uint64_t bytes, Wait::Signals signals,
                                                const GiveUp& give_up) {
  const Result<SegmentAllocator::Extent> found = find_room(bytes, signals, give_up);
  if (!found.ok()) return found.error();
  const SegmentAllocator::Extent& extent = found.value();
  const StoreLocation location{extent.segment, extent.offset, bytes, registered_.proc};
  if (extent.cold_bytes > 0) {
    const Result<Ok> there = populate(extent.cold, extent.cold_bytes);
    if (!there.ok()) {
      Access machine = access();
      allocator_.still_cold(extent.segment, extent.cold);
      machine.effects().free_extents.push_back(location);
      return Error{ErrorCode::kLimit, "the machine has no memory for " + std::to_string(bytes) +
                                          " bytes of the object store: " + there.error().message};
    }
  }
  return Room{location, extent.data};
}

Result<StoreLocation> ClientShell::reserve(uint64_t bytes, Wait::Signals signals,
                                           const GiveUp& give_up) {
  const Result<SegmentAllocator::Extent> found = find_room(bytes, signals, give_up);
  if (!found.ok()) return found.error();
  const SegmentAllocator::Extent& extent = found.value();
  discard(extent.data, bytes);  // what was put there before may have left pages
  Access machine = access();
  allocator_.still_cold(extent.segment, extent.data);
  return StoreLocation{extent.segment, extent.offset, bytes, registered_.proc};
}

void ClientShell::free_room(const StoreLocation& location) {
  Access machine = access();
  machine.effects().free_extents.push_back(location);
}

Result<ClientShell::View> ClientShell::view(const StoreLocation& location) {
  auto slice = [&](const std::shared_ptr<Mapping>& mapping) -> Result<View> {
    if (location.offset > mapping->size() || location.size > mapping->size() - location.offset) {
      return Error{ErrorCode::kCorrupt, "object lies outside of its segment"};
    }
    return View{mapping, std::string_view(mapping->data() + location.offset, location.size)};
  };
  RequestId request;
  {
    Access machine = access();
    const auto own = own_segments_.find(location.segment);
    if (own != own_segments_.end()) return slice(own->second);
    const auto it = mappings_.find(location.segment);
    if (it != mappings_.end()) return slice(it->second);
    request = machine->next_request();
    machine.effects().to_node.push_back(OpenSegment{request, location.segment});
  }
  SegmentReply reply;
  Waited waited = Waited::kInterrupted;
  while (waited == Waited::kInterrupted) {
    waited = wait(
        [&] {
          const auto it = segment_replies_.find(request);
          if (it == segment_replies_.end()) return exiting();
          reply = std::move(it->second);
          segment_replies_.erase(it);
          return true;
        },
        Wait{});
  }
  if (!reply.granted) return Error{ErrorCode::kNotFound, "its segment of the store is gone"};
  Result<Mapping> mapped = Mapping::map(reply.fd.get(), reply.bytes, Mapping::Access::kRead);
  if (!mapped.ok()) return mapped.error();
  auto mapping = std::make_shared<Mapping>(std::move(mapped).value());
  std::lock_guard lock(mutex_);
  if (mappings_.size() >= settings_.read_mappings_max) {
    std::erase_if(mappings_, [](const auto& entry) { return entry.second.use_count() == 1; });
  }
  mappings_[location.segment] = mapping;
  return slice(mapping);
}

}  // namespace eagleray
