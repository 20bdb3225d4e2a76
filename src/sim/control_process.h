// ControlProcess: control as the simulator runs it: the real ControlMachine, the records that
// outlive it, and its connection to the node. Does by hand what ControlShell does: messages are
// applied in batches, a batch's records are committed, then its answers leave; it may be killed
// between any two of these. A commit may find the disk full: then it ends, and the next goes on
// without records until the disk has room.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/random.h"
#include "control/control_machine.h"

namespace eagleray {

class ControlProcess {
 public:
  explicit ControlProcess(uint64_t seed) : seed_(seed) {}

  // What it can do next; the first of them that hold are offered to the seed.
  bool can_start() const { return !machine_; }
  bool can_connect() const { return machine_ && !node_open_; }
  bool can_read() const { return machine_ && control_open_ && !committed_ && !up_.empty(); }
  bool can_commit() const { return machine_ && !committed_ && staged_; }
  bool can_answer() const { return machine_ && committed_; }
  bool disk_is_full() const { return full_; }
  bool can_find_room() const { return full_ && machine_ && index_ && !staged_; }
  // The node's end: something arrived, or the connection has ended behind what arrived.
  bool node_can_read() const { return node_open_ && !down_.empty(); }
  bool node_can_notice() const { return node_open_ && !control_open_ && down_.empty(); }

  void start();    // from its records
  void connect();  // the node says NodeHello next
  void read();
  void commit();
  void answer();
  void fail_commit(Random& random);  // the disk is full
  void find_room();
  void kill(Random& random);  // what is on the way to the node may still arrive, in part
  void lose_connection(Random& random);
  // The message at the front comes once more; only what a resend may repeat.
  bool duplicate(Random& random);

  size_t next_up() const { return up_.front().message.index(); }
  size_t next_down() const { return down_.front().index(); }
  void node_says(const FromNode& message);
  ControlToNode node_reads();
  void node_notices() { node_open_ = false; }

  bool at_rest() const {
    return machine_ && node_open_ && control_open_ && !staged_ && !full_ && up_.empty() &&
           down_.empty();
  }
  size_t job_count() const;
  // Empty, or how the tables differ from what a restart would make of the records.
  std::string compare_with_records() const;

 private:
  using Key = std::pair<size_t, std::string>;
  using Records = std::map<Key, DurableRecord>;
  static void apply(const std::vector<DurableChange>& changes, Records& records);
  static std::string difference(const std::string& of, const Records& a, const Records& b);
  std::vector<DurableRecord> all_records() const;
  void keep(const std::vector<DurableChange>& changes);

  const uint64_t seed_;
  Records records_;
  std::unique_ptr<ControlMachine> machine_;  // null: it is dead
  NodeIndex index_;
  ControlEffects effects_;
  bool staged_ = false;     // effects_ holds a batch
  bool committed_ = false;  // ... and its records are durable
  bool full_ = false;
  std::vector<DurableChange> unkept_;  // while it is full
  uint64_t unacknowledged_ = 0;        // while it is full: up to here
  bool node_open_ = false;
  bool control_open_ = false;
  std::deque<FromNode> up_;
  std::deque<ControlToNode> down_;
};

}  // namespace eagleray
