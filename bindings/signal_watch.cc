#include "signal_watch.h"

#include <fcntl.h>
#include <unistd.h>

#include "common.h"

namespace eagleray::python {
namespace {

// Null when it cannot be made: then a signal is seen if it interrupts poll().
Pipe* process_pipe() {
  static Pipe pipe;
  static pid_t owner = 0;
  if (owner == ::getpid()) return &pipe;
  Result<Pipe> made = make_pipe();  // a fork's is its parent's
  if (!made.ok()) return nullptr;
  ::fcntl(made.value().write.get(), F_SETFL, O_NONBLOCK);
  pipe = std::move(made).value();
  owner = ::getpid();
  return &pipe;
}

// Gives the one before, -1 for none. Python's C interface does not offer it.
int set_wakeup_fd(int fd) {
  static PyObject* function =
      PyObject_GetAttrString(PyImport_ImportModule("signal"), "set_wakeup_fd");
  PyObject* before = function ? PyObject_CallFunction(function, "i", fd) : nullptr;
  const long number = before ? PyLong_AsLong(before) : -1;
  Py_XDECREF(before);
  if (PyErr_Occurred()) PyErr_Clear();  // of an interpreter that ends: nobody watches
  return static_cast<int>(number);
}

}  // namespace

SignalWatch::SignalWatch() : watches_(in_main_thread()) {}

SignalWatch::~SignalWatch() {
  if (!pipe_) return;
  nb::error_scope kept;  // the wait may be ending with an exception
  set_wakeup_fd(before_);
  drain();
}

bool SignalWatch::begin() {
  watches_ = false;
  pipe_ = process_pipe();
  if (pipe_) before_ = set_wakeup_fd(pipe_->write.get());
  return PyErr_CheckSignals() != 0;
}

bool SignalWatch::raised() {
  drain();
  return PyErr_CheckSignals() != 0;
}

void SignalWatch::drain() {
  if (!pipe_) return;
  char numbers[64];
  for (ssize_t n; (n = ::read(pipe_->read.get(), numbers, sizeof numbers)) > 0;) {
    // A wait inside a handler of another wait: that one looks at its signals when this has ended.
    if (before_ == pipe_->write.get()) continue;
    if (before_ >= 0) (void)!::write(before_, numbers, static_cast<size_t>(n));
  }
}

}  // namespace eagleray::python
