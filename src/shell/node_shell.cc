#include "shell/node_shell.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "io/log.h"
#include "node/memory_policy.h"
#include "store/doorbell.h"
#include "store/estate.h"
#include "store/link_layout.h"
#include "wire/codec.h"

namespace eagleray {
namespace {

// A process has ended: none of its threads runs any more.
void uncount(DoorbellPage& page, NodePage& node) {
  const auto awake = static_cast<int32_t>(page.counted_running.exchange(0));
  node.running.fetch_sub(awake);
}

// A driver that does not read is sent no more of what workers print; all else still fits.
constexpr size_t kUnreadBytesMax = 16u << 20;
constexpr size_t kTopProcesses = 5;
constexpr uint64_t kFilesPerWorker = 16;  // 9 once it runs; the rest is for links and segments
constexpr RestartRule::Limits kZygoteRestarts{5, Duration::from_ms(200), Duration::from_s(3)};
constexpr Duration kEndPatience = Duration::from_s(1);

}  // namespace

NodeShell::NodeShell(Options options)
    : options_(std::move(options)),
      loop_(std::move(EventLoop::open()).value()),
      node_(options_.settings, options_.info),
      control_(loop_,
               {options_.control_program, options_.session_dir + "/control.db",
                options_.log_dir + "/control.log", options_.session_dir + "/history",
                options_.driver_pid == 0, options_.settings},
               {[this] {
                  NodeEffects effects;
                  node_.on_control_attached(effects);
                  apply(effects);
                },
                [this] { node_.on_control_lost(); },
                [this](ControlToNode&& message) { on_control(message); }}),
      zygote_(loop_,
              {{options_.python, "-m", "eagleray._zygote"},
               {"PYTHONPATH=" + options_.python_path},
               kZygoteRestarts},
              worker_handlers()),
      environments_(loop_,
                    {options_.python, options_.python_path, options_.session_dir, options_.log_dir,
                     to_text(options_.settings)},
                    environment_handlers()),
      events_(options_.session_dir + "/history/" + options_.info.node.hex().substr(0, 16) +
              ".events"),
      kernel_kills_seen_(memory_.kernel_kills()),
      output_room_(OutputLimits::of(options_.settings), [this](const std::string& text) {
        NodeEffects effects;
        node_.tell_drivers(text, effects);
        apply(effects);
      }) {}

ZygoteProcess::Handlers NodeShell::worker_handlers() {
  return {[this](uint64_t token, pid_t pid) { on_worker_forked(token, pid); },
          [this](uint64_t token, const std::string& why) {
            starting_.erase(token);
            worker_start_failed(token, why);
          },
          [this](pid_t pid, int status) { on_worker_exit(pid, status); },
          [this] { on_zygote_lost(EnvironmentId{}); },
          {}};
}

Environments::Handlers NodeShell::environment_handlers() {
  return {[this](EnvironmentId id, const std::string& setup, bool own_zygote) {
            NodeEffects effects;
            node_.on_environment_ready(id, setup, own_zygote, monotonic_now(), effects);
            apply(effects);
          },
          [this](EnvironmentId id, const std::string& why) {
            log_line(LogLevel::kWarning, "a runtime environment could not be set up: " + why);
            NodeEffects effects;
            node_.on_environment_failed(id, why, monotonic_now(), effects);
            apply(effects);
          },
          [this](EnvironmentId id) { on_zygote_lost(id); }, worker_handlers()};
}

Result<std::unique_ptr<NodeShell>> NodeShell::open(Options options) {
  std::unique_ptr<NodeShell> shell(new NodeShell(std::move(options)));
  Result<Ok> started = shell->start();
  if (!started.ok()) return started.error();
  return shell;
}

Result<Ok> NodeShell::start() {
  become_subreaper();
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGCHLD, SIG_DFL);  // it may have been ignored by whoever started this
  ::signal(SIGXFSZ, SIG_IGN);  // a log that may not grow is no reason to end
  sigset_t ours;
  sigemptyset(&ours);
  sigaddset(&ours, SIGTERM);
  sigaddset(&ours, SIGINT);
  // So that the loop turns, and reaps, when control, the zygote or an adopted worker ends.
  sigaddset(&ours, SIGCHLD);
  sigprocmask(SIG_BLOCK, &ours, nullptr);
  file_limit_ = raise_file_limit();
  Result<Ok> zygote = zygote_.start();
  if (!zygote.ok()) return zygote;
  signals_ = Fd(::signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK));
  Result<Ok> added = loop_.add(signals_.get(), EPOLLIN, [this](uint32_t) { on_signal(); });
  if (!added.ok()) return added;
  if (options_.driver_pid != 0) {
    Result<Fd> driver = open_pidfd(options_.driver_pid);
    if (!driver.ok()) return driver.error();
    driver_ = std::move(driver).value();
    added = loop_.add(driver_.get(), EPOLLIN, [this](uint32_t) { ending_ = true; });
    if (!added.ok()) return added;
  }
  Result<Fd> page = make_memfd("eagleray-node", kPageBytes);
  if (!page.ok()) return page.error();
  node_page_fd_ = std::move(page).value();
  Result<Mapping> mapped =
      Mapping::map(node_page_fd_.get(), kPageBytes, Mapping::Access::kReadWrite);
  if (!mapped.ok()) return mapped.error();
  node_page_ = std::move(mapped).value();
  reinterpret_cast<NodePage*>(node_page_.data())
      ->cores.store(static_cast<int32_t>(std::max(1u, std::thread::hardware_concurrency())));

  Result<Ok> control = control_.start();
  if (!control.ok()) return control;
  Result<Fd> listener = listen_unix(options_.socket_path);
  if (!listener.ok()) return listener.error();
  listener_ = std::move(listener).value();
  Result<Fd> spare = make_eventfd();
  if (!spare.ok()) return spare.error();
  spare_ = std::move(spare).value();
  added = loop_.add(listener_.get(), EPOLLIN, [this](uint32_t) { accept_clients(); });
  if (!added.ok()) return added;
  if (options_.ready_fd >= 0) {
    const std::string pid = std::to_string(::getpid());
    [[maybe_unused]] const ssize_t n = ::write(options_.ready_fd, pid.data(), pid.size());
    ::close(options_.ready_fd);
  }
  return Ok{};
}

