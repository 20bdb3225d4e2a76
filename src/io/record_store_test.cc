#include "io/record_store.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace eagleray {
namespace {

class RecordStoreTest : public testing::Test {
 protected:
  RecordStoreTest() {
    char name[] = "/tmp/eagleray_store_XXXXXX";
    folder_ = ::mkdtemp(name);
    path_ = folder_ + "/control.db";
  }
  ~RecordStoreTest() override { std::filesystem::remove_all(folder_); }
  std::unique_ptr<RecordStore> open() {
    return std::move(RecordStore::open(path_, RecordStore::Sync::kKernel)).value();
  }
  std::string folder_, path_;
};

TEST_F(RecordStoreTest, keeps_what_was_committed) {
  {
    auto store = open();
    ASSERT_TRUE(store->commit({{2, "b", "two", false}, {1, "a", "one", false}}).ok());
    ASSERT_TRUE(
        store->commit({{1, "a", "uno", false}, {3, "", std::string(1 << 20, 'x'), false}}).ok());
  }
  EXPECT_EQ(open()->read_all().value(),
            (std::vector<std::string>{"uno", "two", std::string(1 << 20, 'x')}));
}

TEST_F(RecordStoreTest, erases) {
  auto store = open();
  ASSERT_TRUE(store->commit({{1, "a", "one", false}, {1, "b", "two", false}}).ok());
  ASSERT_TRUE(store->commit({{1, "a", "", true}, {1, "nothing", "", true}}).ok());
  EXPECT_EQ(store->read_all().value(), std::vector<std::string>{"two"});
}

TEST_F(RecordStoreTest, keys_and_values_are_bytes) {
  auto store = open();
  const std::string zero("\0k", 2);
  ASSERT_TRUE(store->commit({{1, zero, std::string(3, '\0'), false}}).ok());
  EXPECT_EQ(store->read_all().value(), std::vector<std::string>{std::string(3, '\0')});
}

TEST_F(RecordStoreTest, a_killed_process_loses_nothing_committed) {
  const pid_t child = ::fork();
  if (child == 0) {
    auto store = open();
    for (int i = 0; i < 100; ++i) {
      if (!store->commit({{1, std::to_string(i), "v", false}}).ok()) ::_exit(1);
    }
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(open()->read_all().value().size(), 100u);
}

TEST_F(RecordStoreTest, others_cannot_read_it) {
  auto store = open();
  EXPECT_EQ(std::filesystem::status(path_).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(RecordStoreTest, another_file_is_refused_and_kept) {
  std::ofstream(path_) << "this is no database, and long enough to be sure of it";
  auto store = RecordStore::open(path_, RecordStore::Sync::kKernel);
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.error().code, ErrorCode::kCorrupt);
  EXPECT_GT(std::filesystem::file_size(path_), 40u);
}

}  // namespace
}  // namespace eagleray
