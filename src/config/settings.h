// Settings: every number that a user or a test may want to change, as one plain struct, and the
// table that says of each its name, unit, range and meaning. Where a cluster is started, the
// environment and `_system_config` are read into one Settings; from there it travels as text to
// node, control, drivers and workers, and machines get it as a value. No machine reads an
// environment.
//
// To add one: a member here, a row in settings.cc, then `python tools/settings.py`.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace eagleray {

struct Settings {
  // The submitter.
  Duration lease_linger = Duration::from_ms(50);
  int64_t pipeline_us_max = 2'000;
  uint32_t pipeline_tasks_max = 512;
  Duration give_back_after = Duration::from_ms(2);
  Duration interrupt_again_after = Duration::from_ms(20);
  uint32_t interrupts_max = 50;
  Duration deadlock_after = Duration::from_ms(500);

  // Every client process.
  uint64_t inline_bytes_max = 100u << 10;
  Duration spin = Duration{50};
  uint32_t read_mappings_max = 64;

  // Memory.
  double memory_usage_threshold = 0.95;
  Duration memory_monitor_refresh = Duration::from_ms(250);
  uint64_t memory_growth_bytes_min = 16u << 20;
  int64_t task_oom_retries = -1;
  Duration task_oom_retry_delay_base = Duration::from_s(1);
  uint32_t worker_oom_score_adjustment = 1'000;

  // The object store.
  uint64_t object_store_memory = 1u << 30;
  Duration store_full_wait = Duration::from_s(10);
  uint64_t store_cache_bytes_max = 512u << 20;

  // Workers.
  uint32_t workers_max = 2'000;
  uint32_t workers_starting_max = 8;
  Duration worker_idle_max = Duration::from_s(1);
  Duration lease_explain_after = Duration::from_s(1);

  // Runtime environments.
  Duration environment_idle_max = Duration::from_s(60);
  uint64_t package_bytes_max = 512u << 20;
  uint64_t environment_cache_bytes_max = 10ull << 30;

  // Logs.
  uint64_t log_file_bytes_max = 64u << 20;
  uint32_t log_old_parts_max = 3;
  uint64_t log_session_bytes_max = 2ull << 30;
  uint32_t log_finished_files_max = 1'000;
  int64_t log_shown_bytes_per_s = 4 << 20;
  uint64_t program_log_bytes_max = 16u << 20;
  uint32_t program_log_old_files_max = 3;
  uint32_t sessions_max = 10;
  uint64_t sessions_bytes_max = 4ull << 30;

  // History.
  uint64_t history_bytes_max = 1ull << 30;

  // Control.
  uint32_t dead_actors_max = 1'000;
  uint32_t keys_max = 1'000'000;
  uint64_t key_value_bytes_max = 32u << 20;
  Duration control_restart_delay_max = Duration::from_s(1);
  uint32_t control_starts_max = 5;
};

struct SettingRow {
  using Member = std::variant<uint32_t Settings::*, int64_t Settings::*, uint64_t Settings::*,
                              double Settings::*, Duration Settings::*>;
  std::string_view name;  // its unit last
  Member member;
  double min, max;  // in the unit
  std::string_view unit;
  std::string_view meaning;  // one sentence, with what happens at the limit
  std::string_view ray;      // Ray's name for the same thing in the same unit, or empty
};

std::span<const SettingRow> setting_rows();
const SettingRow* row_of(std::string_view name);  // ours or Ray's; null: there is none
// Its value in `settings`, in its unit.
double value_of(const SettingRow& row, const Settings& settings);
std::string to_string(const SettingRow& row, const Settings& settings);

// Name (ours or Ray's) and text; a later pair wins. kInvalid: no such name (the message has the
// nearest), no number, or out of range (the message has the range).
using SettingPairs = std::vector<std::pair<std::string, std::string>>;
Result<Settings> settings_from(const SettingPairs& given);

// "name=value,..." of what differs from the default, and back.
std::string to_text(const Settings& settings);
Result<Settings> settings_from_text(std::string_view text);

}  // namespace eagleray