void NodeShell::on_signal() {
  signalfd_siginfo info;
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo != SIGCHLD) ending_ = true;
  }
}

void NodeShell::run() {
  while (!ending_) {
    const Instant next =
        std::min({node_.next_deadline(), control_.next_deadline(), zygote_.next_deadline(),
                  environments_.next_deadline(), node_.next_memory_look()});
    int timeout = -1;
    if (next != Instant::never()) {
      timeout = static_cast<int>(std::max<int64_t>(0, (next - monotonic_now()).us / 1000 + 1));
    }
    if (!loop_.run_once(timeout).ok()) break;
    close_cut_off();
    int status = 0;
    while (const pid_t pid = ::waitpid(-1, &status, WNOHANG)) {
      if (pid < 0) break;
      control_.on_exit(pid, status);
      zygote_.hear();  // it may have said that it has forked this one
      zygote_.on_exit(pid, status);
      environments_.hear();
      environments_.on_exit(pid, status);
      on_worker_exit(pid, status);  // one that outlived its zygote, for a moment
    }
    Result<Ok> control = control_.tick(monotonic_now());
    if (control.ok() && node_.awaits_job()) control = control_.room_to_begin();
    const Result<Ok> zygote = zygote_.tick(monotonic_now());
    if (!control.ok() || !zygote.ok()) {
      NodeEffects effects;
      node_.on_given_up(control.ok() ? zygote.error() : control.error(), effects);
      apply(effects);
      break;
    }
    NodeEffects effects;
    node_.tick(monotonic_now(), effects);
    apply(effects);
    environments_.tick(monotonic_now());
    if (node_.next_memory_look() <= monotonic_now()) look_at_memory();
  }
  for (auto& [pid, process] : processes_) {
    ::kill(-pid, SIGKILL);
    ::kill(pid, SIGKILL);
  }
  end_descendants(kEndPatience);
  end_output();
  ::unlink(options_.socket_path.c_str());
}

