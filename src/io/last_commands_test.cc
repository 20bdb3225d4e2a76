#include "io/last_commands.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace eagleray {
namespace {

namespace fs = std::filesystem;

class LastCommands : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/last_commands_XXXXXX";
    root_ = ::mkdtemp(name);
    fs::create_directory(root_ / "last");
  }
  void TearDown() override { fs::remove_all(root_); }

  void keep(const std::string& name, const std::vector<std::string>& words) {
    std::ofstream file(root_ / "last" / name, std::ios::binary);
    for (const std::string& word : words) file << word << '\0';
  }

  fs::path root_;
};

TEST_F(LastCommands, RunAndAreForgotten) {
  keep("first", {"/bin/mkdir", (root_ / "made by the first").string()});
  keep("not-there", {"/no/such/program"});
  keep("cut-off", {});
  keep("third", {"/bin/mkdir", (root_ / "third").string()});
  run_last_commands((root_ / "last").string(), Duration::from_s(60));
  EXPECT_TRUE(fs::is_directory(root_ / "made by the first"));
  EXPECT_TRUE(fs::is_directory(root_ / "third"));
  EXPECT_TRUE(fs::is_empty(root_ / "last"));
}

TEST_F(LastCommands, OnesThatNeverEndAreEndedAndKept) {
  keep("1", {"/bin/sleep", "1000"});
  keep("2", {"/bin/sleep", "1000"});
  run_last_commands((root_ / "last").string(), Duration::from_ms(10));
  EXPECT_TRUE(fs::exists(root_ / "last" / "1"));
  EXPECT_TRUE(fs::exists(root_ / "last" / "2"));
}

TEST_F(LastCommands, NoDirectoryNoCommands) {
  run_last_commands((root_ / "none").string(), Duration::from_s(60));
}

}  // namespace
}  // namespace eagleray
