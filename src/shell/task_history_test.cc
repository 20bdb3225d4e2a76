#include "shell/task_history.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "shell/history_keeper.h"

namespace eagleray {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kFirstRows = 226;  // of a process's first file
constexpr uint32_t kRows = 3'640;     // of the others

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
      row.unique = ++unique_;
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
    for (int i = 0; i < 5'000 && !done(); ++i) ::poll(nullptr, 0, 2);
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
  for (uint32_t i = 1; i <= 20; ++i) {
    append(history, 1);  // the first row of this file: the one before is the keeper's
    EXPECT_TRUE(wait_for([&] { return kept() == kFirstRows + (i - 1) * kRows; }));
    append(history, kRows - 1);
  }
  EXPECT_EQ(files(".tasks"), 2u);
  history.end();
  EXPECT_TRUE(wait_for([&] { return kept() == unique_ && files(".tasks") == 0; }));
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
