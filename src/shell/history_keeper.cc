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
#include <set>
#include <utility>

#include "io/log.h"
#include "message/task_row.h"

namespace eagleray {
namespace {

constexpr int kNiceness = 19;  // work comes before its record
constexpr int kGatherMs = 25;  // at 600,000 tasks/s four files fill meanwhile, 1 MiB to go round in
constexpr int kAgainMs = 20;   // a closed file is locked for a moment longer
constexpr int kTriesMax = 50;
constexpr size_t kFilesPerCommit = 64;
constexpr uint64_t kFileBytesMax = 16u << 20;  // far more than any process of ours writes

// In `buffer`, which only grows, so that no memory is new from the second file on.
std::string_view read_file(int fd, std::string& buffer) {
  const Result<uint64_t> bytes = size_of(fd);
  if (!bytes.ok() || bytes.value() > kFileBytesMax) return {};
  if (buffer.size() < bytes.value()) buffer.resize(bytes.value());
  const ssize_t got = ::pread(fd, buffer.data(), bytes.value(), 0);
  return std::string_view(buffer).substr(0, got < 0 ? 0 : static_cast<size_t>(got));
}

TaskFileState state_of(int fd) {
  TaskFileState state = TaskFileState::kOpen;
  [[maybe_unused]] const ssize_t got =
      ::pread(fd, &state, sizeof state, offsetof(TaskFileHeader, state));
  return state;
}

bool is_tasks(std::string_view name) { return name.ends_with(".tasks"); }

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
    if ((fds[0].revents & POLLIN) != 0) gather();
    if (hear()) look_at_all();
  }
}

void HistoryKeeper::gather() const {
  pollfd bell{bell_.get(), POLLIN, 0};
  ::poll(&bell, 1, kGatherMs);
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

HistoryKeeper::Found HistoryKeeper::read(const std::string& name, Taken& taken) {
  const std::string path = directory_ + "/" + name;
  Fd file(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!file.valid()) return Found::kNothing;  // it was taken
  const bool in_use = ::flock(file.get(), LOCK_EX | LOCK_NB) != 0;
  const TaskFileState state = state_of(file.get());
  if (in_use && state != TaskFileState::kFull) return Found::kLater;
  taken.name = name;
  if (in_use) taken.in_use = std::move(file);
  if (state == TaskFileState::kTaken) return Found::kNoRows;
  const std::string_view bytes = read_file(in_use ? taken.in_use.get() : file.get(), buffer_);
  if (bytes.size() < sizeof(TaskFileHeader)) return Found::kNoRows;
  const auto* header = reinterpret_cast<const TaskFileHeader*>(bytes.data());
  const uint32_t rows = header->count.load(std::memory_order_acquire);
  const uint64_t used = sizeof(TaskFileHeader) + rows * uint64_t{sizeof(TaskRow)};
  if (header->magic != kTaskFileMagic || header->row_bytes != sizeof(TaskRow) ||
      used > bytes.size() || rows == 0) {
    return Found::kNoRows;
  }
  TaskRow last;
  std::memcpy(&last, bytes.data() + used - sizeof last, sizeof last);
  block_ = {header->proc, header->sequence.load(std::memory_order_relaxed), rows,
            last.submitted_us + header->wall_us, bytes.substr(0, used)};
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
    const std::string_view text = read_file(file.get(), buffer_);
    if (std::exchange(names_kept_[prefix], text.size()) == text.size()) continue;
    names.push_back({std::strtoull(prefix.c_str(), nullptr, 16), std::string(text)});
  }
  return names;
}

// The names go with the last file of their process.
void HistoryKeeper::give_back(const std::vector<Taken>& taken) {
  constexpr TaskFileState kAgain = TaskFileState::kTaken;
  std::set<std::string> ended;
  for (const Taken& each : taken) {
    if (each.in_use.valid()) {
      [[maybe_unused]] const ssize_t written =
          ::pwrite(each.in_use.get(), &kAgain, sizeof kAgain, offsetof(TaskFileHeader, state));
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
    if (is_tasks(name)) ended.erase(name.substr(0, name.find('-')));
  }
  ::closedir(directory);
  for (const std::string& prefix : ended) {
    ::unlink((directory_ + "/" + prefix + ".names").c_str());
    names_kept_.erase(prefix);
  }
}

Result<Ok> HistoryKeeper::keep(std::vector<Taken>& taken) {
  Result<Ok> good = store_->begin();
  for (auto it = wanted_.begin();
       good.ok() && it != wanted_.end() && taken.size() < kFilesPerCommit;) {
    Taken file;
    const Found found = read(it->first, file);
    if (found == Found::kLater && --it->second > 0) {
      ++it;
      continue;
    }
    if (found == Found::kRows) good = store_->put(block_);
    if (found == Found::kRows || found == Found::kNoRows) taken.push_back(std::move(file));
    it = wanted_.erase(it);
  }
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
      log_line(LogLevel::kWarning, kept.error().message + "; what has ended stays in its files");
      return;
    }
    give_back(taken);
    if (std::exchange(missed_, false)) look_at_all();
    if (taken.size() < kFilesPerCommit) return;
  }
}

}  // namespace eagleray
