// SegmentTable: which pieces of the object store exist, who writes them, and who waits for room.
// Owned by NodeMachine. It counts bytes; the memory itself is the shell's. A segment belongs to its
// writer until it is released; after its writer's death it stays for readers until its last extent
// is let go of or nobody of the job is left.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "base/time.h"
#include "node/node_events.h"
#include "node/node_settings.h"

namespace eagleray {

class SegmentTable {
 public:
  explicit SegmentTable(uint64_t capacity) : capacity_(capacity) {}

  // Grants, refuses, or keeps the request. True: it waits, and clients should be asked for room.
  bool request(ProcId client, const RequestSegment& message, JobId job, Instant now,
               NodeEffects& out);
  void release(SegmentId segment, ProcId by, NodeEffects& out);
  void open(ProcId client, const OpenSegment& message, NodeEffects& out) const;
  void lost(SegmentId segment, NodeEffects& out);      // the system refused its memory
  // Its writer is gone: its segments are counted (ExtentsCounted), its wishes forgotten.
  void writer_gone(ProcId writer, NodeEffects& out);
  void counted(SegmentId segment, uint32_t live, NodeEffects& out);
  void free_orphans(SegmentId segment, uint32_t count, NodeEffects& out);
  void job_gone(JobId job, NodeEffects& out);

  // Refuses who has waited too long. `pid_of` names holders for the message.
  void give_up(Instant now, Duration limit, const std::map<ProcId, uint32_t>& pid_of,
               NodeEffects& out);
  bool anybody_waits() const { return !waiting_.empty(); }
  Instant oldest_wait() const { return waiting_.empty() ? Instant::never() : waiting_.front().since; }

  uint64_t used() const { return used_; }
  uint64_t capacity() const { return capacity_; }
  void check_invariants() const;  // used == sum of segments <= capacity

 private:
  struct Segment {
    ProcId writer;
    JobId job;
    uint64_t bytes = 0;
    bool orphan = false;
    bool live_known = false;
    uint32_t live = 0;        // orphan: extents not yet let go of
    uint32_t freed = 0;       // orphan: let go of before `live` was known
  };
  struct Waiting {
    ProcId client;
    JobId job;
    RequestSegment message;
    Instant since;
  };
  void grant(const Waiting& request, NodeEffects& out);
  void drop(SegmentId segment, NodeEffects& out);
  void retry(NodeEffects& out);  // in order: nobody is passed by

  uint64_t capacity_;
  uint64_t used_ = 0;
  uint64_t next_ = 1;
  std::map<SegmentId, Segment> segments_;
  std::deque<Waiting> waiting_;
};

}  // namespace eagleray
