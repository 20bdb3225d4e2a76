// eagleray-guard: starts the node and waits for its end, then ends what the node could not, for it
// was killed with all that it had started: orphans come to this process, the nearest that adopts
// them, however they were forked. Beside that it keeps a door: a listening socket behind which
// there is no program until somebody knocks, and which costs nothing until then. Nothing but
// SIGKILL ends it; then the node ends in order, by SIGTERM. Last it runs the commands that files of
// a directory hold: for what outlives every process, as a container's storage does.
//
//   eagleray-guard [--last=DIRECTORY] [--door=FD COUNT SERVER ARGUMENTS...] PROGRAM [ARGUMENT ...]
//
// The server, COUNT words, gets the socket as its descriptor 3. It ends when it likes.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "io/last_commands.h"
#include "io/process.h"

namespace {

constexpr eagleray::Duration kEndPatience = eagleray::Duration::from_s(2);
constexpr eagleray::Duration kLastCommandPatience = eagleray::Duration::from_s(5);
constexpr int kDoorFd = 3;
// A server that does not come up is not started more often than this.
constexpr int64_t kServerPauseMs = 1000;
const char kDoorOption[] = "--door=";
const char kLastOption[] = "--last=";

struct Door {
  int fd = -1;
  std::vector<char*> server;
  pid_t pid = 0;
  int64_t started_ms = -kServerPauseMs;
};

int64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

[[noreturn]] void become(char** arguments, pid_t guard, const sigset_t& mask) {
  ::setsid();  // a signal to the guard's group, or the node's, is not for both
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != guard) ::_exit(1);
  ::sigprocmask(SIG_SETMASK, &mask, nullptr);
  ::execv(arguments[0], arguments);
  std::fprintf(stderr, "eagleray-guard: cannot start %s: %s\n", arguments[0], std::strerror(errno));
  ::_exit(127);
}

// Takes `--last=...` off the arguments; empty without it.
std::string take_last(int& argc, char**& argv) {
  constexpr size_t kChars = sizeof kLastOption - 1;
  if (argc < 2 || std::strncmp(argv[1], kLastOption, kChars) != 0) return {};
  --argc;
  return *++argv + kChars;
}

// Takes `--door=...` and what belongs to it off the arguments; false if it makes no sense.
bool take_door(int& argc, char**& argv, Door& door) {
  if (argc < 3 || std::strncmp(argv[1], kDoorOption, sizeof kDoorOption - 1) != 0) return true;
  door.fd = std::atoi(argv[1] + sizeof kDoorOption - 1);
  const int count = std::atoi(argv[2]);
  if (door.fd < kDoorFd || count < 1 || argc < 4 + count) return false;
  door.server.assign(argv + 3, argv + 3 + count);
  door.server.push_back(nullptr);
  argc -= 2 + count;
  argv += 2 + count;
  return true;
}

void open_door(Door& door, pid_t guard, const sigset_t& mask) {
  door.started_ms = now_ms();
  door.pid = ::fork();
  if (door.pid != 0) {
    if (door.pid < 0) door.pid = 0;
    return;
  }
  ::fcntl(kDoorFd, F_SETFD, 0);
  become(door.server.data(), guard, mask);
}

// Waits for a signal, or until somebody knocks at a door behind which nobody is.
void wait_for_news(Door& door, int signals, pid_t guard, const sigset_t& mask) {
  const bool watches = door.fd >= 0 && door.pid == 0;
  const int64_t pause = door.started_ms + kServerPauseMs - now_ms();
  pollfd polled[2] = {{signals, POLLIN, 0}, {kDoorFd, POLLIN, 0}};
  if (watches && pause > 0) {
    ::poll(polled, 1, static_cast<int>(pause));
  } else if (::poll(polled, watches ? 2 : 1, -1) > 0 && watches && polled[1].revents != 0) {
    open_door(door, guard, mask);
  }
}

// Whether the node has ended, with its status.
bool reap(pid_t node, Door& door, int& status) {
  bool ended = false;
  int one = 0;
  for (pid_t pid; (pid = ::waitpid(-1, &one, WNOHANG)) > 0;) {
    if (pid == door.pid) door.pid = 0;
    if (pid != node) continue;
    status = one;
    ended = true;
  }
  return ended;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string last = take_last(argc, argv);
  Door door;
  if (!take_door(argc, argv, door) || argc < 2) {
    std::fprintf(stderr,
                 "eagleray-guard: says what to start: eagleray-guard PROGRAM [ARGUMENT ...]\n");
    return 2;
  }
  ::signal(SIGCHLD, SIG_DFL);  // ignored by a parent, it would be ignored here, and no end be seen
  eagleray::become_subreaper();
  sigset_t ours, before;
  sigemptyset(&ours);
  for (int signal : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) sigaddset(&ours, signal);
  ::sigprocmask(SIG_BLOCK, &ours, &before);
  const pid_t guard = ::getpid();
  if (door.fd >= 0) ::fcntl(door.fd, F_SETFD, FD_CLOEXEC);
  const pid_t node = ::fork();
  if (node < 0) {
    std::perror("eagleray-guard: fork");
    return 1;
  }
  if (node == 0) become(argv + 1, guard, before);
  if (door.fd > kDoorFd) ::dup3(door.fd, kDoorFd, O_CLOEXEC);
  ::close_range(door.fd >= 0 ? kDoorFd + 1 : kDoorFd, ~0u, 0);  // the node's alone
  const int signals = ::signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
  int status = 0;
  for (bool ended = false; !ended;) {
    wait_for_news(door, signals, guard, before);
    signalfd_siginfo info{};
    while (::read(signals, &info, sizeof info) > 0) {
      const auto signal = static_cast<int>(info.ssi_signo);
      if (signal == SIGTERM || signal == SIGINT || signal == SIGHUP) ::kill(node, SIGTERM);
    }
    ended = reap(node, door, status);
  }
  eagleray::end_descendants(kEndPatience);
  if (!last.empty()) {
    eagleray::run_last_commands(last, kLastCommandPatience);
    eagleray::end_descendants(kEndPatience);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
