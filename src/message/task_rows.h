// Rows of the history (task_row.h) as they stand in the file of the process that submitted them
// (shell/task_history.h), later in a block of the history's database (io/history_store.h): a
// header, rows of 32 bytes from the front, and from the end, downwards, what many rows share, each
// once, and whole rows where 32 bytes do not hold one. What is counted is complete, whatever
// becomes of its writer. TaskRowWriter and TaskRows are all that knows of it.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <new>
#include <span>
#include <string_view>

#include "message/task_row.h"

namespace eagleray {

inline constexpr uint64_t kTaskFileMagic = 0x32'53'49'48'52'4c'47'45;  // "EGLRHIS2"

// Of a file, who may do what with it next.
enum class TaskFileState : uint32_t {
  kOpen = 0,   // its process writes rows; also when that process has died
  kFull = 1,   // control reads it
  kTaken = 2,  // what it holds is in the database: its process may begin it again
};

// 32 bytes of a TaskRow. Signed numbers count from the header's first row.
struct ShortTaskRow {
  int32_t number = 0;  // of the task, among its process's
  uint32_t waited = 0;
  int32_t submitted = 0;
  uint32_t queued = 0;
  uint32_t ran = 0;
  uint32_t sent = 0;
  uint16_t answered = 0;
  uint16_t argument_bytes = 0;
  uint16_t result_bytes = 0;
  uint16_t place =
      0;  // of its likes or, with kWhole, of the row: in units of 8 bytes, from the end
  static constexpr uint16_t kWhole = 1u << 15;
  static constexpr uint64_t kUnit = 8;
  static constexpr int kUniqueShift = 24;  // below, a task's id names its process
};
static_assert(sizeof(ShortTaskRow) == 32, "its form is on disk");

// What many rows share, in words: one comparison each.
struct TaskLikes {
  uint64_t worker = 0;
  uint64_t parent = 0;
  uint64_t form_and_actor = 0;     // the form in the lower half
  uint64_t attempt_and_error = 0;  // the attempt in the lowest 16 bits

  static TaskLikes of(const TaskRow& row) {
    return {row.worker, row.parent, row.form | uint64_t{row.actor} << 32,
            row.attempt | uint64_t{row.error} << 16};
  }
  void put_into(TaskRow& row) const {
    row.worker = worker;
    row.parent = parent;
    row.form = static_cast<uint32_t>(form_and_actor);
    row.actor = static_cast<uint32_t>(form_and_actor >> 32);
    row.attempt = static_cast<uint16_t>(attempt_and_error);
    row.error = static_cast<uint8_t>(attempt_and_error >> 16);
  }
  bool operator==(const TaskLikes&) const = default;
  // An actor is told by its worker.
  uint64_t mix() const {
    return worker + (parent >> 24) + form_and_actor + attempt_and_error + (attempt_and_error >> 16);
  }
};
static_assert(sizeof(TaskLikes) == 32, "its form is on disk");

// A TaskRow's durations before they are packed: microseconds, below zero where a clock or a process
// is wrong.
struct TaskSpans {
  int64_t waited, queued, sent, ran, answered;
};

struct TaskFileHeader {
  uint64_t magic = kTaskFileMagic;
  uint32_t row_bytes = sizeof(ShortTaskRow);
  uint32_t job = 0;
  uint64_t proc = 0;
  std::atomic<uint64_t> sequence{
      0};               // of what a process's files hold, from 1; a new one before new rows
  int64_t wall_us = 0;  // to be added to the rows' times: then they are Unix times
  uint64_t lost = 0;    // rows before this file that found no room on the disk
  uint32_t pid = 0;
  std::atomic<uint32_t> count{0};  // of rows behind this header; the last thing that is written
  std::atomic<TaskFileState> state{TaskFileState::kOpen};
  uint32_t shared_bytes = 0;       // at the end
  uint64_t first_unique = 0;       // of the first row
  int64_t first_submitted_us = 0;  // of the first row
  uint64_t reserved[2] = {};
};
static_assert(sizeof(TaskFileHeader) == 96, "its form is on disk");

// One file's memory, at a time.
class TaskRowWriter {
 public:
  static constexpr uint64_t kFileBytesMax = ShortTaskRow::kUnit << 15;  // what `place` reaches

