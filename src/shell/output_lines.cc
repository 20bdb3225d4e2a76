#include "shell/output_lines.h"

#include <utility>

namespace eagleray {
namespace {

// Where a line that is too long may be cut: not inside a character of UTF-8.
size_t cut_of(std::string_view text) {
  size_t at = kOutputLineBytesMax;
  for (int i = 0; i < 3 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80; ++i) --at;
  return at;
}

}  // namespace

void OutputLines::feed(std::string_view bytes, const Sink& sink) {
  const size_t end = bytes.rfind('\n');
  if (end != std::string_view::npos) {
    if (open_.empty()) {
      cut(bytes.substr(0, end + 1), sink);
    } else {
      open_.append(bytes.substr(0, end + 1));
      const std::string lines = std::exchange(open_, {});
      cut(lines, sink);
    }
    bytes.remove_prefix(end + 1);
  }
  open_.append(bytes);
  while (open_.size() > kOutputLineBytesMax) {
    const size_t at = cut_of(open_);
    cut(open_.substr(0, at) + "\n", sink);
    open_.erase(0, at);
  }
}

void OutputLines::finish(const Sink& sink) {
  if (open_.empty()) return;
  const std::string line = std::exchange(open_, {}) + "\n";
  cut(line, sink);
}

// `lines` are whole; each may still be too long, or a mark.
void OutputLines::cut(std::string_view lines, const Sink& sink) {
  size_t given = 0;  // up to here
  const auto give = [&](size_t up_to) {
    if (up_to > given) sink(lines.substr(given, up_to - given), name_);
  };
  for (size_t at = 0; at < lines.size();) {
    const size_t end = lines.find('\n', at) + 1;
    const std::string_view line = lines.substr(at, end - at);
    if (line.starts_with(kOutputMark)) {
      give(at);
      const std::string_view name = line.substr(kOutputMark.size(), kOutputNameBytesMax);
      name_ = name.substr(0, name.find('\n'));
      given = end;
    } else if (line.size() > kOutputLineBytesMax + 1) {
      give(at);
      std::string_view rest = line;
      while (rest.size() > kOutputLineBytesMax + 1) {
        const size_t part = cut_of(rest);
        sink(std::string(rest.substr(0, part)) + "\n", name_);
        rest.remove_prefix(part);
      }
      sink(rest, name_);
      given = end;
    }
    at = end;
  }
  give(lines.size());
}

}  // namespace eagleray
