#include "shell/control_shell.h"

#include <poll.h>
#include <sys/epoll.h>

#include "io/log.h"
#include "wire/codec.h"

namespace eagleray {
namespace {

constexpr int kDiskRetryMs = 200;

std::string bytes_of(const DurableRecord& record) {
  std::string bytes;
  encode(record, bytes);
  return bytes;
}

}  // namespace

ControlShell::ControlShell(Options options, Fd node, EventLoop loop,
                           std::unique_ptr<RecordStore> store)
    : loop_(std::move(loop)),
      store_(std::move(store)),
      node_(std::move(node)),
      machine_(options.seed, options.settings) {}

Result<std::unique_ptr<ControlShell>> ControlShell::open(Options options, Fd node) {
  Result<EventLoop> loop = EventLoop::open();
  if (!loop.ok()) return loop.error();
  Result<std::unique_ptr<RecordStore>> store = RecordStore::open(options.store_path, options.sync);
  if (!store.ok()) return store.error();
  std::unique_ptr<ControlShell> shell(new ControlShell(
      std::move(options), std::move(node), std::move(loop).value(), std::move(store).value()));
  Result<Ok> restored = shell->restore();
  if (!restored.ok()) return restored.error();
  ControlShell* self = shell.get();
  Result<Ok> added = self->loop_.add(self->node_.fd(), EPOLLIN,
                                     [self](uint32_t events) { self->on_ready(events); });
  if (!added.ok()) return added.error();
  return shell;
}

Result<Ok> ControlShell::restore() {
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
  carry_out(effects);
  log_line(LogLevel::kInfo, "control of epoch " + std::to_string(machine_.epoch()) + " has " +
                                std::to_string(machine_.actor_count()) + " actors from " +
                                std::to_string(records.size()) + " records");
  return Ok{};
}

void ControlShell::run() {
  while (!ending_) {
    if (!loop_.run_once(-1).ok()) return;
  }
}

void ControlShell::on_ready(uint32_t events) {
  if (events & EPOLLOUT) {
    if (!node_.flush().ok()) ending_ = true;
    if (!node_.wants_write()) loop_.set_events(node_.fd(), EPOLLIN);
  }
  std::vector<Frame> frames;
  if (!node_.receive(frames).ok()) ending_ = true;
  ControlEffects effects;
  for (const Frame& frame : frames) {
    if (on_frame(frame.bytes, effects)) continue;
    log_line(LogLevel::kError, "the node sent bytes that no message has; control ends");
    ending_ = true;
    return;
  }
  carry_out(effects);
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

// Once until a commit succeeds.
void ControlShell::report_trouble(const std::string& why) {
  const std::string text = why +
                           ": new actors, names and placement groups wait until control can "
                           "write again; tasks and calls go on";
  log_line(LogLevel::kError, text);
  std::string bytes;
  encode(ControlToNode{ControlTrouble{text}}, bytes);
  (void)node_.send(bytes).ok();
}

void ControlShell::carry_out(ControlEffects& effects) {
  if (!effects.durable.empty()) {
    std::vector<RecordStore::Write> writes;
    for (DurableChange& change : effects.durable) {
      writes.push_back({static_cast<int64_t>(change.table), std::move(change.key),
                        change.record ? bytes_of(*change.record) : std::string(), !change.record});
    }
    Result<Ok> committed = store_->commit(writes);
    if (!committed.ok()) report_trouble(committed.error().message);
    while (!committed.ok()) {  // nothing is said that is not kept: a full disk is waited out
      ::poll(nullptr, 0, kDiskRetryMs);
      committed = store_->commit(writes);
    }
  }
  for (const ControlEffects::ToNode& out : effects.list) {
    std::string bytes;
    encode(out.message, bytes);
    if (out.node != index_) continue;  // a node that is gone
    if (!node_.send(bytes).ok()) ending_ = true;
  }
  if (node_.wants_write()) loop_.set_events(node_.fd(), EPOLLIN | EPOLLOUT);
}

}  // namespace eagleray
