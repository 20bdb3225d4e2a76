#include "io/log.h"

// The library as headers, in this file only: nothing else pays for compiling it, and the wheel
// needs no shared library.
#define FMT_HEADER_ONLY
#define SPDLOG_HEADER_ONLY
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace eagleray {
namespace {

std::shared_ptr<spdlog::logger>& logger() {
  static std::shared_ptr<spdlog::logger> instance = std::make_shared<spdlog::logger>(
      "eagleray", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  return instance;
}

}  // namespace

void open_log(const std::string& program, const std::string& path, const LogLimits& limits) {
  try {
    auto file = std::make_shared<spdlog::sinks::rotating_file_sink_mt>(path, limits.bytes,
                                                                       limits.old_files);
    logger() = std::make_shared<spdlog::logger>(program, std::move(file));
  } catch (const spdlog::spdlog_ex&) {
    // stderr it is
  }
  logger()->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %n[%P]: %v");
  logger()->flush_on(spdlog::level::info);
  logger()->set_error_handler([](const std::string&) {});
}

void log_line(LogLevel level, std::string_view text) {
  const spdlog::level::level_enum levels[] = {spdlog::level::info, spdlog::level::warn,
                                              spdlog::level::err};
  logger()->log(levels[static_cast<size_t>(level)], text);
}

}  // namespace eagleray
