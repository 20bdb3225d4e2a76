// eagleray-node: see docs/design/node.md. Started by init() or `eagleray start`; not meant to be
// run by hand, hence the plain --key=value arguments.
#include <sys/random.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

#include "io/log.h"
#include "shell/node_shell.h"

namespace {

using eagleray::NodeShell;

// "a=1,b=2" as pairs.
template <class F>
void for_each_pair(std::string_view text, char separator, F&& f) {
  while (!text.empty()) {
    const std::string_view entry = text.substr(0, text.find(separator));
    text.remove_prefix(std::min(text.size(), entry.size() + 1));
    const size_t equals = entry.find('=');
    if (equals == std::string_view::npos) continue;
    f(std::string(entry.substr(0, equals)), std::string(entry.substr(equals + 1)));
  }
}

int usage(const char* why) {
  std::fprintf(stderr, "eagleray-node: %s\n", why);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  std::map<std::string, std::string> given;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument(argv[i]);
    const size_t equals = argument.find('=');
    if (!argument.starts_with("--") || equals == std::string_view::npos) {
      return usage("arguments have the form --key=value");
    }
    given[std::string(argument.substr(2, equals - 2))] = std::string(argument.substr(equals + 1));
  }
  for (const char* key : {"session-dir", "socket", "log-dir", "python", "resources", "control"}) {
    if (given[key].empty()) return usage((std::string("--") + key + " is missing").c_str());
  }
  NodeShell::Options options;
  options.session_dir = given["session-dir"];
  options.socket_path = given["socket"];
  options.log_dir = given["log-dir"];
  options.python = given["python"];
  options.python_path = given["python-path"];
  options.control_program = given["control"];
  options.driver_pid = static_cast<pid_t>(std::atol(given["driver-pid"].c_str()));
  options.ready_fd = given["ready-fd"].empty() ? -1 : std::atoi(given["ready-fd"].c_str());
  const eagleray::Result<eagleray::Settings> settings =
      eagleray::settings_from_text(given["settings"]);
  if (!settings.ok()) return usage(settings.error().message.c_str());
  options.settings = settings.value();
  options.info.address = given["node-ip"].empty() ? "127.0.0.1" : given["node-ip"];
  options.info.host_name = given["host-name"];
  for_each_pair(given["resources"], ',', [&](std::string name, const std::string& amount) {
    const int64_t value = std::strtoll(amount.c_str(), nullptr, 10);
    if (value > 0) options.info.total[std::move(name)] = value;
  });
  // A label's value is any text.
  for_each_pair(given["labels"], '\x1f', [&](std::string name, std::string value) {
    options.info.labels[std::move(name)] = std::move(value);
  });
  options.info.index = eagleray::NodeIndex{1};  // control is its child
  eagleray::open_log(
      "eagleray-node", options.log_dir + "/node.log",
      {options.settings.program_log_bytes_max, options.settings.program_log_old_files_max});
  if (::getrandom(options.info.node.bytes.data(), options.info.node.kSize, 0) < 0) {
    return usage("the kernel gave no random bytes");
  }
  options.info.labels["ray.io/node-id"] = options.info.node.hex();
  auto shell = NodeShell::open(std::move(options));
  if (!shell.ok()) return usage(shell.error().message.c_str());
  shell.value()->run();
  return 0;
}
