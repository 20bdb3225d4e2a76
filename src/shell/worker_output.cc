#include "shell/worker_output.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>

namespace eagleray {

bool ShownShare::take(size_t bytes, Instant now) {
  const int64_t us = std::min<int64_t>((now - filled_at_).us, 1'000'000);
  if (us > 1'000) {  // more often would lose what is less than a byte
    bytes_ = std::min(bytes_max_, bytes_ + us * bytes_max_ / 1'000'000);
    filled_at_ = now;
  }
  const auto wanted = static_cast<int64_t>(bytes);
  if (bytes_ < (empty_ ? std::max(wanted, bytes_max_ / 2) : wanted)) {
    empty_ = true;
    return false;
  }
  empty_ = false;
  bytes_ -= wanted;
  return true;
}

WorkerOutput::WorkerOutput(Pipes pipes, OutputRoom& room, const Options& options, Show show)
    : out_{std::move(pipes.out), {}, {room, options.path + ".out"}},
      err_{std::move(pipes.err), {}, {room, options.path + ".err"}},
      show_(std::move(show)),
      path_(options.path),
      share_(options.shown_bytes_per_s) {}

bool WorkerOutput::read(bool error) {
  Stream& from = stream(error);
  char buffer[64 << 10];
  for (size_t total = 0; total < kOutputReadBytesMax;) {
    const ssize_t n = ::read(from.pipe.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) return false;
    if (n < 0) return true;
    total += static_cast<size_t>(n);
    from.lines.feed(
        {buffer, static_cast<size_t>(n)},
        [&](std::string_view lines, const std::string& name) { take(error, lines, name); });
  }
  return true;
}

void WorkerOutput::flush(bool open_lines) {
  for (bool error : {false, true}) {
    (void)read(error);
    if (!open_lines) continue;
    stream(error).lines.finish(
        [&](std::string_view lines, const std::string& name) { take(error, lines, name); });
  }
  if (hidden_lines_ > 0) say_what_is_hidden();
}

void WorkerOutput::take(bool error, std::string_view lines, const std::string& name) {
  stream(error).file.append(lines);
  if (error) {
    tail_.append(lines.substr(lines.size() - std::min(lines.size(), kOutputTailBytes)));
    if (tail_.size() > kOutputTailBytes) tail_.erase(0, tail_.size() - kOutputTailBytes);
  }
  if (share_.take(lines.size(), monotonic_now())) {
    if (hidden_lines_ > 0) say_what_is_hidden();
    if (hidden_lines_ == 0 && show_(error, name, lines)) return;
  }
  hidden_lines_ += static_cast<uint64_t>(std::count(lines.begin(), lines.end(), '\n'));
  hidden_bytes_ += lines.size();
  hidden_name_ = name;
}

void WorkerOutput::say_what_is_hidden() {
  const std::string text = "[eagleray: " + std::to_string(hidden_lines_) + " lines (" +
                           std::to_string((hidden_bytes_ + 1023) >> 10) +
                           " KiB) are not shown, too many came at once; see " + path_ + ".out]\n";
  if (!show_(true, hidden_name_, text)) return;
  hidden_lines_ = hidden_bytes_ = 0;
}

}  // namespace eagleray
