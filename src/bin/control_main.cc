// eagleray-control: see docs/design/control.md. Started by its node, which hands over their
// connection as descriptor 3; not meant to be run by hand.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/random.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "io/log.h"
#include "shell/control_shell.h"
#include "shell/history_keeper.h"

int main(int argc, char** argv) {
  using namespace eagleray;
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);          // a file that may not grow is an error like a full disk
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // without its node it has nobody to serve
  ::fcntl(3, F_SETFD, FD_CLOEXEC);
  ControlShell::Options options;
  std::string log_path, history;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument(argv[i]);
    if (argument.starts_with("--store=")) options.store_path = argument.substr(8);
    if (argument.starts_with("--log=")) log_path = argument.substr(6);
    if (argument.starts_with("--history=")) history = argument.substr(10);
    if (argument.starts_with("--settings=")) {
      const Result<Settings> settings = settings_from_text(argument.substr(11));
      if (settings.ok()) options.settings = settings.value();
    }
    if (argument.starts_with("--disk-trouble=")) options.disk_trouble = argument.substr(15);
    if (argument == "--sync=disk") options.sync = RecordStore::Sync::kDisk;
  }
  if (!log_path.empty()) {
    open_log("eagleray-control", log_path,
             {options.settings.program_log_bytes_max, options.settings.program_log_old_files_max});
  }
  if (options.store_path.empty()) {
    std::fprintf(stderr, "eagleray-control: --store=FILE is missing; nodes start it\n");
    return 2;
  }
  if (::getrandom(&options.seed, sizeof options.seed, 0) < 0) return 1;
  const uint64_t history_bytes_max = options.settings.history_bytes_max;
  auto shell = ControlShell::open(std::move(options), Fd(3));
  if (!shell.ok()) {
    log_line(LogLevel::kError, shell.error().message);
    return 1;
  }
  const auto keeper = HistoryKeeper::start(history, history_bytes_max);
  shell.value()->run();
  return 0;
}
