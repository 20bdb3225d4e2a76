// eagleray-guard: starts the node and waits for its end, then ends what the node could not, for it
// was killed with all that it had started: orphans come to this process, the nearest that adopts
// them, however they were forked. It does nothing else, so that nothing but SIGKILL ends it; then
// the node ends in order, by SIGTERM.
//
//   eagleray-guard PROGRAM [ARGUMENT ...]
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "io/process.h"

namespace {

constexpr eagleray::Duration kEndPatience = eagleray::Duration::from_s(2);

[[noreturn]] void become_node(char** arguments, pid_t guard, const sigset_t& mask) {
  ::setsid();  // a signal to the guard's group, or the node's, is not for both
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != guard) ::_exit(1);
  ::sigprocmask(SIG_SETMASK, &mask, nullptr);
  ::execv(arguments[0], arguments);
  std::fprintf(stderr, "eagleray-guard: cannot start %s: %s\n", arguments[0], std::strerror(errno));
  ::_exit(127);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
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
  const pid_t node = ::fork();
  if (node < 0) {
    std::perror("eagleray-guard: fork");
    return 1;
  }
  if (node == 0) become_node(argv + 1, guard, before);
  ::close_range(STDERR_FILENO + 1, ~0u, 0);  // the node's alone
  int status = 0;
  for (bool ended = false; !ended;) {
    siginfo_t info;
    const int signal = ::sigwaitinfo(&ours, &info);
    if (signal == SIGTERM || signal == SIGINT || signal == SIGHUP) ::kill(node, SIGTERM);
    int one = 0;
    for (pid_t pid; (pid = ::waitpid(-1, &one, WNOHANG)) > 0;) {
      if (pid == node) {
        status = one;
        ended = true;
      }
    }
  }
  eagleray::end_descendants(kEndPatience);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
