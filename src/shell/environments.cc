#include "shell/environments.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "base/words.h"
#include "io/log.h"
#include "io/process.h"

namespace eagleray {
namespace {

constexpr size_t kShownBytesMax = 16u << 10;  // of what a builder has printed, its end

// The end of a file, from the beginning of a line on; nothing where there is none.
std::string tail_of(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rbe");
  if (!file) return "";
  std::string text(kShownBytesMax, 0);
  const bool cut = std::fseek(file, -static_cast<long>(kShownBytesMax), SEEK_END) == 0;
  if (!cut) std::rewind(file);
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  if (cut) {
    const size_t line = text.find('\n');
    if (line != std::string::npos) text.erase(0, line + 1);
  }
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace

Environments::~Environments() {
  for (auto& [id, environment] : environments_) close_builder(environment);
}

Environments::Environment* Environments::find(EnvironmentId id) {
  const auto it = environments_.find(id);
  return it == environments_.end() ? nullptr : &it->second;
}

void Environments::build(EnvironmentId id, const std::string& runtime_env) {
  Environment& environment = environments_[id];
  environment.log = options_.log_dir + "/runtime_env_setup-" + std::to_string(id.value) + ".log";
  const Result<Ok> started = start_builder(id, environment, runtime_env);
  if (!started.ok()) fail(environment, started.error().message);
}

Result<Ok> Environments::start_builder(EnvironmentId id, Environment& environment,
                                       const std::string& runtime_env) {
  Result<SocketPair> sockets = make_socket_pair();
  if (!sockets.ok()) return sockets.error();
  const Result<pid_t> pid =
      spawn({options_.python, "-m", "eagleray._environments.builder"},
            {"PYTHONPATH=" + options_.python_path}, sockets.value().theirs.get());
  if (!pid.ok()) return pid.error();
  environment.pid = pid.value();
  environment.builder = std::make_unique<FrameSocket>(std::move(sockets.value().ours));
  std::string known;
  for (const std::string& each :
       {options_.session_dir, environment.log, options_.settings, options_.python_path}) {
    known += each + '\0';
  }
  const Result<Ok> told = environment.builder->send(known);
  const Result<Ok> asked = told.ok() ? environment.builder->send(runtime_env) : told;
  if (!asked.ok()) return asked;
  const uint32_t events = environment.builder->wants_write() ? EPOLLIN | EPOLLOUT : EPOLLIN;
  return loop_.add(environment.builder->fd(), events, [this, id](uint32_t) { on_builder(id); });
}

void Environments::on_builder(EnvironmentId id) {
  Environment* environment = find(id);
  if (!environment || !environment->builder) return;
  FrameSocket& builder = *environment->builder;
  if (builder.wants_write() && builder.flush().ok() && !builder.wants_write()) {
    loop_.set_events(builder.fd(), EPOLLIN);
  }
  std::vector<Frame> frames;
  const Result<Ok> received = builder.receive(frames);
  for (Frame& frame : frames) on_frame(id, std::move(frame));
  environment = find(id);
  if (!received.ok() && environment && environment->builder) {
    close_builder(*environment);  // what it was about is known when it is reaped
  }
}

void Environments::on_frame(EnvironmentId id, Frame&& frame) {
  Environment* environment = find(id);
  if (!environment || frame.bytes.empty()) return;
  const std::string_view rest = std::string_view(frame.bytes).substr(1);
  switch (frame.bytes[0]) {
    case 'A': environment->arguments = words_of(rest); break;
    case 'V': environment->variables = words_of(rest); break;
    case 'F': fail(*environment, std::string(rest)); break;
    case 'R':
      environment->setup = rest;
      environment->held = std::move(frame.fds);
      if (environment->arguments.empty()) return become_ready(id);
      start_zygote(id);
      break;
    default: fail(*environment, "its builder said what nobody understands");
  }
}

void Environments::close_builder(Environment& environment) {
  if (environment.builder) loop_.remove(environment.builder->fd());
  environment.builder.reset();
}

void Environments::start_zygote(EnvironmentId id) {
  Environment& environment = environments_.at(id);
  ZygoteProcess::Handlers handlers = handlers_.workers;
  handlers.ready = [this, id] { become_ready(id); };
  handlers.lost = [this, id] { handlers_.zygote_lost(id); };
  const RestartRule::Limits once{1, Duration{}, Duration{}};
  environment.zygote = std::make_unique<ZygoteProcess>(
      loop_, ZygoteProcess::Options{environment.arguments, environment.variables, once},
      std::move(handlers));
  const Result<Ok> started = environment.zygote->start();
  if (!started.ok()) fail(environment, started.error().message);
}

void Environments::become_ready(EnvironmentId id) {
  Environment* environment = find(id);
  if (!environment || std::exchange(environment->is_ready, true)) return;
  handlers_.ready(id, environment->setup, environment->zygote != nullptr);
}

void Environments::fail(Environment& environment, const std::string& why) {
  if (environment.failure.empty()) environment.failure = why;
}

std::string Environments::with_log(const Environment& environment, const std::string& why) const {
  const std::string printed = tail_of(environment.log);
  if (printed.empty()) return why;
  return why + ". Its last output (all of it is in " + environment.log + "):\n" + printed;
}

void Environments::stop(EnvironmentId id, const std::string& why) {
  Environment* environment = find(id);
  if (!environment || environment->is_ready) return;
  fail(*environment, why);
}

// At the next tick: a handler further up may be its zygote's.
void Environments::end(EnvironmentId id) {
  Environment* environment = find(id);
  if (!environment) return;
  environment->is_unused = true;
}

Result<Ok> Environments::fork_worker(EnvironmentId id, uint64_t token, const int (&fds)[3]) {
  Environment* environment = find(id);
  if (!environment || !environment->zygote) {
    return Error{ErrorCode::kUnavailable, "its runtime environment has ended"};
  }
  return environment->zygote->fork_worker(token, fds);
}

void Environments::hear() {
  for (auto& [id, environment] : environments_) {
    if (environment.zygote) environment.zygote->hear();
  }
}

void Environments::on_exit(pid_t pid, int status) {
  for (auto& [id, environment] : environments_) {
    if (environment.zygote) environment.zygote->on_exit(pid, status);
    if (environment.pid != pid) continue;
    ::kill(-pid, SIGKILL);  // what it left in its process group
    environment.pid = 0;
    on_builder(id);  // its last word
    close_builder(environment);
    if (environment.is_ready || environment.zygote) continue;
    const std::string how = WIFSIGNALED(status)
                                ? "was ended by signal " + std::to_string(WTERMSIG(status))
                                : "ended with status " + std::to_string(WEXITSTATUS(status));
    fail(environment, "the process that set it up " + how);
  }
}

void Environments::tick(Instant now) {
  for (auto it = environments_.begin(); it != environments_.end();) {
    const EnvironmentId id = it->first;
    Environment& environment = it->second;
    if (environment.zygote && environment.failure.empty() && !environment.zygote->tick(now).ok()) {
      fail(environment, "its Python could not be started");
    }
    if (environment.failure.empty() && !environment.is_unused) {
      ++it;
      continue;
    }
    if (environment.pid != 0) {
      ::kill(-environment.pid, SIGKILL);
      ::kill(environment.pid, SIGKILL);
    }
    close_builder(environment);
    const bool told = !environment.is_unused;
    const std::string why = with_log(environment, environment.failure);
    it = environments_.erase(it);
    if (told) handlers_.failed(id, why);
  }
}

Instant Environments::next_deadline() const {
  Instant next = Instant::never();
  for (const auto& [id, environment] : environments_) {
    if (!environment.failure.empty() || environment.is_unused) return Instant{};
    if (environment.zygote) next = std::min(next, environment.zygote->next_deadline());
  }
  return next;
}

}  // namespace eagleray
