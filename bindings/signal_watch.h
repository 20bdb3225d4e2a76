// SignalWatch: how a wait of Python's main thread, the only one that handles signals, hears of
// them. It sleeps in poll(), where it sees the pipe of this watch; Python's C handler writes to
// that, whichever thread the kernel gave the signal to. Made and ended with the GIL, for one wait,
// which may sleep several times. Handlers run between calls of ClientShell::wait(), never inside:
// they may wait themselves.
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

  // For the next call of wait().
  ClientShell::Wait::Signals signals() const { return {watches_ && !pipe_, fd()}; }
  // After kWatch, with the GIL: watches from now on, and handles what came before. True: a handler
  // has raised an exception.
  bool begin();
  // After kInterrupted, with the GIL: handles the signals that came. True as above.
  bool raised();

 private:
  int fd() const { return pipe_ ? pipe_->read.get() : -1; }
  void drain();

  bool watches_;  // what comes between a look and a sleep
  Pipe* pipe_ = nullptr;
  int before_ = -1;
};

}  // namespace eagleray::python
