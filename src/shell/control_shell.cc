#include "shell/control_shell.h"

#include <sys/epoll.h>

#include <algorithm>
#include <iterator>
#include <string>

#include "io/log.h"
#include "wire/codec.h"

namespace eagleray {
namespace {

constexpr Duration kDiskRetry = Duration::from_ms(200);
// Written and erased before a disk counts as having room again; so much is there for what follows.
constexpr size_t kTrialBytes = 64u << 10;
constexpr int64_t kTrialTable = -1;
constexpr size_t kAnswerBytesMax = 64u << 20;  // of one turn, and waiting to be sent: then it stops

// Of the few that may be large.
size_t bytes_of(const ControlToNode& message) {
  const auto* answer = std::get_if<AnswerClient>(&message);
  if (!answer) return 0;
  size_t bytes = 0;
  if (const auto* value = std::get_if<KvValue>(&answer->answer)) bytes = value->value.size();
  if (const auto* keys = std::get_if<KvKeys>(&answer->answer)) {
    for (const std::string& key : keys->keys) bytes += key.size();
  }
  if (const auto* found = std::get_if<FoundActor>(&answer->answer))
    bytes = found->handle_blob.size();
  return bytes;
}

std::string bytes_of(const DurableRecord& record) {
  std::string bytes;
  encode(record, bytes);
  return bytes;
}

// For want of room the log may have none either.
void tell_node(Fd node, const Error& why) {
  if (why.code != ErrorCode::kDiskFull) return;
  std::string bytes;
  encode(ControlToNode{ControlTrouble{why.message}}, bytes);
  (void)FrameSocket(std::move(node)).send(bytes).ok();
}

}  // namespace

ControlShell::ControlShell(Options options, Fd node, EventLoop loop,
                           std::unique_ptr<RecordStore> store)
    : loop_(std::move(loop)),
      store_(std::move(store)),
      node_(std::move(node), {.unsent_bytes = SIZE_MAX}),  // bounded by kAnswerBytesMax
      machine_(options.seed, options.settings) {}

Result<std::unique_ptr<ControlShell>> ControlShell::open(Options options, Fd node) {
  Result<EventLoop> loop = EventLoop::open();
  if (!loop.ok()) return loop.error();
  Result<std::unique_ptr<RecordStore>> store = RecordStore::open(options.store_path, options.sync);
  if (!store.ok()) {
    tell_node(std::move(node), store.error());
    return store.error();
  }
  const std::string trouble = options.disk_trouble;
  std::unique_ptr<ControlShell> shell(new ControlShell(
      std::move(options), std::move(node), std::move(loop).value(), std::move(store).value()));
  Result<Ok> restored = shell->restore(trouble);
  if (!restored.ok()) return restored.error();
  ControlShell* self = shell.get();
  Result<Ok> added = self->loop_.add(self->node_.fd(), EPOLLIN,
                                     [self](uint32_t events) { self->on_ready(events); });
  if (!added.ok()) return added.error();
  return shell;
}

Result<Ok> ControlShell::restore(const std::string& disk_trouble) {
  Result<std::vector<std::string>> values = store_->read_all();
  if (!values.ok()) return values.error();
  std::vector<DurableRecord> records;
  for (const std::string& bytes : values.value()) {
    Result<DurableRecord> record = decode<DurableRecord>(bytes);
    if (!record.ok()) return record.error();
    records.push_back(std::move(record).value());
  }
  ControlEffects effects;
  Result<Ok> restored = machine_.restore(records, effects);
  if (!restored.ok()) return restored;
  if (!disk_trouble.empty()) begin_trouble(disk_trouble);
  carry_out(effects);
  log_line(LogLevel::kInfo, "control of epoch " + std::to_string(machine_.epoch()) + " has " +
                                std::to_string(machine_.actor_count()) + " actors from " +
                                std::to_string(records.size()) + " records");
  return Ok{};
}

void ControlShell::run() {
  while (!ending_) {
    int timeout = -1;
    if (try_disk_at_ != Instant::never()) {
      timeout =
          static_cast<int>(std::max<int64_t>(0, (try_disk_at_ - monotonic_now()).us / 1000 + 1));
    }
    if (!loop_.run_once(timeout).ok()) return;
    if (monotonic_now() >= try_disk_at_) try_disk();
  }
}

void ControlShell::on_ready(uint32_t events) {
  if (events & EPOLLOUT) {
    if (!node_.flush().ok()) ending_ = true;
  }
  std::vector<Frame> frames;
  if (arrived_.empty() && !node_.receive(frames).ok()) ending_ = true;
  arrived_.insert(arrived_.end(), std::make_move_iterator(frames.begin()),
                  std::make_move_iterator(frames.end()));
  while (!ending_ && !arrived_.empty() && node_.unsent_bytes() < kAnswerBytesMax) {
    if (!work()) {
      log_line(LogLevel::kError, "the node sent bytes that no message has; control ends");
      ending_ = true;
      return;
    }
  }
  uint32_t wanted = 0;
  if (arrived_.empty()) wanted |= EPOLLIN;
  if (node_.wants_write()) wanted |= EPOLLOUT;
  loop_.set_events(node_.fd(), wanted);
}

// One turn.
bool ControlShell::work() {
  ControlEffects effects;
  size_t said = 0, bytes = 0;
  while (!arrived_.empty() && bytes < kAnswerBytesMax) {
    if (!on_frame(arrived_.front().bytes, effects)) return false;
    arrived_.pop_front();
    for (; said < effects.list.size(); ++said) bytes += bytes_of(effects.list[said].message);
  }
  carry_out(effects);
  return true;
}

bool ControlShell::on_frame(const std::string& bytes, ControlEffects& effects) {
  Result<FromNode> message = decode<FromNode>(bytes);
  if (!message.ok()) return false;
  const auto* hello = std::get_if<NodeHello>(&message.value().message);
  if (!index_) {
    if (!hello || hello->version != kClusterVersion) return false;
    index_ = machine_.on_node_hello(*hello, effects);
  } else if (message.value().number != 0) {
    machine_.on_numbered(index_, message.value(), effects);
  } else {
    machine_.on_node(index_, message.value().message, effects);
  }
  return true;
}

void ControlShell::begin_trouble(const std::string& why) {
  disk_trouble_ = why;
  machine_.on_disk(why);
  try_disk_at_ = monotonic_now() + kDiskRetry;
}

// In trouble: whether what waits can be committed, and a little more.
void ControlShell::try_disk() {
  try_disk_at_ = monotonic_now() + kDiskRetry;
  if (!index_) return;  // the node may still have to hear that what it sends is refused
  std::vector<RecordStore::Write> writes;
  for (const auto& [key, write] : unkept_) writes.push_back(write);
  writes.push_back({kTrialTable, "", std::string(kTrialBytes, '\0'), false});
  if (!store_->commit(writes).ok()) return;
  (void)store_->commit({{kTrialTable, "", "", true}}).ok();
  unkept_.clear();
  disk_trouble_.clear();
  machine_.on_disk("");
  try_disk_at_ = Instant::never();
  log_line(LogLevel::kInfo, "the disk has room again");
  if (unacknowledged_ > 0) send(Acknowledged{std::exchange(unacknowledged_, 0)});
  send(ControlTrouble{""});
  if (node_.wants_write()) loop_.set_events(node_.fd(), EPOLLIN | EPOLLOUT);
}

void ControlShell::send(const ControlToNode& message) {
  std::string bytes;
  encode(message, bytes);
  Result<Ok> sent = node_.send(bytes);
  const auto* answer = std::get_if<AnswerClient>(&message);
  if (!sent.ok() && sent.error().code == ErrorCode::kInvalid && answer) {  // a list without end
    bytes.clear();
    encode(ControlToNode{AnswerClient{answer->client, answer->request,
                                      Done{1 + static_cast<uint8_t>(ErrorCode::kLimit),
                                           "the answer would be " + sent.error().message}}},
           bytes);
    sent = node_.send(bytes);
  }
  if (!sent.ok()) ending_ = true;
}

void ControlShell::carry_out(ControlEffects& effects) {
  std::vector<RecordStore::Write> writes;
  for (DurableChange& change : effects.durable) {
    RecordStore::Write write{static_cast<int64_t>(change.table), std::move(change.key),
                             change.record ? bytes_of(*change.record) : std::string(),
                             !change.record};
    if (disk_trouble_.empty()) {
      writes.push_back(std::move(write));
    } else {
      Key key{write.table, write.key};
      unkept_.insert_or_assign(std::move(key), std::move(write));
    }
  }
  if (!writes.empty()) {
    const Result<Ok> committed = store_->commit(writes);
    if (!committed.ok()) {  // nothing is said that is not kept
      log_line(LogLevel::kError, committed.error().message);
      send(ControlTrouble{committed.error().message});
      ending_ = true;
      return;
    }
  }
  for (const ControlEffects::ToNode& out : effects.list) {
    if (out.node != index_) continue;  // a node that is gone
    const auto* known = std::get_if<Acknowledged>(&out.message);
    if (known && !disk_trouble_.empty()) {
      unacknowledged_ = std::max(unacknowledged_, known->number);
    } else {
      send(out.message);
    }
  }
}

}  // namespace eagleray