void NodeShell::accept_clients() {
  for (;;) {
    Result<Fd> socket = accept_same_user(listener_.get());
    if (!socket.ok()) return refuse_without_descriptors();
    if (!socket.value().valid()) return;
    add_connection(std::move(socket).value(), 0);
  }
}

// Who waits would be told of by the loop for ever: it is accepted with the spare one and closed.
void NodeShell::refuse_without_descriptors() {
  if (!spare_.valid()) return;
  log_line(LogLevel::kWarning, "a client was refused: the node has no more file descriptors");
  spare_.reset();
  { const Result<Fd> refused = accept_same_user(listener_.get()); }
  Result<Fd> spare = make_eventfd();
  if (spare.ok()) spare_ = std::move(spare).value();
}

void NodeShell::add_connection(Fd socket, pid_t pid) {
  const int fd = socket.get();
  auto connection = std::make_unique<Connection>(
      Connection{FrameSocket(std::move(socket), {.accepted_bytes = kClientFrameBytesMax}),
                 {},
                 pid,
                 false,
                 {},
                 {},
                 {},
                 {},
                 {},
                 false,
                 false,
                 ""});
  connections_[fd] = std::move(connection);
  const Result<Ok> added =
      loop_.add(fd, EPOLLIN, [this, fd](uint32_t events) { on_readable(fd, events); });
  if (!added.ok()) connections_.erase(fd);
}

void NodeShell::on_readable(int fd, uint32_t events) {
  const auto it = connections_.find(fd);
  if (it == connections_.end()) return;
  if (events & EPOLLOUT) {
    if (!it->second->socket.flush().ok()) return close_connection(fd);
    if (!it->second->socket.wants_write()) listen(*it->second);
  }
  // A paused one that has ended is read to its end.
  if (it->second->paused && (events & (EPOLLHUP | EPOLLERR)) == 0) return;
  std::vector<Frame> frames;
  const Result<Ok> received = it->second->socket.receive(frames);
  for (Frame& frame : frames) {
    if (!connections_.contains(fd)) return;
    on_frame(fd, std::move(frame));
  }
  if (!received.ok() && connections_.contains(fd)) close_connection(fd);
}

void NodeShell::on_frame(int fd, Frame&& frame) {
  Connection& connection = *connections_.at(fd);
  if (!connection.cut_off.empty()) return;
  Result<ClientToNode> message = decode<ClientToNode>(frame.bytes);
  if (!message.ok()) return cut_off(fd, message.error().message);
  NodeEffects effects;
  if (auto* hello = std::get_if<Register>(&message.value())) {
    if (connection.proc || hello->version != kLocalVersion) {
      std::string refused;
      encode(NodeToClient{Refused{ErrorCode::kInvalid, "versions differ, or it registered twice"}},
             refused);
      (void)connection.socket.send(refused).ok();
      return cut_off(fd, "its version differs, or it registered twice");
    }
    const Result<Ok> taken = take_descriptors(connection, frame.fds);
    if (!taken.ok()) return cut_off(fd, taken.error().message);
    connection.wants_output = hello->wants_output;
    if (connection.pid != 0) {
      hello->kind = ClientKind::kWorker;
      hello->pid = static_cast<uint32_t>(connection.pid);
      hello->private_bytes = private_bytes_of(connection.pid);
    } else {
      hello->kind = ClientKind::kDriver;  // only the zygote's children are workers
    }
    // The id is fixed before its effects are carried out: Registered is among them.
    connection.proc = node_.on_register(*hello, monotonic_now(), effects);
    by_proc_[connection.proc] = fd;
  } else if (const auto* flush = std::get_if<FlushOutput>(&message.value())) {
    flush_output(connection.proc, *flush);
  } else if (std::get_if<EstateFile>(&message.value())) {
    if (frame.fds.size() != 1 || !check_shared_memory(frame.fds[0].get(), 0).ok()) {
      return cut_off(fd, "an estate that is no sealed memory");
    }
    connection.estate = std::move(frame.fds[0]);
  } else if (connection.proc) {
    node_.on_client(connection.proc, message.value(), monotonic_now(), effects);
    const bool for_control = std::holds_alternative<AskControl>(message.value()) ||
                             std::holds_alternative<ActorStarted>(message.value());
    if (for_control && node_.control_is_behind() && !connection.closed &&
        !std::exchange(connection.paused, true)) {
      listen(connection);
    }
  }
  apply(effects);
}

