// Environments: the node's side of runtime environments. Each is built by a process of its own
// (python -m eagleray._environments.builder) that this starts, stops and hears; one that needs an
// interpreter of its own then gets a zygote of its own. Part of NodeShell's loop; what is built
// when is NodeMachine's to decide.
//
// The builder gets two frames: what it has to know of the node, then the environment. It answers
// with frames whose first byte says what they are: 'A' the arguments of its zygote and 'V' that
// one's variables (parts end with a zero byte), and last 'R' ready (the rest: for workers) or 'F'
// failed (the rest: why). With 'R' come locks on what it uses of the cache, held here as long as
// the environment is there.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "io/event_loop.h"
#include "io/frame_socket.h"
#include "shell/zygote_process.h"

namespace eagleray {

class Environments {
 public:
  struct Options {
    std::string python;
    std::string python_path;
    std::string session_dir;
    std::string log_dir;
    std::string settings;  // as to_text()
  };
  struct Handlers {
    std::function<void(EnvironmentId, const std::string& setup, bool own_zygote)> ready;
    std::function<void(EnvironmentId, const std::string& why)> failed;
    std::function<void(EnvironmentId)> zygote_lost;
    ZygoteProcess::Handlers workers;  // of all zygotes
  };
  Environments(EventLoop& loop, Options options, Handlers handlers)
      : loop_(loop), options_(std::move(options)), handlers_(std::move(handlers)) {}
  ~Environments();

  void build(EnvironmentId id, const std::string& runtime_env);
  void stop(EnvironmentId id, const std::string& why);
  void end(EnvironmentId id);
  Result<Ok> fork_worker(EnvironmentId id, uint64_t token, const int (&fds)[3]);

  void hear();                          // of all zygotes
  void on_exit(pid_t pid, int status);  // as waitpid() told; of any process
  void tick(Instant now);               // tells what has failed, starts zygotes again
  Instant next_deadline() const;

 private:
  struct Environment {
    std::unique_ptr<FrameSocket> builder;  // null: it has ended
    pid_t pid = 0;                         // of the builder, until it is reaped
    std::string log;
    std::vector<std::string> arguments, variables;  // of its zygote
    std::string setup;
    std::vector<Fd> held;
    std::unique_ptr<ZygoteProcess> zygote;
    bool is_ready = false;
    bool is_unused = false;  // it ends at the next tick
    std::string failure;     // told at the next tick
  };

  Result<Ok> start_builder(EnvironmentId id, Environment& environment,
                           const std::string& runtime_env);
  void on_builder(EnvironmentId id);
  void on_frame(EnvironmentId id, Frame&& frame);
  void close_builder(Environment& environment);
  void become_ready(EnvironmentId id);
  void start_zygote(EnvironmentId id);
  void fail(Environment& environment, const std::string& why);
  std::string with_log(const Environment& environment, const std::string& why) const;
  Environment* find(EnvironmentId id);

  EventLoop& loop_;
  const Options options_;
  const Handlers handlers_;
  std::map<EnvironmentId, Environment> environments_;
};

}  // namespace eagleray
