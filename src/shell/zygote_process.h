// ZygoteProcess: the node's side of the zygote (python/eagleray/_zygote.py), which is its child and
// forks its workers. Starts it, asks it for workers, hears of their ends, and starts it again when
// it has died; its workers die with it, and the node's tasks find others. Part of NodeShell's loop.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "base/time.h"
#include "io/event_loop.h"
#include "io/fd.h"
#include "shell/restart_rule.h"

namespace eagleray {

class ZygoteProcess {
 public:
  struct Options {
    std::vector<std::string> arguments;  // the program first
    std::vector<std::string> variables;  // "NAME=value", added to this process's
    RestartRule::Limits restarts;
  };
  struct Handlers {
    std::function<void(uint64_t token, pid_t pid)> forked;
    std::function<void(uint64_t token, const std::string& why)> failed;
    std::function<void(pid_t pid, int status)> exited;  // a worker, as waitpid() told
    std::function<void()> lost;                         // nothing that was asked for will come
    std::function<void()> ready;  // may be empty; else to be ready is an answer, as the rule says
  };
  ZygoteProcess(EventLoop& loop, Options options, Handlers handlers);
  ~ZygoteProcess();

  Result<Ok> start();
  // Asks for a worker that gets the three descriptors: its socket, its stdout, its stderr.
  Result<Ok> fork_worker(uint64_t token, const int (&fds)[3]);
  // Starts it again when it is time. kUnavailable: it has died too often before it forked anything.
  Result<Ok> tick(Instant now);
  // Takes what it has said, which may be of workers that the node is about to reap itself.
  void hear();
  void on_exit(pid_t pid, int status);  // as waitpid() told; of any process
  Instant next_deadline() const { return rule_.next_start(); }

 private:
  void on_lost();

  EventLoop& loop_;
  const Options options_;
  const Handlers handlers_;
  Fd socket_;
  pid_t pid_ = 0;
  RestartRule rule_;  // an answer: it has forked a worker, or could not
};

}  // namespace eagleray