void NodeShell::listen(Connection& connection) {
  uint32_t events = 0;
  if (!connection.paused) events |= EPOLLIN;
  if (connection.socket.wants_write()) events |= EPOLLOUT;
  loop_.set_events(connection.socket.fd(), events);
}

void NodeShell::resume_paused() {
  if (node_.control_is_behind()) return;
  for (const auto& [fd, connection] : connections_) {
    if (connection->cut_off.empty() && std::exchange(connection->paused, false)) {
      listen(*connection);
    }
  }
}

// Of a client that registers: its two bells and its page, in this order.
Result<Ok> NodeShell::take_descriptors(Connection& connection, std::vector<Fd>& fds) {
  if (fds.size() != 3) return Error{ErrorCode::kCorrupt, "descriptors too many or too few"};
  for (size_t i = 0; i < 2; ++i) {
    const Result<Ok> bell = check_eventfd(fds[i].get());
    if (!bell.ok()) return bell;
  }
  const Result<Ok> sealed = check_shared_memory(fds[2].get(), kPageBytes);
  if (!sealed.ok()) return sealed;
  Result<Mapping> page = Mapping::map(fds[2].get(), kPageBytes, Mapping::Access::kReadWrite);
  if (!page.ok()) return page.error();
  connection.background_bell = std::move(fds[0]);
  connection.waiter_bell = std::move(fds[1]);
  connection.page_fd = std::move(fds[2]);
  connection.page = std::move(page).value();
  return Ok{};
}

// Not at once: the connection may be in use further up.
void NodeShell::cut_off(int fd, const std::string& why) {
  const auto it = connections_.find(fd);
  if (it == connections_.end() || !it->second->cut_off.empty()) return;
  it->second->cut_off = why;
  cut_off_.push_back(fd);
  const pid_t pid = it->second->pid;
  log_line(LogLevel::kWarning, (pid != 0 ? "worker process " + std::to_string(pid) : "a driver") +
                                   " is cut off: " + why);
}

void NodeShell::close_cut_off() {
  for (int fd : std::exchange(cut_off_, {})) {
    const auto it = connections_.find(fd);  // by now it may be another's
    if (it != connections_.end() && !it->second->cut_off.empty()) close_connection(fd);
  }
}

void NodeShell::close_connection(int fd) {
  const auto it = connections_.find(fd);
  if (it == connections_.end()) return;
  const pid_t pid = it->second->pid;
  const ProcId proc = it->second->proc;
  if (pid != 0) {
    // A worker without its node is of no use. Its death is what counts, and the zygote reports it.
    loop_.remove(fd);
    it->second->closed = true;
    it->second->paused = false;
    ::kill(-pid, SIGKILL);
    ::kill(pid, SIGKILL);
    return;
  }
  loop_.remove(fd);
  auto* page = reinterpret_cast<DoorbellPage*>(it->second->page.data());
  if (page) uncount(*page, *reinterpret_cast<NodePage*>(node_page_.data()));
  const std::vector<Bequest> bequests = read_bequests(*it->second);
  ExitInfo exit;
  exit.reason = it->second->cut_off.empty() ? "the driver has ended"
                                            : "the driver was cut off: " + it->second->cut_off;
  connections_.erase(it);
  if (!proc) return;
  by_proc_.erase(proc);
  NodeEffects effects;
  node_.on_client_gone(proc, exit, bequests, monotonic_now(), effects);
  apply(effects);
}

// ---- workers ----

