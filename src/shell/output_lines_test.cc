#include "shell/output_lines.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace eagleray {
namespace {

using Got = std::vector<std::pair<std::string, std::string>>;  // name, lines

struct Reader {
  OutputLines lines;
  Got got;
  OutputLines::Sink sink = [this](std::string_view text, const std::string& name) {
    got.emplace_back(name, text);
  };
  Got feed(std::string_view bytes) {
    lines.feed(bytes, sink);
    return std::exchange(got, {});
  }
  Got finish() {
    lines.finish(sink);
    return std::exchange(got, {});
  }
};

const std::string kMark(kOutputMark);

TEST(OutputLines, WholeLinesGoOnTogetherAndTheRestWaits) {
  Reader reader;
  EXPECT_EQ(reader.feed("a\nb\nc"), (Got{{"", "a\nb\n"}}));
  EXPECT_EQ(reader.feed("d"), Got{});
  EXPECT_EQ(reader.feed("\n\n"), (Got{{"", "cd\n\n"}}));
  EXPECT_EQ(reader.finish(), Got{});
}

TEST(OutputLines, TheEndEndsALine) {
  Reader reader;
  EXPECT_EQ(reader.feed("no end"), Got{});
  EXPECT_EQ(reader.finish(), (Got{{"", "no end\n"}}));
  EXPECT_EQ(reader.finish(), Got{});
}

TEST(OutputLines, MarksNameWhatFollowsAndAreNoOutput) {
  Reader reader;
  EXPECT_EQ(reader.feed("a\n" + kMark + "f\nb\nc\n" + kMark + "g\n"),
            (Got{{"", "a\n"}, {"f", "b\nc\n"}}));
  EXPECT_EQ(reader.feed("d\n"), (Got{{"g", "d\n"}}));
}

TEST(OutputLines, AMarkMayComeInPieces) {
  Reader reader;
  EXPECT_EQ(reader.feed(kMark.substr(0, 5)), Got{});
  EXPECT_EQ(reader.feed(kMark.substr(5) + "na"), Got{});
  EXPECT_EQ(reader.feed("me\nx\n"), (Got{{"name", "x\n"}}));
}

TEST(OutputLines, ALongNameIsCut) {
  Reader reader;
  const Got got = reader.feed(kMark + std::string(1000, 'n') + "\nx\n");
  EXPECT_EQ(got, (Got{{std::string(kOutputNameBytesMax, 'n'), "x\n"}}));
}

TEST(OutputLines, ALineWithoutEndGoesOnInParts) {
  Reader reader;
  size_t bytes = 0, parts = 0;
  for (int i = 0; i < 64; ++i) {
    for (const auto& [name, text] : reader.feed(std::string(50'000, 'x'))) {
      EXPECT_LE(text.size(), kOutputLineBytesMax + 1);
      EXPECT_TRUE(text.ends_with('\n'));
      bytes += text.size() - 1;
      ++parts;
    }
  }
  bytes += reader.finish().at(0).second.size() - 1;
  EXPECT_EQ(bytes, 64u * 50'000);
  EXPECT_EQ(parts, 64u * 50'000 / kOutputLineBytesMax);
}

TEST(OutputLines, ALongLineInOnePieceToo) {
  Reader reader;
  std::string text;
  for (const auto& [name, part] : reader.feed("a\n" + std::string(200'000, 'x') + "\nb\n")) {
    text += part;
  }
  EXPECT_EQ(text.size(), 2u + 200'001 + 3 + 2);  // three ends more
}

TEST(OutputLines, NoCharacterIsCutInTwo) {
  Reader reader;
  std::string text = "x";
  while (text.size() < 2 * kOutputLineBytesMax) text += "\xE2\x82\xAC";
  for (const auto& [name, part] : reader.feed(text)) {
    EXPECT_EQ(static_cast<unsigned char>(part[part.size() - 2]), 0xAC);
  }
}

}  // namespace
}  // namespace eagleray
