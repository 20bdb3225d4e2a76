#include "io/last_commands.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "base/words.h"
#include "io/fd.h"
#include "io/process.h"

namespace eagleray {
namespace {

constexpr size_t kCommandBytesMax = 16 << 10;

std::vector<std::string> words_in(const std::string& path) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  std::string text(kCommandBytesMax, '\0');
  const ssize_t n = file.valid() ? ::read(file.get(), text.data(), text.size()) : 0;
  text.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return words_of(text);
}

void run(const std::vector<std::string>& words, Instant until) {
  const Result<pid_t> pid = spawn(words, {});
  while (pid.ok() && ::waitpid(pid.value(), nullptr, WNOHANG) == 0) {
    if (monotonic_now() >= until) ::kill(pid.value(), SIGKILL);
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
