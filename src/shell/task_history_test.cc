#include "shell/task_history.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/random.h"
#include "shell/history_keeper.h"

namespace eagleray {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kFirstRows = 505;  // of a process's first file
constexpr uint32_t kRows = 8'185;     // of the others

class TaskHistoryTest : public ::testing::Test {
 protected:
  TaskHistoryTest() {
    TaskTemplate form;
    form.function = machine_.define_function(Payload(), "module.f");
    form.key = machine_.intern_key({{"CPU", 10'000}}, {}, "");
    machine_.intern_template(form);
  }
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "eagleray-history-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { fs::remove_all(directory_); }

  void append(TaskHistory& history, uint32_t rows) {
    for (uint32_t i = 0; i < rows; ++i) {
      TaskRow row;
      row.unique = ++unique_ << 24 | 7;
      row.form = 1;
      history.append(row, machine_);
    }
  }
  size_t files(const char* ending) const {
    size_t count = 0;
    for (const auto& entry : fs::directory_iterator(directory_)) {
      count += entry.path().string().ends_with(ending) ? 1 : 0;
    }
    return count;
  }
  // Rows in the database.
  uint64_t kept() const {
    sqlite3* database = nullptr;
    sqlite3_stmt* sum = nullptr;
    uint64_t rows = 0;
    const std::string path = directory_ / "history.db";
    if (::sqlite3_open_v2(path.c_str(), &database, SQLITE_OPEN_READONLY, nullptr) == SQLITE_OK &&
        ::sqlite3_prepare_v2(database, "SELECT sum(rows) FROM blocks", -1, &sum, nullptr) ==
            SQLITE_OK &&
        ::sqlite3_step(sum) == SQLITE_ROW) {
      rows = static_cast<uint64_t>(::sqlite3_column_int64(sum, 0));
    }
    ::sqlite3_finalize(sum);
    ::sqlite3_close(database);
    return rows;
  }
  // Of files of this test, in this process.
  size_t mappings() const {
    std::ifstream maps("/proc/self/maps");
    size_t count = 0;
    for (std::string line; std::getline(maps, line);) {
      count += line.find(directory_.string()) != std::string::npos ? 1 : 0;
    }
    return count;
  }
  bool wait_for(const std::function<bool()>& done) const {
    for (int i = 0; i < 30'000 && !done(); ++i) ::poll(nullptr, 0, 2);
    return done();
  }

  ClientMachine machine_{Settings{}};
  fs::path directory_;
  uint64_t unique_ = 0;
};

TEST(Packing, KeepsWhatFitsAndRoundsWhatDoesNot) {
  for (int64_t exact : {int64_t{0}, int64_t{1}, (int64_t{1} << 31) - 1}) {
    EXPECT_EQ(unpack(pack(exact)), static_cast<uint64_t>(exact));
  }
  const int64_t large = (int64_t{5} << 32) + 123;
  EXPECT_EQ(unpack(pack(large)), static_cast<uint64_t>(large) >> 10 << 10);
  EXPECT_EQ(pack(-5), 0u);
  EXPECT_EQ(pack(INT64_MAX), UINT32_MAX);
}

// A file's memory, and its writer, which may name anything.
struct RowFile {
  std::vector<uint64_t> memory =
      std::vector<uint64_t>(TaskRowWriter::kFileBytesMax / sizeof(uint64_t));
  const std::span<char> bytes{reinterpret_cast<char*>(memory.data()), TaskRowWriter::kFileBytesMax};
  TaskRowWriter writer;

  RowFile() {
    new (memory.data()) TaskFileHeader;
    writer.begin(bytes.data(), bytes.size());
    writer.name(UINT32_MAX, UINT32_MAX);
  }
};

// What `rows` are after they were written and read, and the bytes that a block of them has.
std::pair<std::vector<TaskRow>, size_t> written(const std::vector<TaskRow>& rows) {
  RowFile file;
  for (const TaskRow& row : rows) EXPECT_TRUE(file.writer.put(row));
  const std::string_view block = TaskRows::close_up(file.bytes);
  const TaskRows read(block);
  std::pair<std::vector<TaskRow>, size_t> result{{}, block.size()};
  for (uint32_t at = 0; at < read.count(); ++at) result.first.push_back(read.at(at));
  return result;
}

bool same(const TaskRow& a, const TaskRow& b) { return std::memcmp(&a, &b, sizeof a) == 0; }

TaskRow row_numbered(uint64_t number) {
  TaskRow row;
  row.unique = number << 24 | 0xABCDEF;
  row.submitted_us = 5'000'000'000'000 + static_cast<int64_t>(number);
  row.worker = 3ull << 32 | 8;
  row.parent = 0xFEDCBA9876543210;
  row.form = 2;
  row.actor = 3;
  row.waited = 0xFFFFFFFF;
  row.queued = 0xFFFFFFFE;
  row.sent = 0xFFFFFFFD;
  row.ran = 0xFFFFFFFC;
  row.answered = UINT16_MAX;
  row.argument_bytes = UINT16_MAX;
  row.result_bytes = UINT16_MAX;
  row.attempt = 9;
  row.error = 17;
  return row;
}

TEST(TaskRows, AreReadAsTheyWereWritten) {
  std::vector<TaskRow> rows;
  for (const uint64_t number : {1'000u, 1'002u, 1'001u, 3u}) rows.push_back(row_numbered(number));
  for (int i = 0; i < 2; ++i) {
    TaskRow row = row_numbered(5);
    rows.push_back(((row.worker = 1), row));
    rows.push_back(((row.parent = 1), row));
    rows.push_back(((row.form = 1), row));
    rows.push_back(((row.actor = 0), row));
    rows.push_back(((row.attempt = 0), row));
    rows.push_back(((row.error = 0), row));
  }
  const auto [read, bytes] = written(rows);
  ASSERT_EQ(read.size(), rows.size());
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_TRUE(same(read[i], rows[i])) << i;
  // What the last six share with those before them may have been forgotten meanwhile.
  EXPECT_GE(bytes, 96 + 32 * rows.size() + 32 * 7);
  EXPECT_LE(bytes, 96 + 32 * rows.size() + 32 * 13);
}

TEST(TaskRows, WhatFitsIntoNoShortRowIsKeptWhole) {
  std::vector<TaskRow> rows{row_numbered(1'000)};
  TaskRow row = rows[0];
  rows.push_back(((row.unique ^= 1), row));
  row = rows[0];
  rows.push_back(((row.unique += 1ull << 56), row));
  row = rows[0];
  rows.push_back(((row.submitted_us -= int64_t{1} << 32), row));
  row = rows[0];
  rows.push_back(((row.answered += 1), row));
  row = rows[0];
  rows.push_back(((row.argument_bytes += 1), row));
  row = rows[0];
  rows.push_back(((row.result_bytes += 1), row));
  const auto [read, bytes] = written(rows);
  ASSERT_EQ(read.size(), rows.size());
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_TRUE(same(read[i], rows[i])) << i;
  EXPECT_EQ(bytes, 96 + 32 + 32 + 6 * (32 + 72));  // each of them within 120 bytes
}

TEST(TaskRows, ThoseOfALikeTakeThirtyTwoBytesEach) {
  std::vector<TaskRow> rows;
  for (uint64_t i = 0; i < 1'000; ++i) {
    rows.push_back(row_numbered(i));
    rows.back().worker += i % 8;
  }
  EXPECT_LE(written(rows).second, 96 + 32 * 1'000 + 32 * 16);
}

// What the machine gives to put_usual(), of a row whose durations are not packed.
bool put_usual(TaskRowWriter& writer, const TaskRow& row) {
  return writer.put_usual(row.unique, row.submitted_us,
                          {row.waited, row.queued, row.sent, row.ran, row.answered},
                          row.argument_bytes, row.result_bytes, TaskLikes::of(row));
}

TEST(TaskRows, TheUsualAreReadAsTheyWereWritten) {
  Random random(1);
  const auto up_to = [&random](uint64_t bits) {
    const uint64_t few = random.below(50) == 0 ? bits + 1 : random.below(bits + 1);
    return static_cast<uint32_t>(random.next() & ((uint64_t{1} << few) - 1));
  };
  std::vector<TaskRow> rows;
  for (int i = 0; i < 4'000; ++i) {
    TaskRow row = row_numbered(i == 0 ? 100 : random.below(1'000));
    row.actor = static_cast<uint32_t>(random.below(3));
    row.worker += row.actor;
    row.attempt = random.below(10) == 0 ? 1 : 0;
    row.error = 0;
    row.waited = up_to(31);
    row.queued = up_to(31);
    row.sent = up_to(31);
    row.ran = up_to(31);
    row.answered = up_to(16);
    row.argument_bytes = up_to(16);
    row.result_bytes = up_to(16);
    rows.push_back(row);
  }
  RowFile file;
  size_t usual = 0;
  for (const TaskRow& row : rows) {
    if (put_usual(file.writer, row)) {
      ++usual;
    } else {
      ASSERT_TRUE(file.writer.put(row));
    }
  }
  EXPECT_GT(usual, rows.size() / 2);
  EXPECT_LT(usual, rows.size());
  const TaskRows read({file.bytes.data(), file.bytes.size()});
  ASSERT_EQ(read.count(), rows.size());
  for (uint32_t i = 0; i < read.count(); ++i) EXPECT_TRUE(same(read.at(i), rows[i])) << i;
}

TEST(TaskRows, TheUsualNeedRoomAndLikesThatAreKnown) {
  std::vector<uint64_t> memory(64);
  new (memory.data()) TaskFileHeader;
  TaskRowWriter writer;
  TaskRow row;
  row.unique = 1ull << 24;
  row.worker = 1;
  row.form = 1;
  EXPECT_FALSE(put_usual(writer, row));  // there is no file
  writer.begin(reinterpret_cast<char*>(memory.data()), memory.size() * sizeof(uint64_t));
  EXPECT_FALSE(put_usual(writer, row));
  EXPECT_FALSE(writer.put(row));  // which names a function that has no name yet
  writer.name(1, 0);
  EXPECT_TRUE(writer.put(row));
  int usual = 0;
  while (put_usual(writer, row)) ++usual;
  EXPECT_GT(usual, 1);
  EXPECT_FALSE(writer.put(row));
  EXPECT_LE(TaskRows::close_up({reinterpret_cast<char*>(memory.data()), 512}).size(), 512u);
  row.form = 2;
  EXPECT_FALSE(put_usual(writer, row));
}

TEST(TaskRows, NonsenseHasNoRowsOrRowsWithoutValues) {
  EXPECT_FALSE(TaskRows("").valid());
  EXPECT_FALSE(TaskRows(std::string(200, 'x')).valid());
  TaskFileHeader header;
  header.count = 1'000;
  header.shared_bytes = 8;
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  EXPECT_EQ(TaskRows(bytes).count(), 0u);
  bytes.append(sizeof(ShortTaskRow) * 2, '\xFF');
  const TaskRows rows(bytes);
  ASSERT_EQ(rows.count(), 2u);
  EXPECT_EQ(rows.at(1).worker, 0u);
  EXPECT_TRUE(TaskRows::close_up(std::span(bytes)).empty());
}

TEST_F(TaskHistoryTest, WritesNothingBeforeTheFirstRow) {
  TaskHistory history;
  history.begin(directory_, ProcId{7}, 42);
  EXPECT_TRUE(fs::is_empty(directory_));
  append(history, 1);
  EXPECT_EQ(files(".tasks"), 1u);
  EXPECT_EQ(files("0000000000000007.names"), 1u);
}

TEST_F(TaskHistoryTest, NothingIsWrittenWithoutADirectory) {
  TaskHistory history;
  append(history, 1);
  history.begin(directory_ / "missing", ProcId{7}, 42);
  append(history, 10'000);
  EXPECT_TRUE(fs::is_empty(directory_));
}

TEST_F(TaskHistoryTest, FullFilesAreTakenAndTheOpenOneIsNot) {
  const auto keeper = HistoryKeeper::start(directory_, 1u << 30);
  TaskHistory history;
  history.begin(directory_, ProcId{7}, 42);
  append(history, kFirstRows + 1);
  EXPECT_TRUE(wait_for([&] { return files("-0.tasks") == 0; }));
  EXPECT_EQ(files("-1.tasks"), 1u);
  EXPECT_EQ(files(".names"), 1u);
  history.end();
  EXPECT_TRUE(wait_for([&] { return files(".tasks") == 0 && files(".names") == 0; }));
}

TEST_F(TaskHistoryTest, FullFilesAreUsedAgainOnceTheyAreTaken) {
  const auto keeper = HistoryKeeper::start(directory_, 1u << 30);
  TaskHistory history;
  history.begin(directory_, ProcId{7}, 42);
  append(history, kFirstRows);
  for (uint32_t i = 1; i <= 6; ++i) {
    append(history, 1);  // the first row of this file: the one before is the keeper's
    EXPECT_TRUE(wait_for([&] { return kept() == kFirstRows + (i - 1) * kRows; }));
    append(history, kRows - 1);
  }
  EXPECT_EQ(files(".tasks"), 2u);
  history.end();
  EXPECT_TRUE(wait_for([&] { return kept() == unique_ && files(".tasks") == 0; }));
}

// To open or close a file that it watches must not wake the keeper for ever.
TEST_F(TaskHistoryTest, TheKeeperSleepsBesideAProcessThatWritesNothing) {
  const auto keeper = HistoryKeeper::start(directory_, 1u << 30);
  TaskHistory history;
  history.begin(directory_, ProcId{7}, 42);
  append(history, kFirstRows + kRows + 1);
  ASSERT_TRUE(wait_for([&] { return kept() == kFirstRows + kRows; }));
  const Fd watch(::inotify_init1(IN_NONBLOCK));
  ASSERT_GE(::inotify_add_watch(watch.get(), directory_.c_str(), IN_OPEN), 0);
  EXPECT_TRUE(wait_for([&] {
    std::array<char, 4'096> heard{};
    pollfd still{watch.get(), POLLIN, 0};
    while (::read(watch.get(), heard.data(), heard.size()) > 0) continue;
    return ::poll(&still, 1, 200) == 0;
  }));
}

TEST_F(TaskHistoryTest, WithoutAKeeperMemoryIsBoundedAndNothingIsLost) {
  TaskHistory history;
  history.begin(directory_, ProcId{7}, 42);
  append(history, kFirstRows + 70 * kRows);
  EXPECT_EQ(mappings(), 64u);
  const auto keeper = HistoryKeeper::start(directory_, 1u << 30);
  EXPECT_TRUE(wait_for([&] { return kept() == kFirstRows + 69 * kRows; }));
  append(history, 10 * kRows);
  history.end();
  EXPECT_TRUE(wait_for([&] { return kept() == unique_ && files(".tasks") == 0; }));
}

TEST_F(TaskHistoryTest, WhatAKilledProcessHasWrittenIsTaken) {
  const auto keeper = HistoryKeeper::start(directory_, 1u << 30);
  const pid_t child = ::fork();
  if (child == 0) {
    TaskHistory history;
    history.begin(directory_, ProcId{9}, 1);
    append(history, 5);
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(wait_for([&] { return files(".tasks") == 0; }));
}

TEST_F(TaskHistoryTest, WhatWasLeftBehindIsTakenAtTheStart) {
  {
    TaskHistory history;
    history.begin(directory_, ProcId{7}, 42);
    append(history, 5);
  }
  EXPECT_EQ(files(".tasks"), 1u);
  const auto keeper = HistoryKeeper::start(directory_, 1u << 30);
  EXPECT_TRUE(wait_for([&] { return files(".tasks") == 0; }));
}

TEST_F(TaskHistoryTest, NonsenseIsNoRowAndDoesNotStay) {
  std::ofstream(directory_ / "0000000000000001-0.tasks") << std::string(4'096, 'x');
  const auto keeper = HistoryKeeper::start(directory_, 1u << 30);
  EXPECT_TRUE(wait_for([&] { return files(".tasks") == 0; }));
}

TEST_F(TaskHistoryTest, TheOldestBlocksMakeRoomAndNoneIsKeptTwice) {
  auto store = std::move(HistoryStore::open(directory_ / "history.db", 1'000)).value();
  const std::string bytes(300, 'b');
  const auto keep = [&](std::initializer_list<uint64_t> sequences) {
    bool good = store->begin().ok();
    for (const uint64_t sequence : sequences) {
      const auto last_us = static_cast<int64_t>(sequence);
      good = store->put(HistoryStore::Block{1, sequence, 4, last_us, bytes}).ok() && good;
    }
    return store->put(HistoryStore::Names{1, "{}"}).ok() && store->commit().ok() && good;
  };
  ASSERT_TRUE(keep({1, 2, 2}));
  EXPECT_EQ(store->bytes(), 600u);
  ASSERT_TRUE(keep({3, 4}));
  EXPECT_EQ(store->bytes(), 900u);
  store.reset();
  store = std::move(HistoryStore::open(directory_ / "history.db", 1'000)).value();
  EXPECT_EQ(store->bytes(), 900u);
}

}  // namespace
}  // namespace eagleray
