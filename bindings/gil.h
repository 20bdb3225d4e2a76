// The interpreter's lock, as threads of Python meet it that are in the core when the program ends.
#pragma once

#include <Python.h>

namespace eagleray::python {

// Python ends a thread that asks for its lock while the interpreter ends, by unwinding it; that
// cannot pass C++ frames. So the program says here, before it wakes who waits, that it ends: from
// then on a thread other than the main one does not come back from a GilRelease.
void end_interpreter();
// After a close() that has woken them, with the lock: until the threads that were in the core are
// back in Python, where the end of the interpreter does them no harm; for a second at most.
void await_threads();
bool in_main_thread();

// Gives the lock up for its lifetime.
class GilRelease {
 public:
  GilRelease();
  ~GilRelease();
  GilRelease(const GilRelease&) = delete;
  GilRelease& operator=(const GilRelease&) = delete;

 private:
  PyThreadState* state_;
};

}  // namespace eagleray::python
