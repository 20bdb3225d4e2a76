#include "shell/client_shell.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "io/process.h"
#include "wire/codec.h"

namespace eagleray {
namespace {

constexpr int kRecordsPerDrain = 256;
constexpr Duration kReasonWait = Duration::from_ms(200);
constexpr Duration kAskReasonAgain = Duration::from_s(1);  // whoever polls does so often
constexpr Duration kReasonKept = Duration::from_s(60);     // for the next look at its object
constexpr size_t kReasonsMax = 256;  // objects of one look; others' turn comes when those are there
constexpr int kRegisterTimeoutMs = 30'000;
// What workers print faster than the driver does is dropped from here on, and counted.
constexpr size_t kUntakenLogBytesMax = 64u << 20;
constexpr size_t kNodeUnreadBytesMax = 64u << 20;  // then who asks or creates an actor waits

PeerLost lost_because(ProcId proc, const char* reason) {
  PeerLost lost;
  lost.proc = proc;
  lost.exit.reason = reason;
  return lost;
}

}  // namespace

ClientShell::ClientShell(Options&& options)
    : options_(std::move(options)),
      socket_(std::move(options_.socket), {.unsent_bytes = SIZE_MAX}),  // kNodeUnreadBytesMax
      machine_(settings_) {}

Result<std::unique_ptr<ClientShell>> ClientShell::open(Options options) {
  raise_file_limit();  // two descriptors for each process that it talks to
  std::unique_ptr<ClientShell> shell(new ClientShell(std::move(options)));
  Result<Ok> started = shell->start();
  if (!started.ok()) return started.error();
  return shell;
}

Result<Ok> ClientShell::start() {
  Result<Fd> background = make_eventfd();
  Result<Fd> waiter = make_eventfd();
  Result<Fd> page = make_memfd("eagleray-doorbell", kPageBytes);
  if (!background.ok()) return background.error();
  if (!waiter.ok()) return waiter.error();
  if (!page.ok()) return page.error();
  Result<Fd> seat = make_eventfd();
  if (!seat.ok()) return seat.error();
  seat_bell_ = std::move(seat).value();
  background_bell_ = std::move(background).value();
  waiter_bell_ = std::move(waiter).value();
  page_fd_ = std::move(page).value();
  Result<Mapping> mapped = Mapping::map(page_fd_.get(), kPageBytes, Mapping::Access::kReadWrite);
  if (!mapped.ok()) return mapped.error();
  page_ = std::move(mapped).value();

  Register hello;
  hello.kind = options_.kind;
  hello.pid = static_cast<uint32_t>(::getpid());
  hello.startup_token = options_.startup_token;
  hello.name_space = options_.name_space;
  hello.job_config = options_.job_config;
  hello.wants_output = options_.wants_output;
  std::string bytes;
  encode(ClientToNode{hello}, bytes);
  const int fds[] = {background_bell_.get(), waiter_bell_.get(), page_fd_.get()};
  Result<Ok> sent = socket_.send(bytes, fds, 3);
  if (!sent.ok()) return sent;
  Result<Frame> frame = socket_.receive_one(kRegisterTimeoutMs);
  if (!frame.ok()) return frame.error();
  Result<NodeToClient> message = decode<NodeToClient>(frame.value().bytes);
  if (!message.ok()) return message.error();
  if (auto* refused = std::get_if<Refused>(&message.value())) {
    return Error{refused->code, "the node refused this process: " + refused->message};
  }
  auto* registered = std::get_if<Registered>(&message.value());
  if (!registered || frame.value().fds.empty()) {
    return Error{ErrorCode::kCorrupt, "the node answered with something unexpected"};
  }
  registered_ = *registered;
  job_ = registered_.job;
  const Result<Settings> settings = settings_from_text(registered_.settings);
  if (!settings.ok()) return settings.error();
  settings_ = settings.value();
  machine_.use(settings_);
  machine_.on_registered(registered_, static_cast<uint32_t>(::getpid()));
  history_.begin(registered_.session_dir + "/history", registered_.proc,
                 static_cast<uint32_t>(::getpid()));
  machine_.write_rows_to(history_.writer());
  allocator_.keep_empty(settings_.store_cache_bytes_max);
  allocator_.fit_store(settings_.object_store_memory);
  Result<Mapping> node_page =
      Mapping::map(frame.value().fds[0].get(), kPageBytes, Mapping::Access::kReadWrite);
  if (!node_page.ok()) return node_page.error();
  node_page_map_ = std::move(node_page).value();
  count_running(1);
  // Signals are the main thread's: a Ctrl-C must interrupt its wait, not the background thread's.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  background_ = std::thread([this] { run_background(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return Ok{};
}

ClientShell::~ClientShell() { close(); }

void ClientShell::close() {
  if (closed_.exchange(true)) return;
  ring_eventfd(background_bell_.get());
  ring_eventfd(waiter_bell_.get());
  if (background_.joinable()) background_.join();
  {
    std::lock_guard lock(mutex_);
    ++interrupts_;
    history_.end();
    count_running(-1);
    wake_waiting_for_seat();
  }
  { std::lock_guard lock(notify_mutex_); }  // whoever looked before is asleep now
  notified_.notify_all();
  ::shutdown(socket_.fd(), SHUT_RDWR);
}

void ClientShell::count_running(int32_t change) {
  if ((change > 0) == counted_ || (change > 0 && event_loop_)) return;
  counted_ = change > 0;
  count_thread(change);
}

void ClientShell::count_thread(int32_t change) {
  doorbell().counted_running.fetch_add(static_cast<uint32_t>(change), std::memory_order_relaxed);
  node_page().running.fetch_add(change, std::memory_order_relaxed);
}

JobInfo ClientShell::job() const {
  std::lock_guard lock(mutex_);
  return job_;
}

std::vector<uint32_t> ClientShell::gpus() const {
  std::lock_guard lock(mutex_);
  return gpus_;
}

// ---- effects ----

// Before anything is sent: whoever hears of an object must find it if this process dies. Costs a
// copy of the value (its place, if it is in the store) and no system call.
void ClientShell::write_estate() {
  const auto grow = [this](uint64_t more) {
    const uint64_t bytes = estate_.bytes_wanted(more);
    Result<Fd> file = bytes == 0 ? Result<Fd>(Error{}) : make_memfd("eagleray-estate", bytes);
    if (!file.ok()) return false;
    Result<Mapping> memory = Mapping::map(file.value().get(), bytes, Mapping::Access::kReadWrite);
    if (!memory.ok()) return false;
    EstateWriter next;
    next.begin(memory.value().data(), bytes, &estate_);
    std::string message;
    encode(ClientToNode{EstateFile{}}, message);
    const int fd = file.value().get();
    if (!socket_.send(message, &fd, 1).ok()) return false;
    estate_ = std::move(next);
    estate_memory_ = std::move(memory).value();
    return true;
  };
  for (const Bequest& bequest : effects_.leave) {
    scratch_.clear();
    encode(bequest.value, scratch_);
    if (!estate_.leave(bequest.object, scratch_) && grow(scratch_.size())) {
      (void)estate_.leave(bequest.object, scratch_);
    }
  }
  for (const ObjectId& object : effects_.withdraw) {
    if (!estate_.withdraw(object) && grow(0)) (void)estate_.withdraw(object);
  }
}

void ClientShell::apply() {
  carry_out();
  while (!arrived_here_.empty() || !not_created_.empty()) {
    for (ActorStatus& status : std::exchange(not_created_, {})) {
      machine_.on_node(ControlSays{RequestId{}, ActorUpdate{std::move(status)}}, monotonic_now(),
                       effects_);
    }
    for (Arrived& each : std::exchange(arrived_here_, {})) {
      machine_.on_peer(each.from, std::move(each.message), monotonic_now(), effects_);
    }
    carry_out();
  }
}

void ClientShell::keep_history(bool wanted) {
  std::lock_guard lock(mutex_);
  Settings settings = settings_;
  if (!wanted) settings.history_bytes_max = 0;
  machine_.use(settings);
}

void ClientShell::carry_out() {
  Effects& effects = effects_;
  for (const TaskRow& row : effects.history) history_.append(row, machine_);
  for (const Effects::ErrorText& error : effects.errors) history_.note_error(error);
  if (!effects.leave.empty() || !effects.withdraw.empty()) write_estate();
  for (Effects::ToPeer& out : effects.to_peer) {
    if (out.proc == machine_.proc()) {
      arrived_here_.push_back({out.proc, std::move(out.message)});
      continue;
    }
    const auto it = links_.find(out.proc);
    if (it == links_.end()) continue;  // lost since
    push(*it->second, out.message);
  }
  for (const ClientToNode& message : effects.to_node) tell_node(message);
  for (ActorCreation& creation : effects.create_actors) {
    if (creation.spec.name.empty()) unasked_.insert(creation.request);
    CreationArguments arguments{std::move(creation.arguments), std::move(creation.refs),
                                std::move(creation.nested)};
    encode(arguments, creation.spec.arguments);
    tell_node(AskControl{creation.request, CreateActor{std::move(creation.spec)}});
  }
  for (const ClientToNode& message : effects.after_creations) tell_node(message);
  for (const StoreLocation& extent : effects.free_extents) {
    for (SegmentId segment : allocator_.free(extent.segment, extent.offset)) {
      own_segments_.erase(segment);
      tell_node(ReleaseSegment{segment});
    }
  }
  if (!effects.free_extents.empty() && waiting_for_room_ > 0) {
    ++effects.completed;
    ring_eventfd(waiter_bell_.get());
  }
  if (!effects.notify.empty()) {
    std::lock_guard lock(notify_mutex_);
    notifications_.insert(notifications_.end(), effects.notify.begin(), effects.notify.end());
    notified_.notify_all();
  }
  for (ExecTask* task : effects.interrupt) {
    if (task->forced) {
      tell_node(Leaving{"the task that it ran was cancelled with force=True"});
      ::raise(SIGKILL);  // the node ends its process group
    }
    if (interrupt_hook_) interrupt_hook_(task);
  }
  const bool calls_loop = effects.runnable > 0 || !effects.interrupt.empty();
  if (calls_loop && task_bell_.valid()) ring_eventfd(task_bell_.get());
  if (effects.completed > 0 || effects.runnable > 0) {
    ++completions_;
    wake_waiting_for_seat();
    if (doorbell().waiter_sleeps.load(std::memory_order_relaxed) != 0 &&
        doorbell().waiter_sleeps.exchange(0, std::memory_order_acq_rel) != 0) {
      ring_eventfd(waiter_bell_.get());  // another thread made what the driving one waits for
    }
  }
  effects.clear();
  for (Link* link : polled_) {
    if (link->touched) ring(*link);
  }
  if (socket_.wants_write()) wake_driver();
}

// What this thread could not write, whoever sleeps at the socket must wait to write.
void ClientShell::wake_driver() {
  switch (whom_to_wake(doorbell())) {
    case Wake::kNobody: break;
    case Wake::kWaiter: ring_eventfd(waiter_bell_.get()); break;
    case Wake::kBackground: ring_eventfd(background_bell_.get()); break;
  }
}

void ClientShell::push(Link& link, const PeerMessage& message) {
  if (link.overflow.empty()) {
    scratch_.clear();
    encode(message, scratch_);
    if (scratch_.size() > kRecordBytesMax) return refuse_long(link, message, scratch_.size());
    link.touched = true;
    if (link.ends.writer.write(scratch_)) return;
    link.overflow.push_back(scratch_);
  } else {
    std::string& bytes = link.overflow.emplace_back();
    encode(message, bytes);
    if (const size_t size = bytes.size(); size > kRecordBytesMax) {
      link.overflow.pop_back();
      return refuse_long(link, message, size);
    }
  }
  flush_overflow(link);
}

// What cannot be sent fails where somebody waits for it.
void ClientShell::refuse_long(Link& link, const PeerMessage& message, size_t bytes) {
  Value error;
  error.kind = ValueKind::kSystemError;
  error.bytes = to_payload(FailureKind::kObjectLost,
                           "its message would have " + std::to_string(bytes) + " bytes; at most " +
                               std::to_string(kRecordBytesMax) +
                               " go in one: put() what is large, and pass fewer values at once");
  std::string().swap(scratch_);
  if (const auto* task = std::get_if<PushTask>(&message)) {
    TaskDone failed;
    failed.token = task->token;
    failed.returns.push_back(error);
    arrived_here_.push_back({link.proc, std::move(failed)});
  } else if (const auto* done = std::get_if<TaskDone>(&message)) {
    push(link, TaskDone{done->token,
                        done->outcome,
                        done->run_us,
                        done->leaving,
                        {error},
                        done->started_us,
                        ""});
  } else if (const auto* item = std::get_if<StreamItem>(&message)) {
    push(link, StreamItem{item->token, item->index, error});
  } else if (const auto* is = std::get_if<ObjectIs>(&message)) {
    push(link, ObjectIs{is->object, error});
  }
}

void ClientShell::tell_node(const ClientToNode& message) {
  scratch_.clear();
  encode(message, scratch_);
  const size_t bytes = scratch_.size();
  if (bytes <= kClientFrameBytesMax) {
    const Result<Ok> sent = socket_.send(scratch_);
    if (!sent.ok()) node_lost(sent.error().message);
    return;
  }
  std::string().swap(scratch_);
  const auto* ask = std::get_if<AskControl>(&message);
  if (!ask) return node_lost("a message to it is too long");
  const std::string why = "the request has " + std::to_string(bytes) + " bytes; at most " +
                          std::to_string(kClientFrameBytesMax) +
                          " go in one: put() what is large and pass the reference";
  answers_[ask->request] = Done{1 + static_cast<uint8_t>(ErrorCode::kLimit), why};
  ++effects_.completed;
  if (const auto* create = std::get_if<CreateActor>(&ask->call)) {
    ActorStatus& status = not_created_.emplace_back();
    status.actor = create->spec.actor;
    status.state = ActorState::kDead;
    status.exit.reason = why;
  }
}

void ClientShell::flush_overflow(Link& link) {
  while (!link.overflow.empty()) {
    link.touched = true;  // a write that fails may have published fragments
    if (link.ends.writer.write(link.overflow.front())) {
      link.overflow.pop_front();
    } else if (!link.ends.writer.wait_for_room()) {
      break;
    }
  }
}

void ClientShell::ring(Link& link) {
  link.touched = false;
  switch (whom_to_wake(link.doorbell())) {
    case Wake::kNobody: break;
    case Wake::kWaiter: ring_eventfd(link.waiter_bell.get()); break;
    case Wake::kBackground: ring_eventfd(link.background_bell.get()); break;
  }
}

// ---- events ----

bool ClientShell::drive(bool read_socket) {
  bool worked = false;
  if (read_socket) worked = read_node();
  for (size_t i = 0; i < polled_.size(); ++i) worked |= drain(*polled_[i]);
  return worked;
}

bool ClientShell::drain(Link& link) {
  bool worked = false;
  if (!link.overflow.empty() && link.ends.writer.room_was_made()) flush_overflow(link);
  for (int i = 0; i < kRecordsPerDrain; ++i) {
    Result<RingReader::Record> record = link.ends.reader.next();
    if (!record.ok()) {
      break_with(link.proc, "it wrote nonsense into its link");
      return true;
    }
    if (!record.value().found) break;
    worked = true;
    Result<PeerMessage> message = decode<PeerMessage>(record.value().body);
    link.ends.reader.consume();
    if (!message.ok()) {
      break_with(link.proc, "it sent a malformed message");
      return true;
    }
    machine_.on_peer(link.proc, std::move(message).value(), monotonic_now(), effects_);
  }
  link.touched |= link.ends.reader.take_room_wanted();
  if (worked) {
    apply();
  } else if (link.touched) {
    ring(link);
  }
  return worked;
}

// Lost, alive or not. A worker that this process has leased ends, so that its lease goes to others.
void ClientShell::break_with(ProcId peer, const char* why) {
  effects_.to_node.push_back(BrokenPeer{peer, why});
  lose_peer(lost_because(peer, why));
}

bool ClientShell::read_node() {
  if (closed()) return false;
  std::vector<Frame> frames;
  Result<Ok> received = socket_.receive(frames);
  for (Frame& frame : frames) handle_node(std::move(frame));
  if (socket_.wants_write()) {
    const bool was_full = !has_node_room();
    (void)socket_.flush().ok();
    if (was_full && has_node_room()) {  // threads wait for that
      ++effects_.completed;
      apply();
    }
  }
  if (!received.ok()) {
    node_lost(received.error().message);
    return true;
  }
  return !frames.empty();
}

void ClientShell::node_lost(const std::string& why) {
  if (exiting_.exchange(true)) return;
  exit_reason_ = "the node is gone: " + why;
  ::shutdown(socket_.fd(), SHUT_RDWR);  // so that it takes this process as dead
  machine_.on_node_lost(effects_);
  ++interrupts_;
  effects_.completed++;
  wake_waiting_for_seat();
}

void ClientShell::handle_node(Frame&& frame) {
  Result<NodeToClient> decoded = decode<NodeToClient>(frame.bytes);
  if (!decoded.ok()) return node_lost("it sent a malformed message");
  NodeToClient& message = decoded.value();
  if (auto* state = std::get_if<StateIs>(&message)) return keep_state(std::move(*state));
  if (auto* lines = std::get_if<LogLines>(&message)) return keep_logs(std::move(*lines));
  if (auto* linked = std::get_if<PeerLinked>(&message)) {
    add_link(*linked, std::move(frame.fds));
  } else if (auto* lost = std::get_if<PeerLost>(&message)) {
    return lose_peer(*lost);
  } else if (auto* granted = std::get_if<SegmentGranted>(&message)) {
    SegmentReply reply;
    reply.granted = !frame.fds.empty();
    reply.segment = granted->segment;
    reply.bytes = granted->bytes;
    if (reply.granted) reply.fd = std::move(frame.fds[0]);
    ++effects_.completed;
    if (abandoned_.erase(granted->request)) {
      effects_.to_node.push_back(ReleaseSegment{granted->segment});
    } else {
      segment_replies_[granted->request] = std::move(reply);
    }
  } else if (auto* denied = std::get_if<SegmentDenied>(&message)) {
    if (abandoned_.erase(denied->request)) return;
    SegmentReply& reply = segment_replies_[denied->request];
    reply.hopeless = denied->hopeless;
    reply.message = denied->message;
    ++effects_.completed;
  } else if (auto* opened = std::get_if<SegmentOpened>(&message)) {
    SegmentReply& reply = segment_replies_[opened->request];
    reply.granted = opened->found && !frame.fds.empty();
    reply.segment = opened->segment;
    reply.bytes = opened->bytes;
    if (reply.granted) reply.fd = std::move(frame.fds[0]);
    ++effects_.completed;
  } else if (auto* reclaim = std::get_if<ReclaimSegments>(&message)) {
    allocator_.keep_empty(reclaim->now_short ? 0 : settings_.store_cache_bytes_max);
    for (SegmentId segment :
         reclaim->now_short ? allocator_.give_up_empty() : std::vector<SegmentId>{}) {
      own_segments_.erase(segment);
      effects_.to_node.push_back(ReleaseSegment{segment});
    }
  } else if (auto* start = std::get_if<StartActor>(&message)) {
    gpus_ = start->gpus;
    actor_starts_.push_back(std::move(*start));
    ++effects_.runnable;
  } else if (auto* exit = std::get_if<Exit>(&message)) {
    if (exit->at_once) ::_exit(0);
    exit_reason_ = exit->reason;
    exiting_ = true;
    ++interrupts_;
    ++effects_.runnable;
    wake_waiting_for_seat();
  } else if (auto* assign = std::get_if<AssignJob>(&message)) {
    job_ = assign->job;
    runtime_env_ = assign->runtime_env;
    environment_setup_ = assign->setup;
    machine_.on_job(assign->job.job);
  } else if (auto* flushed = std::get_if<OutputFlushed>(&message)) {
    if (flushes_.erase(flushed->request)) ++effects_.completed;
  } else if (auto* says = std::get_if<ControlSays>(&message)) {
    if (!std::holds_alternative<ActorUpdate>(says->answer) && !unasked_.erase(says->request)) {
      answers_[says->request] = says->answer;
      ++effects_.completed;
    }
  }
  ask_holders(message);
  machine_.on_node(std::move(message), monotonic_now(), effects_);
  apply();
}

void ClientShell::keep_logs(LogLines&& lines) {
  std::lock_guard lock(notify_mutex_);
  if (log_bytes_ > kUntakenLogBytesMax) {
    logs_dropped_ += static_cast<uint64_t>(std::count(lines.text.begin(), lines.text.end(), '\n'));
  } else {
    log_bytes_ += lines.text.size();
    logs_.push_back(std::move(lines));
  }
  notified_.notify_all();
}

// The language may need locks for its answer that the thread which drives may not wait for.
void ClientShell::ask_holders(const NodeToClient& message) {
  const auto* tell = std::get_if<TellState>(&message);
  if (!tell || tell->about != StateAbout::kHolders) return;
  if (holders_hook_) {
    std::thread(holders_hook_, tell->question).detach();
  } else {
    effects_.to_node.push_back(StateTold{tell->question, {}});
  }
}

void ClientShell::keep_state(StateIs&& state) {
  const auto asked = states_.find(state.request);
  if (asked == states_.end()) return;  // nobody waits any more
  asked->second.complete = state.awaited == 0;
  if (asked->second.complete) ++effects_.completed;
  asked->second.answers.push_back(std::move(state));
  apply();
}

void ClientShell::add_link(const PeerLinked& message, std::vector<Fd>&& fds) {
  if (fds.size() != 4 || links_.contains(message.proc)) return;
  Result<Mapping> memory = Mapping::map(fds[0].get(), kLinkBytes, Mapping::Access::kReadWrite);
  Result<Mapping> page = Mapping::map(fds[3].get(), kPageBytes, Mapping::Access::kReadWrite);
  // Its other end is used: a process that cannot reach those who count on it is no part of the
  // cluster.
  if (!memory.ok() || !page.ok()) return node_lost("a link could not be mapped");
  char* data = memory.value().data();
  auto link = std::unique_ptr<Link>(new Link{message.proc,
                                             std::move(memory).value(),
                                             std::move(page).value(),
                                             std::move(fds[1]),
                                             std::move(fds[2]),
                                             link_ends(data, message.first),
                                             {},
                                             false});
  polled_.push_back(link.get());
  links_[message.proc] = std::move(link);
}

void ClientShell::lose_peer(const PeerLost& message) {
  uint64_t running = 0;
  const auto it = links_.find(message.proc);
  if (it != links_.end()) {
    Link& link = *it->second;
    // What it had answered before it died counts: a ring full at most, if it lives on and writes.
    for (uint64_t i = 0; i < kRingBytes / kRecordBytesMin; ++i) {
      Result<RingReader::Record> record = link.ends.reader.next();
      if (!record.ok() || !record.value().found) break;
      Result<PeerMessage> last = decode<PeerMessage>(record.value().body);
      link.ends.reader.consume();
      if (!last.ok()) break;
      machine_.on_peer(message.proc, std::move(last).value(), monotonic_now(), effects_);
    }
    running = link.ends.writer.peer_running_token().load(std::memory_order_acquire);
    std::erase(polled_, &link);
    links_.erase(it);
  }
  machine_.on_peer_lost(message, running, monotonic_now(), effects_);
  apply();
}

// ---- questions ----

void ClientShell::forget_answer(RequestId request) {
  Access machine = access();
  if (answers_.erase(request) != 0) return;
  unasked_.insert(request);
  machine.effects().to_node.push_back(Unask{request});
}

ClientShell::Waited ClientShell::wait_for_answer(RequestId request, const Wait& options,
                                                 ControlAnswer& answer) {
  const Waited waited = wait(
      [&] {
        const auto it = answers_.find(request);
        if (it == answers_.end()) return exiting();
        answer = std::move(it->second);
        answers_.erase(it);
        return true;
      },
      options);
  return waited;
}

bool ClientShell::has_node_room() const { return socket_.unsent_bytes() <= kNodeUnreadBytesMax; }

bool ClientShell::node_reads() const {
  std::lock_guard lock(mutex_);
  return has_node_room();
}

ClientShell::Waited ClientShell::wait_until_node_reads(const Wait& options) {
  return wait([this] { return has_node_room() || exiting(); }, options);
}

RequestId ClientShell::ask_control(ControlCall call) {
  Access machine = access();
  const RequestId request = machine->next_request();
  machine.effects().to_node.push_back(AskControl{request, std::move(call)});
  return request;
}

std::string ClientShell::wait_reason(Object* object) {
  RequestId request;
  std::string reason;
  {
    Access machine = access();
    reason = machine->wait_reason(object);
    request = machine->ask_reason(object, machine.effects());
  }
  if (!request) return reason;
  const Instant deadline = monotonic_now() + kReasonWait;
  while (wait([&] { return machine_.take_reason(request, reason); }, Wait{.deadline = deadline}) ==
         Waited::kInterrupted) {
  }
  Access machine = access();
  machine->forget_reason(request);
  return reason;
}

std::vector<std::string> ClientShell::reasons_so_far(const std::vector<Object*>& objects) {
  Access machine = access();
  const Instant now = monotonic_now();
  if (asked_reasons_.size() >= kReasonsMax) {  // of objects that nobody asks about any more
    std::erase_if(asked_reasons_, [&](const auto& each) {
      if (now < each.second.again_at + kReasonKept) return false;
      machine->forget_reason(each.second.request);
      return true;
    });
  }
  std::vector<std::string> reasons;
  for (Object* object : objects) {
    if (!object->pending()) continue;
    if (reasons.size() >= kReasonsMax) break;
    reasons.push_back(machine->wait_reason(object));
    const auto known = asked_reasons_.find(object->id);
    if (known == asked_reasons_.end() && asked_reasons_.size() >= kReasonsMax) continue;
    AskedReason& asked = known != asked_reasons_.end() ? known->second : asked_reasons_[object->id];
    machine->take_reason(asked.request, reasons.back());
    if (now < asked.again_at || !has_node_room()) continue;
    machine->forget_reason(asked.request);
    asked = {machine->ask_reason(object, machine.effects()), now + kAskReasonAgain};
  }
  return reasons;
}

std::vector<StateIs> ClientShell::ask_state(StateAbout about, uint32_t limit, ProcId only,
                                            Instant deadline, uint32_t& missing) {
  RequestId request;
  {
    Access machine = access();
    request = machine->next_request();
    states_[request];
    machine.effects().to_node.push_back(AskState{request, about, limit, only});
  }
  Waited waited = Waited::kInterrupted;
  while (waited == Waited::kInterrupted && !closed() && !exiting()) {
    waited =
        wait([&] { return states_[request].complete || exiting(); }, Wait{.deadline = deadline});
  }
  std::lock_guard lock(mutex_);
  Asked asked = std::move(states_[request]);
  states_.erase(request);
  missing = asked.complete ? 0 : asked.answers.empty() ? 1 : asked.answers.back().awaited;
  return std::move(asked.answers);
}

void ClientShell::set_holders_hook(std::function<void(RequestId)> hook) {
  std::lock_guard lock(mutex_);
  holders_hook_ = std::move(hook);
}

void ClientShell::answer_holders(RequestId question, std::string text) {
  StateTold told{question, {}};
  told.report.text = std::move(text);
  send_to_node(std::move(told));
}

// ---- worker ----

WorkerDuty ClientShell::next_duty() {
  WorkerDuty duty;
  for (;;) {
    const Waited waited = wait(
        [&] {
          if (!actor_starts_.empty()) {
            duty.kind = WorkerDuty::Kind::kStartActor;
            duty.actor = std::move(actor_starts_.front());
            actor_starts_.pop_front();
            return true;
          }
          if (ExecTask* task = machine_.take_task(monotonic_now())) {
            note_running(task);
            duty.kind = WorkerDuty::Kind::kTask;
            duty.task = task;
            return true;
          }
          if (exiting()) {
            duty.kind = WorkerDuty::Kind::kExit;
            duty.reason = exit_reason_;
            return true;
          }
          return false;
        },
        Wait{});
    if (waited == Waited::kTrue) return duty;
    if (waited == Waited::kClosed) {
      duty.kind = WorkerDuty::Kind::kExit;
      return duty;
    }
    if (waited == Waited::kInterrupted && !exiting()) return duty;  // kNone: look at signals
  }
}

ExecTask* ClientShell::next_task(const std::vector<std::string>& groups) {
  ExecTask* task = nullptr;
  for (;;) {
    const Waited waited = wait(
        [&] {
          task = groups.empty() ? machine_.take_task(monotonic_now())
                                : machine_.take_task(groups, monotonic_now());
          if (task) note_running(task);
          return task != nullptr || exiting();
        },
        Wait{});
    if (waited != Waited::kInterrupted || exiting()) return task;
  }
}

ExecTask* ClientShell::try_next_task() {
  std::lock_guard lock(mutex_);
  ExecTask* task = machine_.take_task(monotonic_now());
  if (task) note_running(task);
  return task;
}

// Says in the link what begins now, for the day this process dies of it.
void ClientShell::note_running(const ExecTask* task) {
  const auto it = links_.find(task->caller);
  if (it != links_.end()) it->second->ends.reader.set_running(task->push.token);
  doorbell().task_began_us.store(task->started_at.us, std::memory_order_relaxed);
  doorbell().task_retriable.store(task->push.retriable ? 1 : 0, std::memory_order_relaxed);
}

int ClientShell::task_eventfd() {
  std::lock_guard lock(mutex_);
  if (!task_bell_.valid()) {
    Result<Fd> bell = make_eventfd();
    if (bell.ok()) task_bell_ = std::move(bell).value();
    // Its main thread sleeps in an event loop that this shell does not see.
    count_running(-1);
    event_loop_ = true;
  }
  return task_bell_.get();
}

void ClientShell::flush() {
  const auto is_written = [this] {
    for (const Link* link : polled_) {
      if (!link->overflow.empty()) return false;
    }
    return !socket_.wants_write();
  };
  while (wait([&] { return exiting() || is_written(); }, Wait{}) == Waited::kInterrupted) {
  }
  // Told to exit, or without its node: what is not read soon may never be.
  (void)wait(is_written, Wait{.deadline = monotonic_now() + Duration::from_s(1)});
}

std::pair<std::string, std::string> ClientShell::runtime_env() const {
  std::lock_guard lock(mutex_);
  return {runtime_env_, environment_setup_};
}

void ClientShell::send_to_node(ClientToNode&& message) {
  Access machine = access();
  machine.effects().to_node.push_back(std::move(message));
}

void ClientShell::set_interrupt_hook(std::function<void(ExecTask*)> hook) {
  std::lock_guard lock(mutex_);
  interrupt_hook_ = std::move(hook);
}

std::vector<Object*> ClientShell::take_notifications(int timeout) {
  std::unique_lock lock(notify_mutex_);
  notified_.wait_for(lock, std::chrono::milliseconds(timeout),
                     [&] { return !notifications_.empty() || closed(); });
  return std::exchange(notifications_, {});
}

bool ClientShell::wait_for_logs(int timeout) {
  std::unique_lock lock(notify_mutex_);
  const auto ready = [&] { return !logs_.empty() || closed(); };
  if (timeout < 0) {
    notified_.wait(lock, ready);
  } else {
    notified_.wait_for(lock, std::chrono::milliseconds(timeout), ready);
  }
  return !closed();
}

std::vector<LogLines> ClientShell::take_logs() {
  std::lock_guard lock(notify_mutex_);
  log_bytes_ = 0;
  if (const uint64_t dropped = std::exchange(logs_dropped_, 0)) {
    logs_.push_back({0, true, "",
                     "eagleray: " + std::to_string(dropped) +
                         " lines of workers are not shown: they print faster than this terminal; "
                         "their logs have them\n"});
  }
  return std::exchange(logs_, {});
}

ClientShell::Waited ClientShell::flush_logs(bool open_lines, Instant deadline) {
  RequestId request;
  {
    Access machine = access();
    request = machine->next_request();
    flushes_.insert(request);
    machine.effects().to_node.push_back(FlushOutput{request, open_lines});
  }
  const Waited waited =
      wait([&] { return !flushes_.contains(request) || exiting(); }, Wait{.deadline = deadline});
  std::lock_guard lock(mutex_);
  flushes_.erase(request);
  return waited;
}

ClientShell::Waited ClientShell::wait_for_node_end(Instant deadline) {
  return wait([&] { return exiting(); }, Wait{.deadline = deadline});
}

}  // namespace eagleray
