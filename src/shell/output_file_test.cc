#include "shell/output_file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <vector>

namespace eagleray {
namespace {

namespace fs = std::filesystem;

class OutputFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "eagleray-output-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { fs::remove_all(directory_); }

  OutputRoom room(uint64_t file, uint32_t parts, uint64_t session, uint32_t finished = 100) {
    return OutputRoom(OutputLimits{file, parts, session, finished},
                      [this](const std::string& text) { said_.push_back(text); });
  }
  std::string path(const std::string& name) const { return (directory_ / name).string(); }
  std::string text(const std::string& name) const {
    std::ifstream file(path(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }
  uint64_t bytes() const {
    uint64_t sum = 0;
    for (const auto& each : fs::directory_iterator(directory_)) sum += fs::file_size(each.path());
    return sum;
  }

  fs::path directory_;
  std::vector<std::string> said_;
};

TEST_F(OutputFileTest, NothingWrittenLeavesNoFile) {
  OutputRoom all = room(100, 2, 1000);
  { OutputFile file(all, path("a")); }
  EXPECT_TRUE(fs::is_empty(directory_));
}

TEST_F(OutputFileTest, FullPartsAreKeptAndTheOldestGo) {
  OutputRoom all = room(10, 2, 1000);
  OutputFile file(all, path("a"));
  for (int i = 0; i < 6; ++i) file.append("line " + std::to_string(i) + "\n");
  EXPECT_EQ(text("a"), "line 5\n");
  EXPECT_EQ(text("a.5"), "line 4\n");
  EXPECT_EQ(text("a.4"), "line 3\n");
  EXPECT_FALSE(fs::exists(path("a.3")));
  EXPECT_EQ(all.used(), bytes());
}

TEST_F(OutputFileTest, TheSessionsLimitTakesWhatWasFinishedFirst) {
  OutputRoom all = room(100, 2, 30);
  for (const char* name : {"a", "b", "c"}) OutputFile(all, path(name)).append("ten bytes\n");
  OutputFile(all, path("d")).append("ten bytes\n");
  EXPECT_FALSE(fs::exists(path("a")));
  EXPECT_TRUE(fs::exists(path("b")));
  EXPECT_EQ(all.used(), bytes());
  EXPECT_TRUE(said_.empty());
}

TEST_F(OutputFileTest, AStreamAtTheSessionsLimitKeepsItsNewestLines) {
  OutputRoom all = room(1000, 2, 30);
  OutputFile file(all, path("a"));
  for (int i = 0; i < 10; ++i) file.append("ten byte" + std::to_string(i) + "\n");
  EXPECT_TRUE(text("a").ends_with("ten byte9\n"));
  EXPECT_LE(bytes(), 30u);
  EXPECT_EQ(all.used(), bytes());
}

TEST_F(OutputFileTest, OnlyLivingFilesAtTheLimitSaySoOnce) {
  OutputRoom all = room(1000, 2, 30);
  OutputFile first(all, path("a"));
  OutputFile second(all, path("b"));
  first.append(std::string(28, 'x') + "\n");
  second.append("more than one\n");
  second.append("more than one\n");
  EXPECT_FALSE(fs::exists(path("b")));
  EXPECT_EQ(said_.size(), 1u);
}

TEST_F(OutputFileTest, FinishedFilesAreCounted) {
  OutputRoom all = room(100, 2, 1000, 3);
  for (int i = 0; i < 10; ++i) OutputFile(all, path(std::to_string(i))).append("x\n");
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_), fs::directory_iterator()), 3);
  EXPECT_TRUE(fs::exists(path("9")));
  EXPECT_EQ(all.used(), bytes());
}

TEST_F(OutputFileTest, ANumberUsedAgainGoesOnInTheSameFile) {
  OutputRoom all = room(100, 2, 1000);
  OutputFile(all, path("a")).append("first\n");
  OutputFile(all, path("a")).append("second\n");
  EXPECT_EQ(text("a"), "first\nsecond\n");
  EXPECT_EQ(all.used(), bytes());
}

TEST_F(OutputFileTest, AFullDiskLosesLinesSaysSoOnceAndHeals) {
  if (::mount("tmpfs", directory_.c_str(), "tmpfs", 0, "size=64k") != 0) {
    GTEST_SKIP() << "cannot mount here";
  }
  OutputRoom all = room(1 << 20, 2, 1 << 24);
  {
    OutputFile file(all, path("a"));
    std::ofstream(path("filler")) << std::string(60'000, 'f');
    for (int i = 0; i < 1000; ++i) file.append(std::string(99, 'x') + "\n");
    EXPECT_EQ(said_.size(), 1u);
    EXPECT_NE(said_.at(0).find("No space left"), std::string::npos) << said_.at(0);
    fs::remove(path("filler"));
    file.append("there is room\n");
    const std::string all_text = text("a");
    EXPECT_TRUE(all_text.ends_with(" bytes were lost here]\nthere is room\n")) << all_text;
    EXPECT_EQ(all.used(), all_text.size());
  }
  EXPECT_EQ(::umount(directory_.c_str()), 0);
}

TEST_F(OutputFileTest, AFileThatMayNotGrowIsLikeAFullDisk) {
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit tight{50, before.rlim_max};
  OutputRoom all = room(1000, 2, 1000);
  OutputFile file(all, path("a"));
  ::setrlimit(RLIMIT_FSIZE, &tight);
  for (int i = 0; i < 10; ++i) file.append("ten bytes\n");
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(bytes(), 50u);
  EXPECT_EQ(said_.size(), 1u);
  file.append("again\n");
  EXPECT_TRUE(text("a").ends_with("[eagleray: 50 bytes were lost here]\nagain\n"));
}

}  // namespace
}  // namespace eagleray
