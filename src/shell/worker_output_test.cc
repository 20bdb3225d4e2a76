#include "shell/worker_output.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>

#include "io/process.h"

namespace eagleray {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kShownBytesPerS = 1 << 20;

class WorkerOutputTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "eagleray-output-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    Pipe out = std::move(make_pipe()).value();
    Pipe err = std::move(make_pipe()).value();
    out_ = std::move(out.write);
    err_ = std::move(err.write);
    output_.emplace(WorkerOutput::Pipes{std::move(out.read), std::move(err.read)}, room_,
                    WorkerOutput::Options{name + "/worker-1", kShownBytesPerS},
                    [this](bool error, const std::string& who, std::string_view lines) {
                      if (!takes_) return false;
                      shown_ += (error ? "2" : "1") + who + ":" + std::string(lines);
                      return true;
                    });
  }
  void TearDown() override { fs::remove_all(directory_); }

  void write(const Fd& to, std::string_view text) {
    ASSERT_EQ(::write(to.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  std::string file(const char* name) const {
    std::ifstream stream(directory_ / name);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  fs::path directory_;
  OutputRoom room_{OutputLimits::of({}), [](const std::string&) {}};
  Fd out_, err_;
  bool takes_ = true;
  std::string shown_;
  std::optional<WorkerOutput> output_;
};

TEST_F(WorkerOutputTest, LinesGoToTheFileAndTheDriverMarksToNeither) {
  write(out_, std::string(kOutputMark) + "f\nhello\nno end");
  EXPECT_TRUE(output_->read(false));
  EXPECT_EQ(shown_, "1f:hello\n");
  output_->flush(false);
  EXPECT_EQ(shown_, "1f:hello\n");
  output_->flush(true);
  EXPECT_EQ(shown_, "1f:hello\n1f:no end\n");
  EXPECT_EQ(file("worker-1.out"), "hello\nno end\n");
}

TEST_F(WorkerOutputTest, TheEndOfThePipeIsTold) {
  write(err_, "last words\n");
  err_.reset();
  EXPECT_FALSE(output_->read(true));
  EXPECT_EQ(shown_, "2:last words\n");
  EXPECT_EQ(output_->tail(), "last words\n");
}

TEST_F(WorkerOutputTest, TheTailIsTheLastOfStderr) {
  for (int i = 0; i < 1000; ++i) write(err_, "line " + std::to_string(i) + "\n");
  (void)output_->read(true);
  EXPECT_LE(output_->tail().size(), kOutputTailBytes);
  EXPECT_TRUE(output_->tail().ends_with("line 999\n"));
}

TEST_F(WorkerOutputTest, AFloodIsHiddenWithItsCountAndKeptInTheFile) {
  const std::string block = std::string(1023, 'x') + "\n";
  uint64_t lines = 0;
  for (; lines * block.size() < 4 * static_cast<uint64_t>(kShownBytesPerS); ++lines) {
    write(out_, block);
    (void)output_->read(false);
  }
  output_->flush(true);
  EXPECT_EQ(file("worker-1.out").size(), lines * block.size());
  uint64_t said = 0, shown = 0;
  for (size_t at = 0; at < shown_.size(); at = shown_.find('\n', at) + 1) {
    const std::string_view line = std::string_view(shown_).substr(at, 60);
    if (line.starts_with("2:[eagleray: ")) {
      said += std::strtoull(line.data() + 13, nullptr, 10);
    } else {
      ++shown;
    }
  }
  EXPECT_GT(said, 0u);
  EXPECT_EQ(said + shown, lines);
}

TEST_F(WorkerOutputTest, ADriverThatCannotTakeMoreIsToldLater) {
  takes_ = false;
  write(out_, "a\nb\n");
  (void)output_->read(false);
  takes_ = true;
  write(out_, "c\n");
  (void)output_->read(false);
  EXPECT_TRUE(shown_.starts_with("2:[eagleray: 2 lines")) << shown_;
  EXPECT_TRUE(shown_.ends_with("1:c\n")) << shown_;
}

TEST(ShownShare, EmptiesAndFillsWithTime) {
  ShownShare share(kShownBytesPerS);
  const Instant start{1'000'000'000};
  EXPECT_TRUE(share.take(kShownBytesPerS, start));
  EXPECT_FALSE(share.take(1, start));
  EXPECT_FALSE(share.take(1, start + Duration::from_ms(400)));
  EXPECT_TRUE(share.take(1, start + Duration::from_ms(600)));
  EXPECT_TRUE(share.take(kShownBytesPerS / 2, start + Duration::from_ms(600)));
}

}  // namespace
}  // namespace eagleray
