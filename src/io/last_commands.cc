#include "io/last_commands.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "io/fd.h"

extern char** environ;

namespace eagleray {
namespace {

constexpr size_t kCommandBytesMax = 16 << 10;

std::vector<std::string> words_in(const std::string& path) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  std::string text(kCommandBytesMax, '\0');
  const ssize_t n = file.valid() ? ::read(file.get(), text.data(), text.size()) : 0;
  text.resize(n > 0 ? static_cast<size_t>(n) : 0);
  std::vector<std::string> words;
  for (size_t at = 0, end; (end = text.find('\0', at)) != std::string::npos; at = end + 1) {
    words.push_back(text.substr(at, end - at));
  }
  return words;
}

void run(const std::vector<std::string>& words, Instant until) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none;
  sigemptyset(&none);
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t pid = 0;
  const bool started =
      ::posix_spawn(&pid, argv[0], &actions, &attributes, argv.data(), environ) == 0;
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  while (started && ::waitpid(pid, nullptr, WNOHANG) == 0) {
    if (monotonic_now() >= until) ::kill(pid, SIGKILL);
    ::poll(nullptr, 0, 5);
  }
}

}  // namespace

void run_last_commands(const std::string& directory, Duration patience) {
  const Instant until = monotonic_now() + patience;
  DIR* entries = ::opendir(directory.c_str());
  if (!entries) return;
  while (const dirent* entry = ::readdir(entries)) {
    if (entry->d_name[0] == '.') continue;
    const std::string path = directory + "/" + entry->d_name;
    const std::vector<std::string> words = words_in(path);
    if (!words.empty()) run(words, until);
    if (monotonic_now() >= until) break;
    ::unlink(path.c_str());
  }
  ::closedir(entries);
}

}  // namespace eagleray
