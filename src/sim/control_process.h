// ControlProcess: control as the simulator runs it: the real ControlMachine, the records that
// outlive it, and a line to each node. Does by hand what ControlShell does: messages are applied in
// batches, a batch's records are committed, then its answers leave; it may be killed between any
// two of these. A commit may find the disk full: then it ends, and the next goes on without records
// until the disk has room.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "control/control_machine.h"

namespace eagleray {

class ControlProcess {
 public:
  ControlProcess(uint64_t seed, size_t nodes) : seed_(seed), lines_(nodes) {}

  // What it can do next; the first of them that hold are offered to the seed.
  bool can_start() const { return !machine_; }
  bool can_connect(size_t node) const;
  bool can_read(size_t node) const;
  bool can_miss(size_t node) const;  // it may learn that the node is dead
  bool can_commit() const { return machine_ && !committed_ && staged_; }
  bool can_answer() const { return machine_ && committed_; }
  bool disk_is_full() const { return full_; }
  bool can_find_room() const;
  // The node's end: something arrived, or the connection has ended behind what arrived.
  bool node_can_read(size_t node) const;
  bool node_can_notice(size_t node) const;
  bool is_connected(size_t node) const { return machine_ && lines_[node].node_open; }

  void start();               // from its records
  void connect(size_t node);  // the node says NodeHello next
  void read(size_t node);
  void miss(size_t node);
  void commit();
  void answer();
  void fail_commit(Random& random);  // the disk is full
  void find_room();
  void kill(Random& random);  // what is on the way to the nodes may still arrive, in part
  void lose_connection(size_t node, Random& random);
  void node_dies(size_t node, Random& random);  // what it has said may still arrive, in part
  // The message at the front comes once more; only what a resend may repeat.
  bool duplicate(size_t node, Random& random);

  size_t next_up(size_t node) const { return lines_[node].up.front().message.index(); }
  size_t next_down(size_t node) const { return lines_[node].down.front().index(); }
  void node_says(size_t node, const FromNode& message);
  ControlToNode node_reads(size_t node);
  void node_notices(size_t node) { lines_[node].node_open = false; }

  bool at_rest() const;
  size_t job_count() const;
  std::vector<GroupSpec> waiting_groups() const;  // that no node is asked for
  struct WaitingActor {
    ActorSpec spec;
    NodeIndex node;
  };
  std::vector<WaitingActor> waiting_actors() const;
  // Empty, or how the tables differ from what a restart would make of the records.
  std::string compare_with_records() const;

 private:
  struct Line {
    NodeIndex index;  // as this connection's hello has told it
    NodeIndex known;  // as any has
    bool node_open = false;
    bool control_open = false;
    std::deque<FromNode> up;
    std::deque<ControlToNode> down;
    uint64_t unacknowledged = 0;  // while the disk is full: up to here
    bool dead = false;            // the node
    bool missing = false;         // ... which this batch applies
    bool missed = false;          // ... and the records show
  };
  using Key = std::pair<size_t, std::string>;
  using Records = std::map<Key, DurableRecord>;
  static void apply(const std::vector<DurableChange>& changes, Records& records);
  static std::string difference(const std::string& of, const Records& a, const Records& b);
  std::vector<DurableRecord> all_records() const;
  void keep(const std::vector<DurableChange>& changes);
  Line* line_of(NodeIndex index);
  bool names_are_unique() const;

  const uint64_t seed_;
  Records records_;
  std::unique_ptr<ControlMachine> machine_;  // null: it is dead
  std::vector<Line> lines_;
  ControlEffects effects_;
  bool staged_ = false;     // effects_ holds a batch
  bool committed_ = false;  // ... and its records are durable
  bool full_ = false;
  std::vector<DurableChange> unkept_;  // while it is full
};

}  // namespace eagleray