void NodeShell::start_worker(uint64_t token, EnvironmentId zygote) {
  Starting starting;
  Result<SocketPair> sockets = make_socket_pair();
  Result<Pipe> out = make_pipe();
  Result<Pipe> err = make_pipe();
  std::string problem;
  if (!sockets.ok()) problem = sockets.error().message;
  if (!out.ok()) problem = out.error().message;
  if (!err.ok()) problem = err.error().message;
  const uint64_t files = open_files();
  if (files + kFilesPerWorker * (starting_.size() + 1) > file_limit_) {
    problem = "the node has " + std::to_string(files) + " files open and may open " +
              std::to_string(file_limit_) + ": raise the limit (ulimit -n)";
  }
  if (!problem.empty()) return worker_start_failed(token, problem);
  starting.zygote = zygote;
  starting.socket = std::move(sockets.value().ours);
  starting.pipes = {std::move(out.value().read), std::move(err.value().read)};
  const int fds[3] = {sockets.value().theirs.get(), out.value().write.get(),
                      err.value().write.get()};
  const Result<Ok> asked =
      zygote ? environments_.fork_worker(zygote, token, fds) : zygote_.fork_worker(token, fds);
  if (!asked.ok()) return worker_start_failed(token, asked.error().message);
  starting_[token] = std::move(starting);
}

void NodeShell::worker_start_failed(uint64_t token, const std::string& why) {
  NodeEffects effects;
  node_.on_worker_start_failed(token, why, monotonic_now(), effects);
  apply(effects);
}

// Its workers end by themselves, and are reaped here.
void NodeShell::on_zygote_lost(EnvironmentId zygote) {
  std::vector<uint64_t> tokens;
  for (const auto& [token, starting] : starting_) {
    if (starting.zygote == zygote) tokens.push_back(token);
  }
  for (uint64_t token : tokens) {
    starting_.erase(token);
    worker_start_failed(token, "the zygote that was to fork it has ended");
  }
}

void NodeShell::on_worker_forked(uint64_t token, pid_t pid) {
  const auto it = starting_.find(token);
  if (it == starting_.end()) return;
  WorkerProcess& process = processes_[pid];
  process.token = token;
  process.connection = it->second.socket.get();
  set_oom_score_adjustment(pid, options_.settings.worker_oom_score_adjustment);
  watch_output(pid, process, std::move(it->second.pipes));
  add_connection(std::move(it->second.socket), pid);
  starting_.erase(it);
}

void NodeShell::look_at_memory() {
  const MemoryUse use = memory_.read();
  if (!node_.on_memory(use, monotonic_now())) return;
  MemorySample sample;
  sample.use = use;
  for (const auto& [fd, connection] : connections_) {
    if (!connection->proc || connection->pid == 0) continue;
    const auto& page = *reinterpret_cast<const DoorbellPage*>(connection->page.data());
    sample.clients.push_back({connection->proc, private_bytes_of(connection->pid),
                              page.task_retriable.load(std::memory_order_relaxed) != 0,
                              Instant{page.task_began_us.load(std::memory_order_relaxed)}});
  }
  for (const ProcessMemory& each : largest_processes(kTopProcesses)) {
    sample.top.push_back({static_cast<uint32_t>(each.pid), each.bytes, each.command});
  }
  NodeEffects effects;
  node_.on_process_memory(sample, effects);
  apply(effects);
}

