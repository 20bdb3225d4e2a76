#include "shell/history_keeper.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <set>
#include <span>
#include <utility>

#include "io/log.h"
#include "message/task_rows.h"

namespace eagleray {
namespace {

constexpr int kNiceness = 19;       // work comes before its record
constexpr int kGatherMs = 250;      // a commit costs as much as the rows of three files
constexpr size_t kGatherFiles = 6;  // ... or so many: 1.5 MiB to go round in
constexpr int kAgainMs = 20;        // a closed file is locked for a moment longer
constexpr int kTriesMax = 50;
constexpr size_t kFilesPerCommit = 64;
constexpr uint64_t kFileBytesMax = 16u << 20;  // far more than any process of ours writes

// In `buffer`, which only grows, so that no memory is new from the second file on.
std::span<char> read_file(int fd, std::string& buffer) {
  const Result<uint64_t> bytes = size_of(fd);
  if (!bytes.ok() || bytes.value() > kFileBytesMax) return {};
  if (buffer.size() < bytes.value()) buffer.resize(bytes.value());
  const ssize_t got = ::pread(fd, buffer.data(), bytes.value(), 0);
  return std::span(buffer).first(got < 0 ? 0 : static_cast<size_t>(got));
}

TaskFileState state_of(int fd) {
  TaskFileState state = TaskFileState::kOpen;
  [[maybe_unused]] const ssize_t got =
      ::pread(fd, &state, sizeof state, offsetof(TaskFileHeader, state));
  return state;
}

bool is_tasks(std::string_view name) { return name.ends_with(".tasks"); }
bool is_begun(std::string_view name) { return name.ends_with(".tasks.new"); }

}  // namespace

std::unique_ptr<HistoryKeeper> HistoryKeeper::start(const std::string& directory,
                                                    uint64_t bytes_max) {
  if (bytes_max == 0 || ::access(directory.c_str(), W_OK) != 0) return nullptr;
  return std::unique_ptr<HistoryKeeper>(new HistoryKeeper(directory, bytes_max));
}

HistoryKeeper::HistoryKeeper(std::string directory, uint64_t bytes_max)
    : directory_(std::move(directory)),
      bytes_max_(bytes_max),
      watch_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
  Result<Fd> bell = make_eventfd();
  if (bell.ok()) bell_ = std::move(bell).value();
  if (watch_.valid()) {
    ::inotify_add_watch(watch_.get(), directory_.c_str(), IN_CLOSE_WRITE | IN_ATTRIB | IN_ONLYDIR);
  }
  thread_ = std::thread([this] { run(); });
}

HistoryKeeper::~HistoryKeeper() {
  ending_ = true;
  ring_eventfd(bell_.get());
  thread_.join();
}

void HistoryKeeper::run() {
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), kNiceness);
  // Here: control answers without waiting for a file to be opened.
  Result<std::unique_ptr<HistoryStore>> store =
      HistoryStore::open(directory_ + "/history.db", bytes_max_);
  if (!store.ok()) {
    log_line(LogLevel::kError, store.error().message + "; no history is kept");
    return;
  }
  store_ = std::move(store).value();
  look_at_all();
  while (!ending_) {
    collect();
    pollfd fds[2] = {{watch_.get(), POLLIN, 0}, {bell_.get(), POLLIN, 0}};
    ::poll(fds, 2, wanted_.empty() ? -1 : kAgainMs);
    if ((fds[0].revents & POLLIN) != 0 && gather()) look_at_all();
  }
}

