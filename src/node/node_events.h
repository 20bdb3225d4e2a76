// What can happen to a node and what it can want: the vocabulary between NodeMachine and NodeShell.
// Plain values; the shell makes the events and carries out the effects in their order.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "message/cluster.h"
#include "message/local.h"

namespace eagleray {

// ---- events ----

// The first message of a connection to the node's socket. `connection` is the shell's number for it.
struct DriverConnected {
  uint64_t connection = 0;
  Register hello;
};
struct ClientSpoke {
  ProcId proc;
  ClientToNode message;
};
struct ClientLost {           // its connection ended, or it sent what no healthy client sends
  ProcId proc;
  std::string reason;
};
struct ZygoteReady {};
struct WorkerForked {
  ProcId proc;
  uint32_t pid = 0;
};
struct WorkerStartFailed {
  ProcId proc;
  std::string reason;
};
// The process is gone and its output has been read to the end. `exit.out_of_memory`: the kernel
// ended something of ours for lack of memory at about that time.
struct WorkerEnded {
  ProcId proc;
  ExitInfo exit;
};
struct WorkerPrinted {        // whole lines
  ProcId proc;
  bool error = false;
  std::string text;
};
struct SegmentFailed {        // the system refused the memory; its requester has been told
  SegmentId segment;
};
struct ExtentsCounted {       // answer to CountExtents
  SegmentId segment;
  uint32_t live = 0;
};
struct ControlConnected {};
struct ControlLost {};
struct ControlSpoke {
  ControlToNode message;
};
struct OwnerEnded {           // the driver that this node belongs to, or a request to stop
  std::string reason;
};
struct Tick {};

using NodeEvent = std::variant<DriverConnected, ClientSpoke, ClientLost, ZygoteReady, WorkerForked,
                               WorkerStartFailed, WorkerEnded, WorkerPrinted, SegmentFailed,
                               ExtentsCounted, ControlConnected, ControlLost, ControlSpoke,
                               OwnerEnded, Tick>;

// ---- effects ----

struct BindClient {           // `connection` is client `proc` from now on
  uint64_t connection = 0;
  ProcId proc;
};
struct RefuseClient {         // send Refused and close
  uint64_t connection = 0;
  std::string message;
};
// The shell adds the descriptors that belong to Registered, SegmentGranted and SegmentOpened.
struct SendToClient {
  ProcId proc;
  NodeToClient message;
};
struct SendToControl {
  NodeToControl message;
};
// Makes the rings and sends PeerLinked to both; `a` writes the first ring.
struct CreateLink {
  ProcId a, b;
  bool a_is_worker = false;
  bool b_is_worker = false;
};
struct StartWorker {          // WorkerForked or WorkerStartFailed, later Register from it
  ProcId proc;
};
struct KillWorker {           // SIGKILL to it and its process group; WorkerEnded follows
  ProcId proc;
};
struct CloseClient {
  ProcId proc;
};
struct MakeSegment {
  SegmentId segment;
  uint64_t bytes = 0;
};
struct DropSegment {
  SegmentId segment;
};
struct CountExtents {         // ExtentsCounted answers
  SegmentId segment;
};
struct Shutdown {
  std::string reason;
};

using NodeEffect = std::variant<BindClient, RefuseClient, SendToClient, SendToControl, CreateLink,
                                StartWorker, KillWorker, CloseClient, MakeSegment, DropSegment,
                                CountExtents, Shutdown>;

struct NodeEffects {
  std::vector<NodeEffect> list;

  template <class T>
  void add(T&& effect) {
    list.emplace_back(std::forward<T>(effect));
  }
  void send(ProcId proc, NodeToClient message) {
    list.emplace_back(SendToClient{proc, std::move(message)});
  }
};

}  // namespace eagleray