void NodeShell::on_worker_exit(pid_t pid, int status) {
  const auto it = processes_.find(pid);
  if (it == processes_.end()) return;
  ::kill(-pid, SIGKILL);  // what it left in its process group
  it->second.output->flush(true);
  ExitInfo exit;
  if (WIFSIGNALED(status)) {
    exit.signal = WTERMSIG(status);
    exit.reason = "worker process " + std::to_string(pid) + " died";
    if (exit.signal == SIGKILL && memory_.kernel_kills() > kernel_kills_seen_) {
      ++kernel_kills_seen_;
      exit.out_of_memory = true;
      const MemoryUse use = memory_.read();
      exit.reason = "the kernel ended worker process " + std::to_string(pid) +
                    " because memory was full (" + bytes_text(use.limit) + " of " + use.where +
                    "). What to do: run fewer such tasks at once, make them smaller, or give more "
                    "memory; a lower memory_usage_threshold lets the memory monitor act sooner";
      log_line(LogLevel::kWarning, exit.reason);
    }
  } else {
    exit.exit_code = WEXITSTATUS(status);
    exit.reason = "worker process " + std::to_string(pid) + " exited with status " +
                  std::to_string(exit.exit_code);
  }
  WorkerProcess& process = it->second;
  exit.stderr_tail = process.output->tail();
  for (bool error : {false, true}) loop_.remove(process.output->fd(error));
  const int fd = process.connection;
  const uint64_t token = process.token;
  processes_.erase(it);
  const auto connection = connections_.find(fd);
  if (connection == connections_.end() || connection->second->pid != pid) return;
  // Its last messages count.
  std::vector<Frame> frames;
  (void)connection->second->socket.receive(frames).ok();
  for (Frame& frame : frames) on_frame(fd, std::move(frame));
  const ProcId proc = connection->second->proc;
  auto* page = reinterpret_cast<DoorbellPage*>(connection->second->page.data());
  if (page) uncount(*page, *reinterpret_cast<NodePage*>(node_page_.data()));
  loop_.remove(fd);
  if (!connection->second->cut_off.empty()) {
    exit.reason =
        "worker process " + std::to_string(pid) + " was ended: " + connection->second->cut_off;
  }
  const std::vector<Bequest> bequests = read_bequests(*connection->second);
  connections_.erase(fd);
  NodeEffects effects;
  if (!proc) {
    node_.on_worker_start_failed(
        token,
        exit.reason + " as it started" + (exit.stderr_tail.empty() ? "" : ":\n" + exit.stderr_tail),
        monotonic_now(), effects);
    return apply(effects);
  }
  by_proc_.erase(proc);
  node_.on_client_gone(proc, exit, bequests, monotonic_now(), effects);
  apply(effects);
}

// Read, not mapped: whoever still has the file cannot take it from under us.
std::vector<Bequest> NodeShell::read_bequests(const Connection& connection) {
  std::vector<Bequest> bequests;
  if (!connection.estate.valid()) return bequests;
  const Result<uint64_t> bytes = size_of(connection.estate.get());
  if (!bytes.ok() || bytes.value() > 2 * kEstateBytesMax) return bequests;
  std::string file(bytes.value(), '\0');
  if (::pread(connection.estate.get(), file.data(), file.size(), 0) !=
      static_cast<ssize_t>(file.size())) {
    return bequests;
  }
  for (const auto& [object, value] : read_estate(file)) {
    Result<Value> decoded = decode<Value>(value);
    if (decoded.ok()) bequests.push_back(Bequest{object, std::move(decoded).value()});
  }
  return bequests;
}

// ---- what workers print ----

void NodeShell::watch_output(pid_t pid, WorkerProcess& process, WorkerOutput::Pipes pipes) {
  process.output = std::make_unique<WorkerOutput>(
      std::move(pipes), output_room_,
      WorkerOutput::Options{options_.log_dir + "/worker-" + std::to_string(pid),
                            options_.settings.log_shown_bytes_per_s},
      [this, pid](bool error, const std::string& name, std::string_view lines) {
        return show(pid, error, name, lines);
      });
  WorkerOutput* output = process.output.get();
  for (bool error : {false, true}) {
    const int fd = output->fd(error);
    // Watched until its end, or the worker's: then the WorkerOutput goes.
    (void)loop_
        .add(fd, EPOLLIN,
             [this, output, error, fd](uint32_t) {
               if (!output->read(error)) loop_.remove(fd);
             })
        .ok();
  }
}

JobId NodeShell::job_of(const WorkerProcess& process) const {
  const auto connection = connections_.find(process.connection);
  return connection == connections_.end() ? JobId{} : node_.job_of_proc(connection->second->proc);
}

