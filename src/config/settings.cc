#include "config/settings.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/names.h"

namespace eagleray {
namespace {

constexpr double kKiB = 1024, kMiB = 1024 * kKiB;
constexpr double kHourMs = 3'600'000;

const SettingRow kRows[] = {
    {"lease_linger_ms", &Settings::lease_linger, 0, kHourMs, "ms",
     "A caller keeps a worker this long without work for it; another caller's wish ends it at "
     "once.",
     ""},
    {"pipeline_us_max", &Settings::pipeline_us_max, 0, 1e6, "us",
     "Work that is sent ahead to one worker, as far as run times are known; 0: one task at a time.",
     ""},
    {"pipeline_tasks_max", &Settings::pipeline_tasks_max, 1, 4096, "tasks",
     "Tasks that are sent ahead to one worker, however short they are.", ""},
    {"give_back_after_us", &Settings::give_back_after, 0, 1e9, "us",
     "A task that runs longer than this gives back what was sent ahead behind it.", ""},
    {"interrupt_again_ms", &Settings::interrupt_again_after, 1, kHourMs, "ms",
     "A cancelled task that still runs is interrupted again after this.", ""},
    {"interrupts_max", &Settings::interrupts_max, 1, 1e6, "interrupts",
     "A cancelled task is interrupted at most this often.", ""},
    {"deadlock_after_ms", &Settings::deadlock_after, 0, 24 * kHourMs, "ms",
     "A get() of a task that lasts this long looks for a cycle of waits, to raise DeadlockError; "
     "0: "
     "never.",
     ""},
    {"inline_bytes_max", &Settings::inline_bytes_max, 0, 4 * kMiB, "bytes",
     "Larger values go to the object store instead of travelling inside messages.",
     "max_direct_call_object_size"},
    {"spin_us", &Settings::spin, 0, 10'000, "us",
     "A waiting process looks for an answer this long before it sleeps, while cores are idle.", ""},
    {"read_mappings_max", &Settings::read_mappings_max, 1, 30'000, "segments",
     "Segments of other writers that a process keeps mapped although it reads nothing in them.",
     ""},
    {"memory_usage_threshold", &Settings::memory_usage_threshold, 0, 1, "",
     "Above this share of the machine's or the cgroup's memory the worker that grew most is ended.",
     "memory_usage_threshold"},
    {"memory_monitor_refresh_ms", &Settings::memory_monitor_refresh, 0, kHourMs, "ms",
     "Memory is looked at this often while something runs, more often as it gets short; 0: never.",
     "memory_monitor_refresh_ms"},
    {"memory_growth_bytes_min", &Settings::memory_growth_bytes_min, 0, 1e15, "bytes",
     "The memory monitor ends no worker that has grown by less.", ""},
    {"task_oom_retries", &Settings::task_oom_retries, -1, 65'535, "retries",
     "A task with max_retries that was ended for memory runs again this often, beside its other "
     "retries, then it is OutOfMemoryError; -1: without end.",
     "task_oom_retries"},
    {"task_oom_retry_delay_base_ms", &Settings::task_oom_retry_delay_base, 0, kHourMs, "ms",
     "It waits this long before the first such retry, and twice as long before each further one, "
     "a minute at most.",
     "task_oom_retry_delay_base_ms"},
    {"worker_oom_score_adjustment", &Settings::worker_oom_score_adjustment, 0, 1'000, "",
     "How much sooner the kernel ends a worker than other processes when memory is full.",
     "worker_oom_score_adjustment"},
    {"object_store_memory", &Settings::object_store_memory, 75 * kMiB, 1e15, "bytes",
     "Size of the object store; init(object_store_memory=) goes before it, and without either it "
     "is "
     "30 % of the memory that is available.",
     ""},
    {"store_full_wait_ms", &Settings::store_full_wait, 0, 24 * kHourMs, "ms",
     "A put or a result waits this long for room in a full store, then it is ObjectStoreFullError.",
     ""},
    {"store_cache_bytes_max", &Settings::store_cache_bytes_max, 0, 1e15, "bytes",
     "Empty segments that a process keeps for its next puts, as long as nobody waits for room.",
     ""},
    {"workers_max", &Settings::workers_max, 1, 100'000, "processes",
     "Worker processes of a node, actors included; further requests wait.", ""},
    {"workers_starting_max", &Settings::workers_starting_max, 1, 1'000, "processes",
     "Worker processes that are being started at one time.", "maximum_startup_concurrency"},
    {"worker_idle_ms", &Settings::worker_idle_max, 0, 24 * kHourMs, "ms",
     "A worker that is idle this long ends, as far as there are more of them than CPUs.",
     "idle_worker_killing_time_threshold_ms"},
    {"lease_explain_ms", &Settings::lease_explain_after, 0, kHourMs, "ms",
     "A request for a worker that waits this long is told why.", ""},
    {"environment_idle_ms", &Settings::environment_idle_max, 0, 24 * kHourMs, "ms",
     "A runtime environment that nothing has used for this long ends, its zygote and idle workers "
     "with it; what was built stays in the cache.",
     ""},
    {"package_bytes_max", &Settings::package_bytes_max, 1, 1e12, "bytes",
     "A directory of a runtime environment (working_dir, py_modules) that is larger is refused.",
     "max_grpc_message_size"},
    {"environment_cache_bytes_max", &Settings::environment_cache_bytes_max, 0, 1e15, "bytes",
     "Packages and environments that a user keeps on this machine; beyond it those that were not "
     "used for longest, and are not in use, are removed.",
     ""},
    {"log_file_bytes_max", &Settings::log_file_bytes_max, kKiB, 1e15, "bytes",
     "A file of what a worker prints; beyond it the file's next part begins.", ""},
    {"log_old_parts_max", &Settings::log_old_parts_max, 0, 1e6, "files",
     "Full parts of one worker's stream that are kept beside the current one; the oldest is "
     "removed.",
     ""},
    {"log_session_bytes_max", &Settings::log_session_bytes_max, kKiB, 1e15, "bytes",
     "All that a session's workers have printed; beyond it what was finished first is removed, "
     "then lines are lost from the files.",
     ""},
    {"log_finished_files_max", &Settings::log_finished_files_max, 0, 1e6, "files",
     "Full parts and files of ended workers that are kept; what was finished first is removed.",
     ""},
    {"log_shown_bytes_per_s", &Settings::log_shown_bytes_per_s, 256 * kKiB, 1e12, "bytes/s",
     "What is shown of a worker that prints a flood; the rest goes only to its file, and is "
     "counted.",
     ""},
    {"program_log_bytes_max", &Settings::program_log_bytes_max, kKiB, 1e15, "bytes",
     "Each of node.log and control.log; beyond it the next file begins.", ""},
    {"program_log_old_files_max", &Settings::program_log_old_files_max, 1, 1'000, "files",
     "Full files of each that are kept beside the current one; the oldest is removed.", ""},
    {"sessions_max", &Settings::sessions_max, 0, 1e6, "sessions",
     "Directories of ended sessions that are kept when a session starts; the oldest are removed.",
     ""},
    {"sessions_bytes_max", &Settings::sessions_bytes_max, 0, 1e15, "bytes",
     "All of them together; likewise.", ""},
    {"history_bytes_max", &Settings::history_bytes_max, 0, 1e15, "bytes",
     "What is remembered of tasks that have ended, some 32 bytes each; the oldest are dropped, "
     "and lists say so. 0: nothing is remembered.",
     ""},
    {"dead_actors_max", &Settings::dead_actors_max, 1, 1e6, "actors",
     "Dead actors that control remembers, to say how they ended; the oldest are forgotten.",
     "maximum_gcs_destroyed_actor_cached_count"},
    {"keys_max", &Settings::keys_max, 0, 1e9, "keys",
     "Keys of the key-value store; a further one is refused.", ""},
    {"key_value_bytes_max", &Settings::key_value_bytes_max, 0, 48 * kMiB, "bytes",
     "Size of one value of the key-value store; a larger one is refused.", ""},
    {"control_restart_delay_ms_max", &Settings::control_restart_delay_max, 0, kHourMs, "ms",
     "Control is started again after at most this, if it fails again and again.", ""},
    {"control_starts_max", &Settings::control_starts_max, 1, 1e6, "starts",
     "After so many starts without an answer of control the node ends.", ""},
};

// Microseconds of one unit of a Duration's row.
double scale_of(const SettingRow& row) { return row.unit == "ms" ? 1'000 : 1; }

void set(const SettingRow& row, double value, Settings& settings) {
  std::visit(
      [&](auto member) {
        if constexpr (std::is_same_v<decltype(member), Duration Settings::*>) {
          (settings.*member).us = static_cast<int64_t>(value * scale_of(row));
        } else {
          settings.*member = static_cast<std::decay_t<decltype(settings.*member)>>(value);
        }
      },
      row.member);
}

bool is_whole(const SettingRow& row) {
  return !std::holds_alternative<double Settings::*>(row.member);
}

// Shortest text that reads back as the same number; whole numbers without an exponent.
std::string text_of(double value) {
  char text[40];
  const bool whole = value == std::floor(value) && std::abs(value) < 1e15;
  const auto end = whole ? std::to_chars(text, text + sizeof text, static_cast<int64_t>(value))
                         : std::to_chars(text, text + sizeof text, value);
  return std::string(text, end.ptr);
}

Error unknown(const std::string& name) {
  std::string_view nearest;
  size_t least = SIZE_MAX;
  for (const SettingRow& row : kRows) {
    for (std::string_view each : {row.name, row.ray}) {
      const size_t distance = each.empty() ? SIZE_MAX : edit_distance(name, each);
      if (distance >= least) continue;
      least = distance;
      nearest = each;
    }
  }
  return Error{ErrorCode::kInvalid, "there is no setting '" + name + "'; the nearest name is '" +
                                        std::string(nearest) + "' (docs/user/settings.md)"};
}

Error refused(const SettingRow& row, const std::string& text) {
  return Error{ErrorCode::kInvalid,
               std::string(row.name) + " must be a " + (is_whole(row) ? "whole number" : "number") +
                   " from " + text_of(row.min) + " to " + text_of(row.max) +
                   (row.unit.empty() ? "" : " " + std::string(row.unit)) + ", not " + text};
}

}  // namespace

std::span<const SettingRow> setting_rows() { return kRows; }

const SettingRow* row_of(std::string_view name) {
  for (const SettingRow& row : kRows) {
    if (row.name == name || (!row.ray.empty() && row.ray == name)) return &row;
  }
  return nullptr;
}

double value_of(const SettingRow& row, const Settings& settings) {
  return std::visit(
      [&](auto member) -> double {
        if constexpr (std::is_same_v<decltype(member), Duration Settings::*>) {
          return static_cast<double>((settings.*member).us) / scale_of(row);
        } else {
          return static_cast<double>(settings.*member);
        }
      },
      row.member);
}

std::string to_string(const SettingRow& row, const Settings& settings) {
  return text_of(value_of(row, settings));
}

Result<Settings> settings_from(const SettingPairs& given) {
  Settings settings;
  for (const auto& [name, text] : given) {
    const SettingRow* row = row_of(name);
    if (!row) return unknown(name);
    double value = 0;
    const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
    if (end.ec != std::errc{} || end.ptr != text.data() + text.size() || !(value >= row->min) ||
        !(value <= row->max) || (is_whole(*row) && value != std::floor(value))) {
      return refused(*row, text.empty() ? "''" : text);
    }
    set(*row, value, settings);
  }
  return settings;
}

std::string to_text(const Settings& settings) {
  const Settings defaults;
  std::string text;
  for (const SettingRow& row : kRows) {
    if (value_of(row, settings) == value_of(row, defaults)) continue;
    text += (text.empty() ? "" : ",") + std::string(row.name) + "=" + to_string(row, settings);
  }
  return text;
}

Result<Settings> settings_from_text(std::string_view text) {
  SettingPairs given;
  while (!text.empty()) {
    const std::string_view entry = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), entry.size() + 1));
    const size_t equals = entry.find('=');
    if (equals == std::string_view::npos) {
      return Error{ErrorCode::kInvalid, "not name=value: " + std::string(entry)};
    }
    given.emplace_back(entry.substr(0, equals), entry.substr(equals + 1));
  }
  return settings_from(given);
}

}  // namespace eagleray
