// NodeShell: the node's one thread. It owns the loop, the sockets of clients, what workers print
// (WorkerOutput) and the segments' descriptors; NodeMachine decides. Control and the zygote are its
// children (ControlProcess, ZygoteProcess).
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/event_loop.h"
#include "io/frame_socket.h"
#include "io/memory.h"
#include "io/process.h"
#include "node/node_machine.h"
#include "shell/control_process.h"
#include "shell/environments.h"
#include "shell/event_log.h"
#include "shell/worker_output.h"
#include "shell/zygote_process.h"

namespace eagleray {

class NodeShell {
 public:
  struct Options {
    std::string session_dir;
    std::string socket_path;
    std::string log_dir;
    std::string python;
    std::string python_path;
    std::string control_program;
    pid_t driver_pid = 0;  // 0: a daemon
    int ready_fd = -1;     // this process's id is written when clients may connect
    NodeInfo info;
    Settings settings;
  };
  static Result<std::unique_ptr<NodeShell>> open(Options options);
  // Until SIGTERM, SIGINT or the driver's end; then ends every process it started.
  void run();

 private:
  struct Connection {
    FrameSocket socket;
    ProcId proc;
    pid_t pid = 0;  // worker: known before it registers
    bool wants_output = false;
    Fd background_bell, waiter_bell, page_fd;
    Fd estate;  // what it would leave behind; read after its death
    Mapping page;
    bool paused = false;  // not read: it asks control for more than control takes
    // A worker's, which is dead or dying: neither watched nor written to, and kept until the
    // worker's end is reported.
    bool closed = false;
    std::string cut_off;  // why; then what it says does not count, and it is told nothing
  };
  struct WorkerProcess {
    uint64_t token = 0;
    int connection = -1;
    std::unique_ptr<WorkerOutput> output;
  };

  explicit NodeShell(Options options);
  Result<Ok> start();
  void accept_clients();
  void add_connection(Fd socket, pid_t pid);
  void on_readable(int fd, uint32_t events);
  void on_frame(int fd, Frame&& frame);
  void close_connection(int fd);
  void on_signal();
  void on_zygote_lost(EnvironmentId zygote);
  ZygoteProcess::Handlers worker_handlers();
  Environments::Handlers environment_handlers();
  void on_worker_forked(uint64_t token, pid_t pid);
  void worker_start_failed(uint64_t token, const std::string& why);
  void cut_off(int fd, const std::string& why);
  void close_cut_off();
  void listen(Connection& connection);
  void resume_paused();
  void refuse_without_descriptors();
  Result<Ok> take_descriptors(Connection& connection, std::vector<Fd>& fds);
  void on_worker_exit(pid_t pid, int status);
  void look_at_memory();
  Result<Fd> make_segment(uint64_t bytes);
  void share_segment(const NodeEffects::ShareSegment& share);
  void start_worker(uint64_t token, EnvironmentId zygote);
  void watch_output(pid_t pid, WorkerProcess& process, WorkerOutput::Pipes pipes);
  bool show(pid_t pid, bool error, const std::string& name, std::string_view lines);
  void flush_output(ProcId client, const FlushOutput& wanted);
  void end_output();
  JobId job_of(const WorkerProcess& process) const;
  void apply(NodeEffects& effects);
  void on_control(const ControlToNode& message);
  void make_link(ProcId a, ProcId b);
  void send(ProcId to, const NodeToClient& message, const int* fds = nullptr, size_t count = 0);
  Connection* find(ProcId proc);  // nullptr if it is closed
  static std::vector<Bequest> read_bequests(const Connection& connection);

  Options options_;
  EventLoop loop_;
  NodeMachine node_;
  ControlProcess control_;
  ZygoteProcess zygote_;
  Environments environments_;
  MemoryReader memory_;
  EventLog events_;
  uint64_t kernel_kills_seen_ = 0;
  uint64_t file_limit_ = 0;  // how many files this process may open
  Fd listener_, signals_, driver_;
  Fd node_page_fd_;
  Mapping node_page_;
  std::map<int, std::unique_ptr<Connection>> connections_;
  std::map<ProcId, int> by_proc_;
  OutputRoom output_room_;
  std::map<pid_t, WorkerProcess> processes_;
  struct Starting {
    EnvironmentId zygote;
    Fd socket;
    WorkerOutput::Pipes pipes;
  };
  std::map<uint64_t, Starting> starting_;
  std::map<SegmentId, Fd> segments_;
  std::vector<int> cut_off_;  // connections to be closed at the end of this turn
  Fd spare_;  // to be closed for a connection that is refused for want of descriptors
  bool ending_ = false;
};

}  // namespace eagleray
