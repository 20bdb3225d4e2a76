#include "io/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

extern char** environ;

namespace eagleray {
namespace {

// The parent of `pid`, or 0.
pid_t parent_of(pid_t pid) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/stat", pid);
  Fd file(::open(path, O_RDONLY | O_CLOEXEC));
  char text[512];
  const ssize_t n = file.valid() ? ::read(file.get(), text, sizeof text - 1) : -1;
  if (n <= 0) return 0;
  text[n] = 0;
  const std::string line(text);
  const size_t close = line.rfind(')');  // the name may hold anything
  int parent = 0;
  if (close == std::string::npos ||
      std::sscanf(line.c_str() + close + 1, " %*c %d", &parent) != 1) {
    return 0;
  }
  return parent;
}

std::vector<pid_t> children() {
  std::vector<pid_t> found;
  DIR* proc = ::opendir("/proc");
  if (!proc) return found;
  while (const dirent* entry = ::readdir(proc)) {
    const pid_t pid = static_cast<pid_t>(std::atoi(entry->d_name));
    if (pid > 0 && parent_of(pid) == ::getpid()) found.push_back(pid);
  }
  ::closedir(proc);
  return found;
}

}  // namespace

Result<pid_t> spawn(const std::vector<std::string>& arguments,
                    const std::vector<std::string>& environment, int handed) {
  std::vector<char*> argv;
  for (const std::string& each : arguments) argv.push_back(const_cast<char*>(each.c_str()));
  argv.push_back(nullptr);
  std::vector<char*> env;
  for (const std::string& each : environment) env.push_back(const_cast<char*>(each.c_str()));
  for (char** each = environ; *each; ++each) {
    const std::string_view theirs(*each);
    const std::string_view name = theirs.substr(0, theirs.find('=') + 1);
    bool replaced = false;
    for (const std::string& ours : environment) replaced |= ours.starts_with(name);
    if (!replaced) env.push_back(*each);
  }
  env.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  // dup2 onto itself keeps close-on-exec, so go by way of a descriptor that cannot be 3.
  Fd copy(handed >= 0 ? ::fcntl(handed, F_DUPFD_CLOEXEC, 10) : -1);
  if (handed >= 0) ::posix_spawn_file_actions_adddup2(&actions, copy.get(), 3);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none, defaults;
  sigemptyset(&none);
  sigfillset(&defaults);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &defaults);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, argv[0], &actions, &attributes, argv.data(), env.data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) return system_error("start " + arguments[0], error);
  return pid;
}

Result<Fd> open_pidfd(pid_t pid) {
  const long fd = ::syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0) return system_error("watch process " + std::to_string(pid), errno);
  return Fd(static_cast<int>(fd));
}

uint64_t raise_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return UINT64_MAX;
  const rlim_t before = std::exchange(limit.rlim_cur, limit.rlim_max);
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : before;
}

uint64_t open_files() {
  DIR* files = ::opendir("/proc/self/fd");
  if (!files) return 0;
  uint64_t count = 0;
  while (const dirent* entry = ::readdir(files)) count += entry->d_name[0] != '.';
  ::closedir(files);
  return count - 1;  // less the directory itself
}

void become_subreaper() { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }

void end_descendants(Duration patience) {
  Instant until = monotonic_now() + patience;
  for (;;) {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) until = monotonic_now() + patience;
    const std::vector<pid_t> left = children();
    if (left.empty() || monotonic_now() >= until) return;
    for (pid_t pid : left) ::kill(pid, SIGKILL);
    ::poll(nullptr, 0, 2);
  }
}

Result<Pipe> make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return system_error("pipe", errno);
  Pipe pipe{Fd(fds[0]), Fd(fds[1])};
  ::fcntl(pipe.read.get(), F_SETFL, O_NONBLOCK);
  return pipe;
}

}  // namespace eagleray
