#include "shell/task_history.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <new>

#include "shell/json.h"

namespace eagleray {
namespace {

constexpr uint64_t kFirstFileBytes = 16u << 10;  // most processes submit few tasks
constexpr uint64_t kFileBytes = TaskRowWriter::kFileBytesMax;
constexpr size_t kFullMax = 64;  // that wait for the keeper, mapped: 16 MiB
constexpr mode_t kMode = 0600;
constexpr uint32_t kSkipRows = 4'096;          // where there was no room
constexpr uint64_t kErrorBytesMax = 4u << 20;  // of a process; what later errors say is not kept

int64_t wall_minus_monotonic_us() {
  timespec wall{};
  ::clock_gettime(CLOCK_REALTIME, &wall);
  return wall.tv_sec * 1'000'000 + wall.tv_nsec / 1'000 - monotonic_now().us;
}

// The room is taken now: a write into a hole of a file on a full disk would end this process. Zeros
// that are written take it at a quarter of the cost of posix_fallocate and touching (0.06 ms for
// 256 KiB on ext4 against 0.24): their pages come in large pieces.
bool take_room(int file, uint64_t bytes) {
  static constexpr std::array<char, kFirstFileBytes> kZeros{};
  std::array<iovec, kFileBytes / kFirstFileBytes> parts;
  parts.fill({const_cast<char*>(kZeros.data()), kZeros.size()});
  const auto count = static_cast<int>(bytes / kZeros.size());
  return ::pwritev(file, parts.data(), count, 0) == static_cast<ssize_t>(bytes);
}

}  // namespace

std::string file_prefix(ProcId proc) {
  char big_endian[8];
  for (int i = 0; i < 8; ++i) big_endian[i] = static_cast<char>(proc.value >> (56 - 8 * i));
  return to_hex({big_endian, sizeof big_endian});
}

void TaskHistory::begin(std::string directory, ProcId proc, uint32_t pid) {
  directory_ = std::move(directory);
  proc_ = proc;
  pid_ = pid;
}

void TaskHistory::end() {
  file_ = File();
  full_.clear();
  writer_.end();
  directory_.clear();
  names_.reset();
}

std::string TaskHistory::path(uint64_t number) const {
  return directory_ + "/" + file_prefix(proc_) + "-" + std::to_string(number) + ".tasks";
}

// The keeper watches the directory: of a change that changes nothing it hears, too.
void TaskHistory::hand_over() {
  if (!file_.memory.data()) return;
  header().state.store(TaskFileState::kFull, std::memory_order_release);
  if (file_.memory.size() == kFileBytes) {
    ::chmod(path(file_.number).c_str(), kMode);
    full_.push_back(std::move(file_));
  }
  file_ = File();  // what is unmapped loses its lock, which the keeper hears as well
}

bool TaskHistory::use_again() {
  for (auto it = full_.begin(); it != full_.end(); ++it) {
    if (it->header().state.load(std::memory_order_acquire) != TaskFileState::kTaken) continue;
    file_ = std::move(*it);
    full_.erase(it);
    return true;
  }
  return false;
}

bool TaskHistory::make_file() {
  if (full_.size() >= kFullMax) full_.pop_front();  // the keeper is late: it stays on the disk
  const uint64_t number = files_++;
  const uint64_t bytes = number == 0 ? kFirstFileBytes : kFileBytes;
  // It has its name when it is locked: the keeper takes what nobody has locked.
  const std::string name = path(number), unnamed = name + ".new";
  Fd file(::open(unnamed.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, kMode));
  if (!file.valid()) return false;
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0 || !take_room(file.get(), bytes) ||
      ::rename(unnamed.c_str(), name.c_str()) != 0) {
    ::unlink(unnamed.c_str());
    return false;
  }
  Result<Mapping> memory = Mapping::map(file.get(), bytes, Mapping::Access::kReadWrite);
  if (!memory.ok()) return false;
  // The lock lasts as long as the mapping, which a fork does not share.
  ::madvise(memory.value().data(), bytes, MADV_DONTFORK);
  file_ = File{std::move(memory).value(), number};
  auto* header = new (file_.memory.data()) TaskFileHeader;
  header->proc = proc_.value;
  header->pid = pid_;
  return true;
}

bool TaskHistory::next_file(JobId job) {
  if (directory_.empty()) return false;
  if (skip_ > 0) {
    --skip_;
    ++lost_;
    return false;
  }
  hand_over();
  writer_.end();
  if (!use_again() && !make_file()) {
    skip_ = kSkipRows;
    ++lost_;
    return false;
  }
  header().count.store(0, std::memory_order_relaxed);
  header().sequence.store(++sequences_, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);  // before the first row, for who reads now
  header().state.store(TaskFileState::kOpen, std::memory_order_relaxed);
  header().job = job.value;
  header().wall_us = wall_minus_monotonic_us();
  header().lost = std::exchange(lost_, 0);
  writer_.begin(file_.memory.data(), file_.memory.size());
  return true;
}

void TaskHistory::append(const TaskRow& row, const ClientMachine& machine) {
  if (row.form > writer_.forms() || row.actor > writer_.actors()) name(row, machine);
  if (!writer_.put(row) && next_file(machine.job())) writer_.put(row);
}

// All numbers up to those of `row`: they are given out in order, but mentioned in any.
void TaskHistory::name(const TaskRow& row, const ClientMachine& machine) {
  if (directory_.empty()) return;
  std::string text;
  uint32_t forms = writer_.forms(), actors = writer_.actors();
  while (forms < row.form) {
    const ClientMachine::FormView form = machine.form_view(++forms);
    text += "{\"form\":" + std::to_string(forms) + ",\"name\":" + json(form.name) +
            ",\"function\":" + json(form.function);
    if (!form.runtime_env.empty()) text += ",\"env\":" + json(form.runtime_env);
    if (!form.group.is_zero()) text += ",\"group\":" + json(form.group.hex());
    std::string resources;
    for (const auto& [name, amount] : form.resources) {
      resources += (resources.empty() ? "" : ",") + json(name) + ":" + std::to_string(amount);
    }
    text += ",\"resources\":{" + resources + "}}\n";
  }
  while (actors < row.actor) {
    const ActorId actor = machine.actor_numbered(++actors);
    text += "{\"actor\":" + std::to_string(actors) + ",\"id\":" + json(actor.hex()) + "}\n";
  }
  write_line(text);
  writer_.name(forms, actors);
}

void TaskHistory::note_error(const Effects::ErrorText& error) {
  if (directory_.empty() || error_bytes_ > kErrorBytesMax) return;
  error_bytes_ += error.text.size();
  write_line("{\"error\":" + std::to_string(error.unique) + ",\"attempt\":" +
             std::to_string(error.attempt) + ",\"text\":" + json(error.text) + "}\n");
}

// What a full disk does not take is missing: then rows are shown without it.
void TaskHistory::write_line(const std::string& text) {
  if (!names_.valid()) {
    const std::string path = directory_ + "/" + file_prefix(proc_) + ".names";
    names_ =
        Fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, kMode));
  }
  [[maybe_unused]] const ssize_t written = ::write(names_.get(), text.data(), text.size());
}

}  // namespace eagleray
