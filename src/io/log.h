// A program's own log, by spdlog: one line an event with time, level and program.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace eagleray {

struct LogLimits {
  uint64_t bytes;      // of one file; then it becomes FILE.1
  uint32_t old_files;  // beside the current one, at least one; older ones go
};

enum class LogLevel : uint8_t { kInfo, kWarning, kError };

// Once, before other threads run: where this process's lines go. Without it, and if the file cannot
// be opened, they go to stderr.
void open_log(const std::string& program, const std::string& path, const LogLimits& limits);

// Thread-safe. A line that cannot be written (disk full) is lost, never an error.
void log_line(LogLevel level, std::string_view text);

}  // namespace eagleray
