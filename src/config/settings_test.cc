#include "config/settings.h"

#include <gtest/gtest.h>

#include <set>

namespace eagleray {
namespace {

std::string error_of(const SettingPairs& given) {
  const Result<Settings> settings = settings_from(given);
  return settings.ok() ? "" : settings.error().message;
}

TEST(Settings, names_are_given_once_and_defaults_lie_in_their_range) {
  std::set<std::string_view> names;
  for (const SettingRow& row : setting_rows()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    if (!row.ray.empty() && row.ray != row.name) {
      EXPECT_TRUE(names.insert(row.ray).second) << row.ray;
    }
    const std::string value = to_string(row, Settings{});
    EXPECT_EQ(error_of({{std::string(row.name), value}}), "");
    EXPECT_FALSE(row.meaning.empty());
    const bool duration = std::holds_alternative<Duration Settings::*>(row.member);
    EXPECT_TRUE(!duration || row.unit == "ms" || row.unit == "us") << row.name;
  }
}

TEST(Settings, units_are_those_of_the_name) {
  const Settings settings =
      settings_from({{"worker_idle_ms", "250"}, {"spin_us", "7"}, {"workers_max", "12"}}).value();
  EXPECT_EQ(settings.worker_idle_max, Duration::from_ms(250));
  EXPECT_EQ(settings.spin, Duration{7});
  EXPECT_EQ(settings.workers_max, 12u);
}

TEST(Settings, rays_names_work_and_a_later_pair_wins) {
  const Settings settings =
      settings_from({{"worker_idle_ms", "1"}, {"idle_worker_killing_time_threshold_ms", "2"}})
          .value();
  EXPECT_EQ(settings.worker_idle_max, Duration::from_ms(2));
}

TEST(Settings, an_unknown_name_is_told_the_nearest) {
  EXPECT_EQ(error_of({{"worker_idel_ms", "1"}}),
            "there is no setting 'worker_idel_ms'; the nearest name is 'worker_idle_ms' "
            "(docs/user/settings.md)");
}

TEST(Settings, what_is_out_of_range_is_told_the_range) {
  const std::string range = "workers_starting_max must be a whole number from 1 to 1000 processes";
  for (const char* text : {"0", "1001", "-3", "2.5", "two", "", "nan", "inf", "5 "}) {
    const std::string message = error_of({{"workers_starting_max", text}});
    EXPECT_TRUE(message.starts_with(range)) << text << ": " << message;
  }
}

TEST(Settings, the_text_says_what_differs_and_reads_back) {
  EXPECT_EQ(to_text(Settings{}), "");
  Settings changed;
  changed.object_store_memory = 123'456'789'012;
  changed.spin = Duration{0};
  const std::string text = to_text(changed);
  EXPECT_EQ(text, "spin_us=0,object_store_memory=123456789012");
  const Settings back = settings_from_text(text).value();
  EXPECT_EQ(to_text(back), text);
  EXPECT_EQ(back.object_store_memory, 123'456'789'012u);
  EXPECT_FALSE(settings_from_text("spin_us").ok());
}

}  // namespace
}  // namespace eagleray
