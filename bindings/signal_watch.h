// SignalWatch: how a wait of Python's main thread, the only one that handles signals, hears of
// them. It sleeps in poll(), where it sees the pipe of this watch; Python's C handler writes to
// that, whichever thread the kernel gave the signal to. Made and ended with the GIL, for one wait,
// which may sleep several times.
#pragma once

#include "io/process.h"
#include "shell/client_shell.h"

namespace eagleray::python {

class SignalWatch {
 public:
  SignalWatch();
  // Whoever watched before hears of what came meanwhile.
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  const ClientShell::Wait::Signals* signals() const { return pipe_ ? &signals_ : nullptr; }
  // Handles the signals that came, with the GIL. True: one of them has raised an exception.
  bool raised();

 private:
  void drain();

  ClientShell::Wait::Signals signals_;
  Pipe* pipe_ = nullptr;
  int before_ = -1;
  bool watching_ = false;
};

}  // namespace eagleray::python