  TaskFileHeader& header() const { return *reinterpret_cast<TaskFileHeader*>(memory_); }
  // `memory` begins with a TaskFileHeader; its rows are forgotten.
  void begin(char* memory, uint64_t bytes) {
    memory_ = memory;
    next_ = memory + sizeof(TaskFileHeader);
    end_ = shared_ = memory + bytes;
    known_.fill({});
  }
  void end() { next_ = shared_ = nullptr; }
  // What rows may name: numbers up to these.
  void name(uint32_t forms, uint32_t actors) {
    forms_ = forms;
    actors_ = actors;
  }
  uint32_t forms() const { return forms_; }
  uint32_t actors() const { return actors_; }

  // Most rows, in a third of put()'s instructions: one whose numbers are small, behind the file's
  // first, and whose likes are known; `likes` have a worker. False: it is none of these, or there
  // is no room.
  [[gnu::always_inline]] bool put_usual(uint64_t unique, int64_t submitted_us,
                                        const TaskSpans& spans, uint64_t argument_bytes,
                                        uint64_t result_bytes, const TaskLikes& likes) {
    const uint64_t apart = unique - unique_;
    const uint64_t number = apart >> ShortTaskRow::kUniqueShift;
    const int64_t submitted = wrapped_difference(submitted_us, submitted_us_);
    const uint64_t wide = number | static_cast<uint64_t>(submitted | spans.waited | spans.queued |
                                                         spans.sent | spans.ran);
    const uint64_t narrow = static_cast<uint64_t>(spans.answered) | argument_bytes | result_bytes;
    const uint64_t process = apart & ((1u << ShortTaskRow::kUniqueShift) - 1);
    const Known& known = known_[likes.mix() % kKnown];
    if (((wide >> 31) | (narrow >> 16) | process) != 0 || !(known.likes == likes) || !has_room())
        [[unlikely]]
      return false;
    add({static_cast<int32_t>(number), static_cast<uint32_t>(spans.waited),
         static_cast<int32_t>(submitted), static_cast<uint32_t>(spans.queued),
         static_cast<uint32_t>(spans.ran), static_cast<uint32_t>(spans.sent),
         static_cast<uint16_t>(spans.answered), static_cast<uint16_t>(argument_bytes),
         static_cast<uint16_t>(result_bytes), known.place});
    return true;
  }

  // False: it is full, or there is none, or the row names what may not be named yet.
  bool put(const TaskRow& row) {
    if (!has_room() || row.form > forms_ || row.actor > actors_) return false;
    if (next_ == memory_ + sizeof(TaskFileHeader)) begin_with(row);
    const auto apart = static_cast<int64_t>(row.unique - unique_);
    const int64_t number = apart >> ShortTaskRow::kUniqueShift;
    const int64_t submitted = wrapped_difference(row.submitted_us, submitted_us_);
    const bool fits = static_cast<int32_t>(number) == number &&
                      static_cast<int32_t>(submitted) == submitted &&
                      number << ShortTaskRow::kUniqueShift == apart &&
                      (row.answered | row.argument_bytes | row.result_bytes) <= UINT16_MAX;
    add({static_cast<int32_t>(number), row.waited, static_cast<int32_t>(submitted), row.queued,
         row.ran, row.sent, static_cast<uint16_t>(row.answered),
         static_cast<uint16_t>(row.argument_bytes), static_cast<uint16_t>(row.result_bytes),
         fits ? place_of(TaskLikes::of(row)) : whole(row)});
    return true;
  }

 private:
  static constexpr ptrdiff_t kRoomOfOne = sizeof(ShortTaskRow) + sizeof(TaskRow);
  struct Known {
    TaskLikes likes;
    uint16_t place = 0;  // 0: none
  };
  static constexpr size_t kKnown = 64;

