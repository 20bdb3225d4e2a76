// Limits and times of a node. Passed to NodeMachine by value; nothing else configures it.
#pragma once

#include <cstdint>
#include <string>

#include "base/time.h"
#include "message/common.h"

namespace eagleray {

struct NodeSettings {
  NodeInfo info;                     // index is zero until control gives one
  std::string session_dir;
  uint64_t store_capacity = 1u << 30;  // bytes; beyond it writers wait
  uint32_t cores = 1;

  uint32_t workers_max = 2000;       // live workers; beyond it leases wait
  uint32_t starting_max = 2;         // workers that start at the same time
  Duration worker_idle = Duration::from_s(1);      // beyond the CPU count; then it is ended
  Duration worker_start_max = Duration::from_s(60);  // then a starting worker is killed
  Duration worker_exit_max = Duration::from_s(5);  // then an ending worker is killed
  Duration closed_exit_max = Duration::from_s(2);  // the same when its connection is closed already
  Duration start_retry = Duration::from_s(1);      // pause after `start_failures_max` in a row
  uint32_t start_failures_max = 5;
  Duration lease_waits_after = Duration::from_s(1);  // then a client is told why it waits
  Duration fair_share_after = Duration::from_ms(10);  // then somebody else is asked for a lease
  Duration store_full_wait = Duration::from_s(10);   // then SegmentDenied
  Duration store_reclaim_every = Duration::from_ms(100);  // clients are asked again for empty segments
  Duration load_every = Duration::from_ms(100);      // NodeLoad at most this often
  uint32_t dead_remembered_max = 10'000;  // exit reasons kept for who asks late; oldest are forgotten
  uint32_t control_unsent_max = 100'000;  // messages kept while control is away; oldest are dropped
};

}  // namespace eagleray
