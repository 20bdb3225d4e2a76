#include "shell/history_keeper.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <set>
#include <utility>

#include "io/log.h"
#include "message/task_row.h"

namespace eagleray {
namespace {

constexpr int kNiceness = 10;  // work comes before its record
constexpr int kAgainMs = 20;   // a closed file is locked for a moment longer
constexpr int kTriesMax = 50;
constexpr size_t kFilesPerCommit = 64;
constexpr uint64_t kFileBytesMax = 16u << 20;  // far more than any process of ours writes

std::string read_file(int fd) {
  const Result<uint64_t> bytes = size_of(fd);
  if (!bytes.ok() || bytes.value() > kFileBytesMax) return "";
  std::string text(bytes.value(), '\0');
  const ssize_t got = ::pread(fd, text.data(), text.size(), 0);
  text.resize(got < 0 ? 0 : static_cast<size_t>(got));
  return text;
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
    ::inotify_add_watch(watch_.get(), directory_.c_str(), IN_CLOSE_WRITE | IN_ONLYDIR);
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
    if (hear()) look_at_all();
  }
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
      if (event->len > 0 && is_tasks(event->name)) wanted_[event->name] = kTriesMax;
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
  }
}

bool HistoryKeeper::take(const std::string& name, HistoryStore::Block& block) const {
  const std::string path = directory_ + "/" + name;
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file.valid()) return true;  // it was taken
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) return false;
  std::string bytes = read_file(file.get());
  if (bytes.size() < sizeof(TaskFileHeader)) return true;
  const auto* header = reinterpret_cast<const TaskFileHeader*>(bytes.data());
  const uint32_t rows = header->count.load(std::memory_order_acquire);
  const uint64_t used = sizeof(TaskFileHeader) + rows * uint64_t{sizeof(TaskRow)};
  if (header->magic != kTaskFileMagic || header->row_bytes != sizeof(TaskRow) ||
      used > bytes.size() || rows == 0) {
    return true;
  }
  TaskRow last;
  std::memcpy(&last, bytes.data() + used - sizeof last, sizeof last);
  block.proc = header->proc;
  block.sequence = header->sequence;
  block.rows = rows;
  block.last_us = last.submitted_us + header->wall_us;
  bytes.resize(used);
  block.bytes = std::move(bytes);
  return true;
}

std::vector<HistoryStore::Names> HistoryKeeper::names_of(const std::vector<std::string>& taken) {
  std::vector<HistoryStore::Names> names;
  std::set<std::string> prefixes;
  for (const std::string& name : taken) prefixes.insert(name.substr(0, name.find('-')));
  for (const std::string& prefix : prefixes) {
    const std::string path = directory_ + "/" + prefix + ".names";
    Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!file.valid()) continue;
    std::string text = read_file(file.get());
    if (std::exchange(names_kept_[prefix], text.size()) == text.size()) continue;
    names.push_back({std::strtoull(prefix.c_str(), nullptr, 16), std::move(text)});
  }
  return names;
}

// The names go with the last file of their process.
void HistoryKeeper::remove(const std::vector<std::string>& taken) {
  std::set<std::string> ended;
  for (const std::string& name : taken) {
    ::unlink((directory_ + "/" + name).c_str());
    ended.insert(name.substr(0, name.find('-')));
  }
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

void HistoryKeeper::collect() {
  std::vector<HistoryStore::Block> blocks;
  std::vector<std::string> taken;
  for (auto it = wanted_.begin(); it != wanted_.end() && taken.size() < kFilesPerCommit;) {
    HistoryStore::Block block;
    if (take(it->first, block)) {
      taken.push_back(it->first);
      if (block.rows > 0) blocks.push_back(std::move(block));
    } else if (--it->second > 0) {
      ++it;
      continue;
    }
    it = wanted_.erase(it);
  }
  if (taken.empty()) return;
  const Result<Ok> kept = store_->keep(blocks, names_of(taken));
  if (!kept.ok()) {
    names_kept_.clear();
    log_line(LogLevel::kWarning, kept.error().message + "; what has ended stays in its files");
    return;
  }
  remove(taken);
}

}  // namespace eagleray