bool NodeShell::show(pid_t pid, bool error, const std::string& name, std::string_view lines) {
  const auto process = processes_.find(pid);
  if (process == processes_.end()) return true;
  const ProcId driver = node_.driver_of(job_of(process->second));
  const Connection* connection = find(driver);
  if (!connection || !connection->wants_output) return true;  // nobody looks
  if (connection->socket.unsent_bytes() > kUnreadBytesMax) return false;
  send(driver, LogLines{static_cast<uint32_t>(pid), error, name, std::string(lines)});
  return true;
}

void NodeShell::flush_output(ProcId client, const FlushOutput& wanted) {
  const JobId job = node_.job_of_proc(client);
  for (auto& [pid, process] : processes_) {
    if (job_of(process) == job) process.output->flush(wanted.open_lines);
  }
  send(client, OutputFlushed{wanted.request});
}

// The workers are dead. What they printed last still lies in their pipes, and what has been read
// may wait for a driver to take it.
void NodeShell::end_output() {
  for (auto& [pid, process] : processes_) process.output->flush(true);
  const Instant until = monotonic_now() + kEndPatience;
  for (auto& [fd, connection] : connections_) {
    while (connection->pid == 0 && connection->socket.flush().ok() &&
           connection->socket.wants_write() && monotonic_now() < until) {
      pollfd wait{fd, POLLOUT, 0};
      ::poll(&wait, 1, static_cast<int>((until - monotonic_now()).us / 1000 + 1));
    }
  }
}

// ---- effects ----

NodeShell::Connection* NodeShell::find(ProcId proc) {
  const auto it = by_proc_.find(proc);
  if (it == by_proc_.end()) return nullptr;
  const auto connection = connections_.find(it->second);
  const bool open = connection != connections_.end() && !connection->second->closed;
  return open ? connection->second.get() : nullptr;
}

void NodeShell::send(ProcId to, const NodeToClient& message, const int* fds, size_t count) {
  Connection* connection = find(to);
  if (!connection || !connection->cut_off.empty()) return;
  std::string bytes;
  encode(message, bytes);
  const Result<Ok> sent = connection->socket.send(bytes, fds, count);
  if (!sent.ok()) {
    if (sent.error().code == ErrorCode::kUnavailable) return;  // the loop sees the stream's end
    return cut_off(connection->socket.fd(), sent.error().message);
  }
  if (connection->socket.wants_write()) listen(*connection);
}

void NodeShell::apply(NodeEffects& effects) {
  for (size_t i = 0; i < effects.list.size(); ++i) {
    NodeEffects::Effect& effect = effects.list[i];
    if (auto* out = std::get_if<NodeEffects::ToClient>(&effect)) {
      if (auto* registered = std::get_if<Registered>(&out->message)) {
        registered->session_dir = options_.session_dir;
        const int page = node_page_fd_.get();
        send(out->to, out->message, &page, 1);
      } else {
        send(out->to, out->message);
      }
    } else if (auto* link = std::get_if<NodeEffects::MakeLink>(&effect)) {
      make_link(link->a, link->b);
    } else if (auto* worker = std::get_if<NodeEffects::StartWorker>(&effect)) {
      start_worker(worker->token, worker->zygote);
    } else if (auto* kill = std::get_if<NodeEffects::Kill>(&effect)) {
      ::kill(-static_cast<pid_t>(kill->pid), SIGKILL);
      ::kill(static_cast<pid_t>(kill->pid), SIGKILL);
    } else if (auto* make = std::get_if<NodeEffects::MakeSegment>(&effect)) {
      Result<Fd> segment = make_segment(make->bytes);
      if (!segment.ok()) {
        // Its place in the list may move as the machine appends.
        const NodeEffects::MakeSegment wanted = *make;
        node_.on_segment_failed(wanted, segment.error().message, effects);
        continue;
      }
      const int fd = segment.value().get();
      segments_[make->segment] = std::move(segment).value();
      send(make->to, SegmentGranted{make->request, make->segment, make->bytes}, &fd, 1);
    } else if (auto* share = std::get_if<NodeEffects::ShareSegment>(&effect)) {
      share_segment(*share);
    } else if (auto* cut = std::get_if<NodeEffects::CutOff>(&effect)) {
      const auto connection = by_proc_.find(cut->proc);
      if (connection != by_proc_.end()) cut_off(connection->second, cut->why);
    } else if (auto* drop = std::get_if<NodeEffects::DropSegment>(&effect)) {
      segments_.erase(drop->segment);
    } else if (auto* build = std::get_if<NodeEffects::BuildEnvironment>(&effect)) {
      environments_.build(build->environment, build->runtime_env);
    } else if (auto* stop = std::get_if<NodeEffects::StopBuild>(&effect)) {
      environments_.stop(stop->environment, stop->why);
    } else if (auto* unused = std::get_if<NodeEffects::EndEnvironment>(&effect)) {
      environments_.end(unused->environment);
    } else if (auto* message = std::get_if<FromNode>(&effect)) {
      control_.send(*message);
    }
  }
  for (const std::string& warning : effects.warnings) {
    log_line(LogLevel::kWarning, warning);
    events_.warn(warning);
  }
  for (const NodeEffects::Event& event : effects.events) events_.write(event);
  effects.events.clear();
  effects.list.clear();
  effects.warnings.clear();
}

