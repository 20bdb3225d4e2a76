#include "shell/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace eagleray {
namespace {

constexpr Duration kSayAgainAfter = Duration::from_s(60);

}  // namespace

// ---- the room ----

bool OutputRoom::fits(uint64_t bytes) {
  while (used_ + bytes > limits_.session_bytes && !finished_.empty()) {
    remove(finished_.front().path);
  }
  return used_ + bytes <= limits_.session_bytes;
}

void OutputRoom::finish(const std::string& path, uint64_t bytes) {
  finished_.push_back({path, bytes});
  while (finished_.size() > limits_.finished_files) remove(finished_.front().path);
}

uint64_t OutputRoom::reclaim(const std::string& path) {
  const auto it = std::find_if(finished_.begin(), finished_.end(),
                               [&](const Finished& each) { return each.path == path; });
  if (it == finished_.end()) return 0;
  const uint64_t bytes = it->bytes;
  finished_.erase(it);
  return bytes;
}

void OutputRoom::remove(const std::string& path) {
  const std::string gone = path;  // the list may hold the argument
  used_ -= reclaim(gone);
  ::unlink(gone.c_str());
}

void OutputRoom::lose(const std::string& path, const std::string& why) {
  const Instant now = monotonic_now();
  if (std::exchange(losing_, true) || now < may_say_at_) return;
  may_say_at_ = now + kSayAgainAfter;
  say_("could not write " + path + ": " + why +
       "; what workers print is lost there until there is room, the terminal still shows it");
}

void OutputRoom::wrote(uint64_t bytes) {
  used_ += bytes;
  losing_ = false;
}

// ---- a file ----

OutputFile::~OutputFile() {
  if (bytes_ > 0) room_.finish(path_, bytes_);
}

void OutputFile::append(std::string_view lines) {
  const OutputLimits& limits = room_.limits();
  if (bytes_ > 0 && bytes_ + lines.size() > limits.file_bytes) begin_next_part();
  if (!room_.fits(lines.size())) {
    if (bytes_ > 0) begin_next_part();  // this one's own old lines go before others' new ones
    if (!room_.fits(lines.size())) {
      lost_ += lines.size();
      return room_.lose(path_, "the logs of this session take " +
                                   std::to_string(limits.session_bytes >> 20) +
                                   " MiB, the most they may");
    }
  }
  if (!file_.valid()) {
    file_ = Fd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (file_.valid()) bytes_ = room_.reclaim(path_);  // of an earlier process of the same number
  }
  if (lost_ > 0) {
    const std::string note = "[eagleray: " + std::to_string(lost_) + " bytes were lost here]\n";
    if (!write(note)) {
      lost_ += lines.size();
      return;
    }
    lost_ = 0;
  }
  (void)write(lines);
}

// False: not all of it; what is missing counts as lost if it was output.
bool OutputFile::write(std::string_view bytes) {
  const bool is_note = lost_ > 0;
  while (!bytes.empty()) {
    const ssize_t n = ::write(file_.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int error = errno;
      if (!is_note) lost_ += bytes.size();
      room_.lose(path_, system_error("write", error).message);
      return false;
    }
    bytes_ += static_cast<uint64_t>(n);
    room_.wrote(static_cast<uint64_t>(n));
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

void OutputFile::begin_next_part() {
  const std::string old = path_ + "." + std::to_string(++parts_);
  room_.remove(old);                                // of an earlier process of the same number
  if (::rename(path_.c_str(), old.c_str()) != 0) {  // then it begins anew
    room_.used_ -= bytes_;
    ::unlink(path_.c_str());
  } else {
    room_.finish(old, bytes_);
    if (parts_ > room_.limits().old_parts) {
      room_.remove(path_ + "." + std::to_string(parts_ - room_.limits().old_parts));
    }
  }
  file_.reset();
  bytes_ = 0;
}

}  // namespace eagleray