  void begin_with(const TaskRow& row) {
    header().first_unique = unique_ = row.unique;
    header().first_submitted_us = submitted_us_ = row.submitted_us;
    header().shared_bytes = 0;
  }
  bool has_room() const { return shared_ - next_ >= kRoomOfOne; }
  // Number for number: what is written in pieces and copied in larger ones waits for the pieces.
  [[gnu::always_inline]] void add(const ShortTaskRow& row) {
    *new (next_) ShortTaskRow = row;
    next_ += sizeof row;
    std::atomic<uint32_t>& count = header().count;
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  uint16_t place_of(const TaskLikes& likes) {
    Known& known = known_[likes.mix() % kKnown];
    if (known.place == 0 || !(known.likes == likes)) known = {likes, share(likes)};
    return known.place;
  }
  uint16_t whole(const TaskRow& row) { return ShortTaskRow::kWhole | share(row); }
  template <class T>
  uint16_t share(const T& what) {
    shared_ -= sizeof what;
    std::memcpy(shared_, &what, sizeof what);
    header().shared_bytes = static_cast<uint32_t>(end_ - shared_);
    return static_cast<uint16_t>(header().shared_bytes / ShortTaskRow::kUnit);
  }

  char* memory_ = nullptr;
  char* next_ = nullptr;
  char* shared_ = nullptr;
  char* end_ = nullptr;
  uint32_t forms_ = 0, actors_ = 0;
  uint64_t unique_ = 0;
  int64_t submitted_us_ = 0;
  std::array<Known, kKnown> known_{};
};

// What a file or a block holds, whoever wrote it.
class TaskRows {
 public:
  // Of bytes that are not of this form: without rows, and not valid().
  explicit TaskRows(std::string_view bytes) : bytes_(bytes) {
    if (bytes.size() < header_.size()) return;
    std::memcpy(header_.data(), bytes.data(), header_.size());
    valid_ = header().magic == kTaskFileMagic && header().row_bytes == sizeof(ShortTaskRow);
    if (!valid_) return;
    const uint64_t room = (bytes.size() - header_.size()) / sizeof(ShortTaskRow);
    count_ = static_cast<uint32_t>(
        std::min<uint64_t>(room, header().count.load(std::memory_order_relaxed)));
  }
  bool valid() const { return valid_; }
  const TaskFileHeader& header() const {
    return *reinterpret_cast<const TaskFileHeader*>(header_.data());
  }
  uint32_t count() const { return count_; }

  TaskRow at(uint32_t index) const {
    ShortTaskRow kept;
    std::memcpy(&kept, bytes_.data() + header_.size() + index * sizeof kept, sizeof kept);
    TaskRow row;
    if ((kept.place & ShortTaskRow::kWhole) != 0) {
      copy(kept.place ^ ShortTaskRow::kWhole, row);
      return row;
    }
    TaskLikes likes;
    copy(kept.place, likes);
    row.unique = header().first_unique +
                 (static_cast<uint64_t>(int64_t{kept.number}) << ShortTaskRow::kUniqueShift);
    row.submitted_us = wrapped_sum(header().first_submitted_us, kept.submitted);
    likes.put_into(row);
    row.waited = kept.waited;
    row.queued = kept.queued;
    row.sent = kept.sent;
    row.ran = kept.ran;
    row.answered = kept.answered;
    row.argument_bytes = kept.argument_bytes;
    row.result_bytes = kept.result_bytes;
    return row;
  }

  // The same without what is unused between rows and what they share; empty: it has no rows.
  static std::string_view close_up(std::span<char> file) {
    const TaskRows rows({file.data(), file.size()});
    const uint64_t front = sizeof(TaskFileHeader) + rows.count() * sizeof(ShortTaskRow);
    const uint64_t shared = rows.header().shared_bytes;
    if (rows.count() == 0 || front + shared > file.size()) return {};
    std::memmove(file.data() + front, file.data() + file.size() - shared, shared);
    return {file.data(), front + shared};
  }

 private:
  template <class T>
  void copy(uint64_t place, T& to) const {
    const uint64_t from_end = place * ShortTaskRow::kUnit;
    if (from_end < sizeof to || from_end > bytes_.size()) return;  // nonsense
    std::memcpy(&to, bytes_.data() + bytes_.size() - from_end, sizeof to);
  }

  std::string_view bytes_;
  alignas(TaskFileHeader) std::array<char, sizeof(TaskFileHeader)> header_{};
  uint32_t count_ = 0;
  bool valid_ = false;
};

}  // namespace eagleray
