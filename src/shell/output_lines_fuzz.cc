// What a worker writes into its pipes, in pieces of any size: every line that goes on is ended and
// no longer than it may be, and all bytes go on but those of marks.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "shell/output_lines.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace eagleray;
  OutputLines lines;
  size_t given = 0, got = 0;
  bool marked = false;
  const auto sink = [&](std::string_view text, const std::string& name) {
    EAGLERAY_CHECK(text.ends_with('\n'), "a line without an end");
    EAGLERAY_CHECK(name.size() <= kOutputNameBytesMax, "a name that is too long");
    got += text.size();
    while (!text.empty()) {
      const size_t end = text.find('\n') + 1;
      EAGLERAY_CHECK(end <= kOutputLineBytesMax + 1, "a line that is too long");
      text.remove_prefix(end);
    }
  };
  // A byte is a step: the beginning of a mark, many equal bytes, or some of those that follow.
  std::string all;
  for (size_t at = 0; at < size;) {
    const uint8_t what = data[at++];
    std::string piece;
    if (what >= 192) {
      piece = std::string(kOutputMark);
      marked = true;
    } else if (what >= 128) {
      piece = std::string((what - 127u) * 2'000, at < size ? static_cast<char>(data[at]) : 'x');
    } else {
      piece.assign(reinterpret_cast<const char*>(data) + at, std::min<size_t>(what, size - at));
      at += piece.size();
    }
    given += piece.size();
    all += piece;
    lines.feed(piece, sink);
  }
  lines.finish(sink);
  marked |= all.find(kOutputMark) != std::string::npos;
  EAGLERAY_CHECK(marked || got >= given, "bytes were lost");
  return 0;
}
