// Python values as bytes and back; see docs/design/values.md for the encoding. Needs the GIL.
#pragma once

#include <Python.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/client_machine.h"
#include "gil.h"
#include "shell/client_shell.h"

namespace eagleray::python {

// The process's one client and Python's hooks; set by Client. Objects of closed clients stay valid
// for views, so a shell is never destroyed.
struct Runtime {
  ClientShell* shell = nullptr;
  uint64_t inline_bytes_max = Settings{}.inline_bytes_max;
  PyObject* dumps = nullptr;
  PyObject* loads = nullptr;
  PyObject* error_from = nullptr;
  PyObject* load_function = nullptr;
  PyObject* system_error = nullptr;
};
Runtime& runtime();

// References met while a value is pickled on this thread; null outside.
std::vector<Object*>*& nested_being_collected();

// Where a value's bytes go.
class Sink {
 public:
  virtual ~Sink() = default;
  // Room for the whole value, asked for once; null with a Python error set.
  virtual char* reserve(size_t size) = 0;
};
// False: a Python error is set. Without `nested`, references inside are pinned for good, as in a
// pickle that the program makes itself.
bool encode_into(PyObject* object, Sink& sink, std::vector<Object*>* nested);
// Claims `bytes` of the store for memory that lies elsewhere (ClientShell::reserve); waits for
// them. None with a Python error set.
std::optional<StoreLocation> reserve_room(size_t bytes);

// What the bytes of a value lie in, for as long as something looks at them.
using Keeper = std::shared_ptr<const void>;
// Whether the value, once decoded, looks at its bytes.
bool keeps_view(std::string_view value);
// Of bytes that stay for the call, and of bytes that stay as long as their keeper.
PyObject* decode_copy(std::string_view value);
PyObject* decode_held(std::string_view value, const Keeper& keeper);

// A value for sending: inline or, when large, already in the store. `nested` are pinned for the
// machine. False: a Python error is set.
bool encode_value(PyObject* object, Value& value, std::vector<Object*>& nested);
// The language's value, or null with a Python error set. `keep` is pinned by views into the store.
PyObject* decode_value(const Value& value, Object* keep);

// An argument list. Arguments that are ObjectRefs become holes; large ones are put and become
// holes.
bool encode_arguments(PyObject* const* args, size_t count, PyObject* names, PyObject* kwargs,
                      ClientMachine::Call& call);
// New references: a tuple and a dict or null. False with a Python error set, which for a failed
// argument is that argument's error.
bool decode_arguments(std::string_view bytes, const std::vector<RefArgument>& refs, PyObject*& args,
                      PyObject*& kwargs);

// Raises the exception that an object's failure stands for.
void raise_failure(const Value& value, PyObject* ref);

bool init_values(PyObject* module);

// ---- references (refs.cc) ----
struct RefObject {
  PyObject_HEAD Object* object;
  ClientShell* shell;
  PyObject* weak;
};
extern PyTypeObject* ref_type;
inline bool is_ref(PyObject* object) { return Py_TYPE(object) == ref_type; }
// What a reference refers to; null with a Python error set for one of an earlier session.
Object* object_of(PyObject* ref);
// Takes over one pin.
PyObject* make_ref(Object* object);
bool init_refs(PyObject* module);

}  // namespace eagleray::python