// To a reader: what another process has written is not its to change.
void NodeShell::share_segment(const NodeEffects::ShareSegment& share) {
  SegmentOpened opened{share.request, share.segment, false, 0};
  const auto it = segments_.find(share.segment);
  if (it == segments_.end()) return send(share.to, opened);
  const Result<uint64_t> bytes = size_of(it->second.get());
  const Result<Fd> reader = read_only(it->second.get());
  if (!bytes.ok() || !reader.ok()) return send(share.to, opened);
  opened.found = true;
  opened.bytes = bytes.value();
  const int fd = reader.value().get();
  send(share.to, opened, &fd, 1);
}

// The kernel would find out at the first write only, with SIGBUS or by ending a process.
Result<Fd> NodeShell::make_segment(uint64_t bytes) {
  if (segments_.size() >= file_limit_ / 2) {
    return Error{ErrorCode::kLimit,
                 "the object store has " + std::to_string(segments_.size()) +
                     " segments, a file descriptor each, and the node may open " +
                     std::to_string(file_limit_) + ": raise the limit (ulimit -n)"};
  }
  const MemoryUse use = memory_.read();
  if (use.limit > 0 && use.room() < bytes) {
    return Error{ErrorCode::kLimit, bytes_text(bytes) +
                                        " of the object store are wanted and only " +
                                        bytes_text(use.room()) + " of the " +
                                        bytes_text(use.limit) + " of " + use.where +
                                        " are free: use less memory, or give "
                                        "init() less object_store_memory"};
  }
  return make_memfd("eagleray-segment", bytes);
}

void NodeShell::on_control(const ControlToNode& message) {
  NodeEffects effects;
  node_.on_control(message, monotonic_now(), effects);
  apply(effects);
  if (std::holds_alternative<Acknowledged>(message)) resume_paused();
}

void NodeShell::make_link(ProcId a, ProcId b) {
  Connection* first = find(a);
  Connection* second = find(b);
  if (!first || !second) return;  // one has died: PeerLost is on its way
  Result<Fd> rings = make_memfd("eagleray-link", kLinkBytes);
  if (!rings.ok()) {  // its end tells everybody who waits for it
    log_line(LogLevel::kError, rings.error().message);
    ::kill(second->pid != 0 ? second->pid : first->pid, SIGKILL);
    return;
  }
  auto hand = [&](ProcId to, ProcId peer, const Connection& from, bool is_first) {
    const int fds[] = {rings.value().get(), from.background_bell.get(), from.waiter_bell.get(),
                       from.page_fd.get()};
    send(to, PeerLinked{peer, is_first, from.pid != 0}, fds, 4);
  };
  hand(a, b, *second, true);
  hand(b, a, *first, false);
}

}  // namespace eagleray
