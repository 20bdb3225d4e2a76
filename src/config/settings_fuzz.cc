// The text in which settings travel: an error with words, or settings whose text reads back as the
// same.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "config/settings.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace eagleray;
  const Result<Settings> settings = settings_from_text({reinterpret_cast<const char*>(data), size});
  if (!settings.ok()) {
    EAGLERAY_CHECK(!settings.error().message.empty(), "an error without words");
    return 0;
  }
  for (const SettingRow& row : setting_rows()) {
    const double value = value_of(row, settings.value());
    EAGLERAY_CHECK(value >= row.min && value <= row.max, "a setting outside of its range");
  }
  const std::string text = to_text(settings.value());
  const Result<Settings> back = settings_from_text(text);
  EAGLERAY_CHECK(back.ok() && to_text(back.value()) == text, "settings changed on their way");
  return 0;
}