// True: more was closed than the kernel could tell.
bool HistoryKeeper::gather() {
  const int64_t until_us = monotonic_now().us + kGatherMs * 1'000;
  bool too_many = hear();
  while (!ending_ && wanted_.size() < kGatherFiles) {
    const int64_t left_us = until_us - monotonic_now().us;
    if (left_us <= 0) break;
    pollfd fds[2] = {{watch_.get(), POLLIN, 0}, {bell_.get(), POLLIN, 0}};
    ::poll(fds, 2, static_cast<int>(left_us / 1'000) + 1);
    too_many |= hear();
  }
  return too_many;
}

void HistoryKeeper::look_at_all() {
  DIR* directory = ::opendir(directory_.c_str());
  if (!directory) return;
  while (const dirent* entry = ::readdir(directory)) {
    if (is_tasks(entry->d_name)) wanted_.try_emplace(entry->d_name, 1);
  }
  ::closedir(directory);
}

// True: more was closed than the kernel could tell.
bool HistoryKeeper::hear() {
  alignas(inotify_event) char buffer[16 << 10];
  bool too_many = false;
  for (;;) {
    const ssize_t got = ::read(watch_.get(), buffer, sizeof buffer);
    if (got <= 0) return too_many;
    for (ssize_t at = 0; at < got;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      too_many |= (event->mask & IN_Q_OVERFLOW) != 0;
      if (event->len > 0 && is_tasks(event->name)) {
        int& tries = wanted_[event->name];
        tries = std::max(tries, (event->mask & IN_CLOSE_WRITE) != 0 ? kTriesMax : 1);
      }
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
  }
}

// Of `taken`, the name and, if there is something to take, the file.
HistoryKeeper::Found HistoryKeeper::look(const std::string& name, Taken& taken) {
  taken.name = name;
  const auto known = open_.find(name);
  if (known != open_.end()) {
    taken.file = std::move(known->second);
    open_.erase(known);
  } else {
    taken.file = Fd(::open((directory_ + "/" + name).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (!taken.file.valid()) return Found::kNothing;  // it was taken
  }
  taken.in_use = ::flock(taken.file.get(), LOCK_EX | LOCK_NB) != 0;
  const TaskFileState state = state_of(taken.file.get());
  if (!taken.in_use) return state == TaskFileState::kTaken ? Found::kNoRows : read(taken);
  if (state == TaskFileState::kFull) return read(taken);
  open_.insert_or_assign(name, std::move(taken.file));
  return Found::kLater;
}

HistoryKeeper::Found HistoryKeeper::read(Taken& taken) {
  const std::string_view bytes = TaskRows::close_up(read_file(taken.file.get(), buffer_));
  if (bytes.empty()) return Found::kNoRows;
  const TaskRows rows(bytes);
  const TaskFileHeader& header = rows.header();
  block_ = {header.proc, header.sequence.load(std::memory_order_relaxed), rows.count(),
            wrapped_sum(rows.at(rows.count() - 1).submitted_us, header.wall_us), bytes};
  return Found::kRows;
}

std::vector<HistoryStore::Names> HistoryKeeper::names_of(const std::vector<Taken>& taken) {
  std::vector<HistoryStore::Names> names;
  std::set<std::string> prefixes;
  for (const Taken& each : taken) prefixes.insert(each.name.substr(0, each.name.find('-')));
  for (const std::string& prefix : prefixes) {
    const std::string path = directory_ + "/" + prefix + ".names";
    Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!file.valid()) continue;
    const std::span<char> text = read_file(file.get(), buffer_);
    if (std::exchange(names_kept_[prefix], text.size()) == text.size()) continue;
    names.push_back(
        {std::strtoull(prefix.c_str(), nullptr, 16), std::string(text.data(), text.size())});
  }
  return names;
}

// The names go with the last file of their process.
void HistoryKeeper::give_back(std::vector<Taken>& taken) {
  constexpr TaskFileState kAgain = TaskFileState::kTaken;
  std::set<std::string> ended;
  for (Taken& each : taken) {
    if (each.in_use) {
      [[maybe_unused]] const ssize_t written =
          ::pwrite(each.file.get(), &kAgain, sizeof kAgain, offsetof(TaskFileHeader, state));
      open_.insert_or_assign(each.name, std::move(each.file));
      continue;
    }
    ::unlink((directory_ + "/" + each.name).c_str());
    ended.insert(each.name.substr(0, each.name.find('-')));
  }
  if (ended.empty()) return;
  DIR* directory = ::opendir(directory_.c_str());
  if (!directory) return;
  while (const dirent* entry = ::readdir(directory)) {
    const std::string name = entry->d_name;
    // Also one that has no name of its own yet: its process lives.
    if (is_tasks(name) || is_begun(name)) ended.erase(name.substr(0, name.find('-')));
  }
  ::closedir(directory);
  for (const std::string& prefix : ended) {
    ::unlink((directory_ + "/" + prefix + ".names").c_str());
    names_kept_.erase(prefix);
  }
}

Result<Ok> HistoryKeeper::keep(std::vector<Taken>& taken) {
  Result<Ok> good = Ok{};
  bool begun = false;
  for (auto it = wanted_.begin();
       good.ok() && it != wanted_.end() && taken.size() < kFilesPerCommit;) {
    Taken file;
    const Found found = look(it->first, file);
    if (found == Found::kRows) {
      if (!std::exchange(begun, true)) good = store_->begin();
      if (good.ok()) good = store_->put(block_);
    }
    // What was closed is locked for a moment longer: then it looks as if it were in use.
    const bool again =
        (found == Found::kLater || (found == Found::kRows && file.in_use)) && --it->second > 0;
    if (found == Found::kRows || found == Found::kNoRows) taken.push_back(std::move(file));
    it = again ? std::next(it) : wanted_.erase(it);
  }
  if (!begun) return good;
  for (const HistoryStore::Names& names : names_of(taken)) {
    if (good.ok()) good = store_->put(names);
  }
  return good.ok() ? store_->commit() : good;
}

void HistoryKeeper::collect() {
  while (!wanted_.empty()) {
    std::vector<Taken> taken;
    const Result<Ok> kept = keep(taken);
    if (!kept.ok()) {
      names_kept_.clear();
      wanted_.clear();
      missed_ = true;
      // To close them would be heard, and tried again at once, as long as the disk is full.
      for (Taken& each : taken) open_.insert_or_assign(each.name, std::move(each.file));
      log_line(LogLevel::kWarning, kept.error().message + "; what has ended stays in its files");
      return;
    }
    give_back(taken);
    if (std::exchange(missed_, false)) look_at_all();
    if (taken.size() < kFilesPerCommit) return;
  }
}

}  // namespace eagleray
