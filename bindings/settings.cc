// The table of settings, for init(), the command line and the documents.
#include "config/settings.h"
#include "common.h"

namespace eagleray::python {
namespace {

nb::str text(std::string_view view) { return nb::str(view.data(), view.size()); }

nb::object number(const SettingRow& row, double value) {
  if (std::holds_alternative<double Settings::*>(row.member)) return nb::float_(value);
  return nb::int_(static_cast<int64_t>(value));
}

// (name, default, least, most, unit, meaning, Ray's name) of each.
nb::list settings_table() {
  nb::list rows;
  for (const SettingRow& row : setting_rows()) {
    rows.append(nb::make_tuple(text(row.name), number(row, value_of(row, Settings{})),
                               number(row, row.min), number(row, row.max), text(row.unit),
                               text(row.meaning), text(row.ray)));
  }
  return rows;
}

std::string settings_text(nb::list pairs) {
  SettingPairs given;
  for (nb::handle pair : pairs) {
    given.emplace_back(nb::cast<std::string>(pair[0]), nb::cast<std::string>(pair[1]));
  }
  const Result<Settings> settings = settings_from(given);
  if (!settings.ok()) {
    PyErr_SetString(PyExc_ValueError, settings.error().message.c_str());
    throw nb::python_error();
  }
  return to_text(settings.value());
}

nb::dict settings_of_text(const std::string& text) {
  return dict_of(settings_from_text(text).value());
}

}  // namespace

nb::dict dict_of(const Settings& settings) {
  nb::dict dict;
  for (const SettingRow& row : setting_rows()) {
    dict[text(row.name)] = number(row, value_of(row, settings));
  }
  return dict;
}

void bind_settings(nb::module_& m) {
  m.def("settings_table", &settings_table);
  m.def("settings_text", &settings_text);
  m.def("settings_of_text", &settings_of_text);
}

}  // namespace eagleray::python
