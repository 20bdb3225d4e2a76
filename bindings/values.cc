#include "values.h"

#include <cstring>
#include <utility>

#include "arrays.h"
#include "signal_watch.h"

namespace eagleray::python {
namespace {

// First byte of a value.
enum Tag : char {
  kNone,
  kTrue,
  kFalse,
  kInt,
  kFloat,
  kStr,
  kBytes,
  kPickle,
  kPickleBuffers,
  kArray
};

// Of kPickleBuffers, behind the tag and seven bytes of padding.
struct BufferHeader {
  uint32_t buffers = 0;
  uint32_t reserved = 0;
  uint64_t pickle_bytes = 0;
};
struct BufferEntry {
  uint64_t offset = 0;
  uint64_t bytes = 0;
};
constexpr size_t kHeaderAt = 8;
// What a thread keeps for the arguments of its next call.
constexpr size_t kArgumentScratchBytesMax = 1u << 20;
constexpr size_t aligned(size_t at) { return (at + 63) & ~size_t{63}; }

// ---- a buffer that Python may look at for as long as it likes ----

struct BufferObject {
  PyObject_HEAD Payload payload;  // inline values
  Keeper keeper;                  // of others: what their bytes lie in
  ClientShell* shell;
  Object* keep;
  const char* data;
  Py_ssize_t size;
};

PyTypeObject* buffer_type = nullptr;

int buffer_get(PyObject* self, Py_buffer* view, int flags) {
  auto* buffer = reinterpret_cast<BufferObject*>(self);
  return PyBuffer_FillInfo(view, self, const_cast<char*>(buffer->data), buffer->size, 1, flags);
}

void buffer_dealloc(PyObject* self) {
  auto* buffer = reinterpret_cast<BufferObject*>(self);
  PyTypeObject* type = Py_TYPE(self);
  if (buffer->keep && !buffer->shell->closed()) {
    ClientShell::Access machine = buffer->shell->access();
    machine->unpin(buffer->keep, machine.effects());
  }
  buffer->payload.~Payload();
  buffer->keeper.~Keeper();
  type->tp_free(self);
  Py_DECREF(type);
}

PyType_Slot buffer_slots[] = {{Py_bf_getbuffer, reinterpret_cast<void*>(buffer_get)},
                              {Py_tp_dealloc, reinterpret_cast<void*>(buffer_dealloc)},
                              {0, nullptr}};
PyType_Spec buffer_spec = {"eagleray._core.Buffer", sizeof(BufferObject), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, buffer_slots};

PyObject* make_buffer(Payload payload, Keeper keeper, Object* keep, const char* data, size_t size) {
  auto* buffer = reinterpret_cast<BufferObject*>(buffer_type->tp_alloc(buffer_type, 0));
  if (!buffer) return nullptr;
  new (&buffer->payload) Payload(std::move(payload));
  new (&buffer->keeper) Keeper(std::move(keeper));
  buffer->shell = runtime().shell;
  buffer->keep = keep;
  buffer->data = data;
  buffer->size = static_cast<Py_ssize_t>(size);
  if (keep) {
    ClientShell::Access machine = buffer->shell->access();
    machine->pin(keep);
  }
  return reinterpret_cast<PyObject*>(buffer);
}

PyObject* make_view(Payload payload, Keeper keeper, Object* keep, const char* data, size_t size) {
  PyObject* buffer = make_buffer(std::move(payload), std::move(keeper), keep, data, size);
  if (!buffer) return nullptr;
  PyObject* view = PyMemoryView_FromObject(buffer);
  Py_DECREF(buffer);
  return view;
}

// ---- encoding ----

bool put(Sink& sink, char tag, const void* data, size_t size) {
  char* to = sink.reserve(1 + size);
  if (!to) return false;
  to[0] = tag;
  if (size) std::memcpy(to + 1, data, size);
  return true;
}

// Waits for room of the store, by ClientShell::allocate or reserve; an error with a Python error
// set.
template <class Room>
Result<Room> await_room(Result<Room> (ClientShell::*ask)(uint64_t, ClientShell::Wait::Signals,
                                                         const ClientShell::GiveUp&),
                        size_t size) {
  Result<Room> room = Error{ErrorCode::kUnavailable, ""};
  SignalWatch watch;
  const auto give_up = [&](ClientShell::Waited waited, ClientShell::Wait::Signals& signals) {
    if (!in_main_thread()) return false;  // it has no signals, and does not come back if all ends
    const PyGILState_STATE held = PyGILState_Ensure();
    const bool raised = waited == ClientShell::Waited::kWatch ? watch.begin() : watch.raised();
    PyGILState_Release(held);
    signals = watch.signals();
    return raised;
  };
  {
    GilRelease release;
    room = (runtime().shell->*ask)(size, watch.signals(), give_up);
  }
  if (!room.ok()) {
    if (PyErr_Occurred()) return room;
    PyObject* record = PyObject_CallFunction(runtime().system_error, "ssy#", "store_full",
                                             room.error().message.c_str(), "", Py_ssize_t{0});
    if (record) {
      PyObject* error =
          PyObject_CallFunctionObjArgs(runtime().error_from, record, Py_None, nullptr);
      Py_DECREF(record);
      if (error) {
        PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error)), error);
        Py_DECREF(error);
      }
    }
  }
  return room;
}

// Room in the store; null with a Python error set.
char* reserve_stored(Value& value, size_t size) {
  const Result<ClientShell::Room> room = await_room(&ClientShell::allocate, size);
  if (!room.ok()) return nullptr;
  value.kind = ValueKind::kStored;
  value.location = room.value().location;
  return room.value().data;
}

// A value for a message: inline or in the store.
class ValueSink final : public Sink {
 public:
  explicit ValueSink(Value& value) : value_(value) {}

  char* reserve(size_t size) override {
    if (size > runtime().inline_bytes_max) return reserve_stored(value_, size);
    value_.kind = ValueKind::kInline;
    value_.bytes = Payload::uninitialized(size);
    return value_.bytes.mutable_data();
  }

 private:
  Value& value_;
};

void copy_bytes(char* to, const void* from, size_t size) {
  if (size < (1u << 20)) {
    std::memcpy(to, from, size);
    return;
  }
  {
    GilRelease release;
    std::memcpy(to, from, size);
  }
}

struct Buffers {
  std::vector<Py_buffer> views;
  ~Buffers() {
    for (Py_buffer& view : views) PyBuffer_Release(&view);
  }
};

bool encode_pickled(PyObject* pickled, Sink& sink) {
  PyObject* bytes = nullptr;
  PyObject* list = nullptr;
  if (!PyArg_ParseTuple(pickled, "SO!", &bytes, &PyList_Type, &list)) return false;
  const auto pickle_size = static_cast<size_t>(PyBytes_GET_SIZE(bytes));
  const auto count = static_cast<size_t>(PyList_GET_SIZE(list));
  if (count == 0) {
    char* to = sink.reserve(1 + pickle_size);
    if (!to) return false;
    to[0] = kPickle;
    copy_bytes(to + 1, PyBytes_AS_STRING(bytes), pickle_size);
    return true;
  }
  Buffers buffers;
  std::vector<BufferEntry> entries;
  size_t end = kHeaderAt + sizeof(BufferHeader) + count * sizeof(BufferEntry) + pickle_size;
  for (size_t i = 0; i < count; ++i) {
    Py_buffer view;
    PyObject* item = PyList_GET_ITEM(list, static_cast<Py_ssize_t>(i));
    if (PyObject_GetBuffer(item, &view, PyBUF_ANY_CONTIGUOUS) != 0) return false;
    buffers.views.push_back(view);
    const size_t at = aligned(end);
    entries.push_back(BufferEntry{at, static_cast<uint64_t>(view.len)});
    end = at + static_cast<size_t>(view.len);
  }
  char* to = sink.reserve(end);
  if (!to) return false;
  std::memset(to, 0, kHeaderAt);
  to[0] = kPickleBuffers;
  const BufferHeader header{static_cast<uint32_t>(count), 0, pickle_size};
  std::memcpy(to + kHeaderAt, &header, sizeof header);
  std::memcpy(to + kHeaderAt + sizeof header, entries.data(), count * sizeof(BufferEntry));
  std::memcpy(to + kHeaderAt + sizeof header + count * sizeof(BufferEntry),
              PyBytes_AS_STRING(bytes), pickle_size);
  for (size_t i = 0; i < count; ++i) {
    copy_bytes(to + entries[i].offset, buffers.views[i].buf, entries[i].bytes);
  }
  return true;
}

bool encode_array(const ArraySource& array, Sink& sink) {
  char* to = sink.reserve(array.size());
  if (!to) return false;
  to[0] = kArray;
  array.write_header(to);
  copy_bytes(to + array.data_at(), array.data(), array.data_bytes());
  return true;
}

// ---- decoding ----

// pickle.loads(view, buffers=buffers)
PyObject* call_loads(PyObject* view, PyObject* buffers) {
  static PyObject* names = Py_BuildValue("(s)", "buffers");
  PyObject* arguments[] = {view, buffers};
  return PyObject_Vectorcall(runtime().loads, arguments, 1, names);
}

PyObject* decode_array(std::string_view bytes, const Payload* payload, const Keeper& keeper,
                       Object* keep) {
  const std::optional<ArrayShape> shape = read_array(bytes);
  if (!shape) {
    PyErr_SetString(PyExc_SystemError, "eagleray: an array is cut short");
    return nullptr;
  }
  PyObject* buffer = make_buffer(payload ? *payload : Payload(), keeper, keep,
                                 bytes.data() + shape->data_at, shape->data_bytes);
  if (!buffer) return nullptr;
  PyObject* array = make_array(*shape, buffer);
  Py_DECREF(buffer);
  return array;
}

PyObject* decode_buffers(std::string_view bytes, const Payload* payload, const Keeper& keeper,
                         Object* keep) {
  BufferHeader header;
  if (bytes.size() < kHeaderAt + sizeof header) {
    PyErr_SetString(PyExc_SystemError, "eagleray: a value is cut short");
    return nullptr;
  }
  std::memcpy(&header, bytes.data() + kHeaderAt, sizeof header);
  const size_t table = kHeaderAt + sizeof header;
  const size_t pickle_at = table + size_t{header.buffers} * sizeof(BufferEntry);
  if (pickle_at > bytes.size() || header.pickle_bytes > bytes.size() - pickle_at) {
    PyErr_SetString(PyExc_SystemError, "eagleray: a value is cut short");
    return nullptr;
  }
  PyObject* list = PyList_New(0);
  for (uint32_t i = 0; list && i < header.buffers; ++i) {
    BufferEntry entry;
    std::memcpy(&entry, bytes.data() + table + i * sizeof entry, sizeof entry);
    PyObject* view = nullptr;
    if (entry.offset <= bytes.size() && entry.bytes <= bytes.size() - entry.offset) {
      view = make_view(payload ? *payload : Payload(), keeper, keep, bytes.data() + entry.offset,
                       entry.bytes);
    } else {
      PyErr_SetString(PyExc_SystemError, "eagleray: a buffer lies outside of its value");
    }
    if (!view || PyList_Append(list, view) != 0) {
      Py_XDECREF(view);
      Py_CLEAR(list);
      break;
    }
    Py_DECREF(view);
  }
  if (!list) return nullptr;
  PyObject* view =
      PyMemoryView_FromMemory(const_cast<char*>(bytes.data() + pickle_at),
                              static_cast<Py_ssize_t>(header.pickle_bytes), PyBUF_READ);
  PyObject* result = view ? call_loads(view, list) : nullptr;
  Py_XDECREF(view);
  Py_DECREF(list);
  return result;
}

PyObject* decode_bytes(std::string_view bytes, const Payload* payload, const Keeper& keeper,
                       Object* keep) {
  if (bytes.empty()) {
    PyErr_SetString(PyExc_SystemError, "eagleray: an empty value");
    return nullptr;
  }
  const char* body = bytes.data() + 1;
  const auto size = static_cast<Py_ssize_t>(bytes.size() - 1);
  switch (bytes[0]) {
    case kNone: Py_RETURN_NONE;
    case kTrue: Py_RETURN_TRUE;
    case kFalse: Py_RETURN_FALSE;
    case kInt: {
      int64_t number = 0;
      if (size == sizeof number) std::memcpy(&number, body, sizeof number);
      return PyLong_FromLongLong(number);
    }
    case kFloat: {
      double number = 0;
      if (size == sizeof number) std::memcpy(&number, body, sizeof number);
      return PyFloat_FromDouble(number);
    }
    case kStr: return PyUnicode_DecodeUTF8(body, size, nullptr);
    case kBytes: return PyBytes_FromStringAndSize(body, size);
    case kPickle: {
      PyObject* view = PyMemoryView_FromMemory(const_cast<char*>(body), size, PyBUF_READ);
      if (!view) return nullptr;
      PyObject* result = call_loads(view, Py_None);
      Py_DECREF(view);
      return result;
    }
    case kPickleBuffers: return decode_buffers(bytes, payload, keeper, keep);
    case kArray: return decode_array(bytes, payload, keeper, keep);
    default:
      PyErr_Format(PyExc_SystemError, "eagleray: a value of unknown kind %d", bytes[0]);
      return nullptr;
  }
}

}  // namespace

Runtime& runtime() {
  static Runtime instance;
  return instance;
}

std::vector<Object*>*& nested_being_collected() {
  thread_local std::vector<Object*>* current = nullptr;
  return current;
}

std::optional<StoreLocation> reserve_room(size_t bytes) {
  const Result<StoreLocation> location = await_room(&ClientShell::reserve, bytes);
  if (!location.ok()) return std::nullopt;
  return location.value();
}

bool encode_into(PyObject* object, Sink& sink, std::vector<Object*>* nested) {
  if (object == Py_None) return put(sink, kNone, nullptr, 0);
  if (object == Py_True) return put(sink, kTrue, nullptr, 0);
  if (object == Py_False) return put(sink, kFalse, nullptr, 0);
  if (PyLong_CheckExact(object)) {
    int overflow = 0;
    const long long number = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow == 0) {
      const int64_t fixed = number;
      return put(sink, kInt, &fixed, sizeof fixed);
    }
  } else if (PyFloat_CheckExact(object)) {
    const double number = PyFloat_AS_DOUBLE(object);
    return put(sink, kFloat, &number, sizeof number);
  } else if (PyUnicode_CheckExact(object) || PyBytes_CheckExact(object)) {
    Py_ssize_t size = 0;
    const bool text = PyUnicode_CheckExact(object);
    const char* data = text ? PyUnicode_AsUTF8AndSize(object, &size) : PyBytes_AS_STRING(object);
    if (!text) size = PyBytes_GET_SIZE(object);
    if (data) {
      char* to = sink.reserve(1 + static_cast<size_t>(size));
      if (!to) return false;
      to[0] = text ? kStr : kBytes;
      copy_bytes(to + 1, data, static_cast<size_t>(size));
      return true;
    }
    PyErr_Clear();  // lone surrogates: pickle knows how
  }
  if (const std::optional<ArraySource> array = ArraySource::of(object)) {
    return encode_array(*array, sink);
  }
  std::vector<Object*>* outer = nested_being_collected();
  nested_being_collected() = nested;
  PyObject* pickled = PyObject_CallOneArg(runtime().dumps, object);
  nested_being_collected() = outer;
  const bool done = pickled && encode_pickled(pickled, sink);
  Py_XDECREF(pickled);
  return done;
}

bool encode_value(PyObject* object, Value& value, std::vector<Object*>& nested) {
  ValueSink sink(value);
  if (encode_into(object, sink, &nested)) return true;
  if (!nested.empty()) {
    ClientShell::Access machine = runtime().shell->access();
    for (Object* each : nested) machine->unpin(each, machine.effects());
    nested.clear();
  }
  return false;
}

bool keeps_view(std::string_view value) {
  return !value.empty() && (value[0] == kPickleBuffers || value[0] == kArray);
}

PyObject* decode_copy(std::string_view value) {
  if (!keeps_view(value)) return decode_bytes(value, nullptr, nullptr, nullptr);
  const Payload copy = Payload::copy_of(value);
  return decode_bytes(copy.view(), &copy, nullptr, nullptr);
}

PyObject* decode_held(std::string_view value, const Keeper& keeper) {
  return decode_bytes(value, nullptr, keeper, nullptr);
}

PyObject* decode_value(const Value& value, Object* keep) {
  if (value.kind == ValueKind::kStored) {
    Result<ClientShell::View> view = Error{ErrorCode::kUnavailable, ""};
    {
      GilRelease release;
      view = runtime().shell->view(value.location);
    }
    if (!view.ok()) {
      Value lost;
      lost.kind = ValueKind::kSystemError;
      lost.bytes = to_payload(FailureKind::kObjectLost, view.error().message);
      raise_failure(lost, nullptr);
      return nullptr;
    }
    return decode_bytes(view.value().bytes, nullptr, view.value().mapping, keep);
  }
  return decode_bytes(value.bytes.view(), &value.bytes, nullptr, nullptr);
}

void raise_failure(const Value& value, PyObject* ref) {
  static constexpr const char* kKinds[] = {
      "worker_crashed",    "worker_oom",          "actor_died",          "actor_unavailable",
      "owner_died",        "object_lost",         "object_freed",        "cancelled",
      "store_full",        "unschedulable",       "node_died",           "group_removed",
      "deadlock",          "actor_unschedulable", "actor_group_removed", "disk_full",
      "runtime_env_failed"};
  PyObject* record = nullptr;
  if (value.kind == ValueKind::kSystemError) {
    const Failure failure = failure_from(value.bytes.view());
    std::string id;
    if (ref) id = reinterpret_cast<RefObject*>(ref)->object->id.view();
    record = PyObject_CallFunction(
        runtime().system_error, "ssy#", kKinds[static_cast<size_t>(failure.kind)],
        failure.message.c_str(), id.data(), static_cast<Py_ssize_t>(id.size()));
  } else {
    record = decode_bytes(value.bytes.view(), &value.bytes, nullptr, nullptr);
  }
  if (!record) return;
  PyObject* error =
      PyObject_CallFunctionObjArgs(runtime().error_from, record, ref ? ref : Py_None, nullptr);
  Py_DECREF(record);
  if (!error) return;
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error)), error);
  Py_DECREF(error);
}

// ---- arguments: u32 positional count, items; u32 keyword count, (name, item) pairs. An item is
// one byte (0: value, 1: hole) and for a value its length and bytes. ----

namespace {

void put_u32(std::string& out, size_t number) {
  const auto fixed = static_cast<uint32_t>(number);
  out.append(reinterpret_cast<const char*>(&fixed), sizeof fixed);
}

struct Reader {
  std::string_view rest;
  bool good = true;
  std::string_view take(size_t size) {
    if (size > rest.size()) {
      good = false;
      return {};
    }
    const std::string_view taken = rest.substr(0, size);
    rest.remove_prefix(size);
    return taken;
  }
  uint32_t u32() {
    uint32_t number = 0;
    const std::string_view taken = take(sizeof number);
    if (good) std::memcpy(&number, taken.data(), sizeof number);
    return number;
  }
};

bool encode_item(PyObject* object, uint32_t position, std::string& out, ClientMachine::Call& call) {
  if (is_ref(object)) {
    out.push_back(1);
    Object* referred = object_of(object);
    if (!referred) return false;
    ClientShell::Access machine = runtime().shell->access();
    machine->pin(referred);
    call.refs.push_back(ArgumentRef{position, referred});
    return true;
  }
  Value value;
  std::vector<Object*> nested;
  if (!encode_value(object, value, nested)) return false;
  if (value.kind == ValueKind::kStored) {
    out.push_back(1);
    ClientShell::Access machine = runtime().shell->access();
    call.refs.push_back(ArgumentRef{position, machine->put(std::move(value), nested)});
    return true;
  }
  out.push_back(0);
  put_u32(out, value.bytes.size());
  out.append(value.bytes.view());
  call.nested.insert(call.nested.end(), nested.begin(), nested.end());
  return true;
}

// The arguments of a call, one after the other. References are in the order of their positions.
struct ArgumentReader {
  Reader bytes;
  const std::vector<RefArgument>& refs;
  uint32_t position = 0;
  size_t next_ref = 0;

  PyObject* next();  // null with a Python error set
};

PyObject* decode_referred(const RefArgument& ref) {
  Object* keep = nullptr;
  if (ref.value.kind == ValueKind::kStored) {
    ClientShell::Access machine = runtime().shell->access();
    keep = machine->find(ref.ref.object);
  }
  if (ref.value.kind == ValueKind::kError || ref.value.kind == ValueKind::kSystemError) {
    raise_failure(ref.value, nullptr);
    return nullptr;
  }
  return decode_value(ref.value, keep);
}

PyObject* ArgumentReader::next() {
  const uint32_t here = position++;
  const std::string_view kind = bytes.take(1);
  if (bytes.good && kind[0] == 0) {
    const std::string_view value = bytes.take(bytes.u32());
    if (bytes.good) return decode_copy(value);
  }
  if (bytes.good && next_ref < refs.size() && refs[next_ref].position == here) {
    return decode_referred(refs[next_ref++]);
  }
  PyErr_SetString(PyExc_SystemError, "eagleray: an argument list is cut short");
  return nullptr;
}

}  // namespace

bool encode_arguments(PyObject* const* args, size_t count, PyObject* names, PyObject* kwargs,
                      ClientMachine::Call& call) {
  const size_t named = names ? static_cast<size_t>(PyTuple_GET_SIZE(names)) : 0;
  const size_t extra = kwargs ? static_cast<size_t>(PyDict_GET_SIZE(kwargs)) : 0;
  if (count + named + extra == 0) return true;
  // Kept from call to call, so that large arguments are not copied again as it grows. An argument's
  // code may make calls of its own while it is pickled: they find the place empty.
  thread_local std::string kept;
  std::string out = std::exchange(kept, {});
  out.clear();
  uint32_t position = 0;
  put_u32(out, count);
  bool good = true;
  for (size_t i = 0; good && i < count; ++i) good = encode_item(args[i], position++, out, call);
  put_u32(out, named + extra);
  auto put_name = [&](PyObject* name) {
    Py_ssize_t size = 0;
    const char* text = PyUnicode_AsUTF8AndSize(name, &size);
    if (!text) return false;
    put_u32(out, static_cast<size_t>(size));
    out.append(text, static_cast<size_t>(size));
    return true;
  };
  for (size_t i = 0; good && i < named; ++i) {
    good = put_name(PyTuple_GET_ITEM(names, static_cast<Py_ssize_t>(i))) &&
           encode_item(args[count + i], position++, out, call);
  }
  PyObject *key = nullptr, *item = nullptr;
  Py_ssize_t at = 0;
  while (good && kwargs && PyDict_Next(kwargs, &at, &key, &item)) {
    good = put_name(key) && encode_item(item, position++, out, call);
  }
  if (!good) {
    ClientShell::Access machine = runtime().shell->access();
    for (const ArgumentRef& ref : call.refs) machine->unpin(ref.object, machine.effects());
    for (Object* object : call.nested) machine->unpin(object, machine.effects());
    call.refs.clear();
    call.nested.clear();
    return false;
  }
  call.arguments = Payload::copy_of(out);
  if (out.capacity() <= kArgumentScratchBytesMax) kept = std::move(out);
  return true;
}

bool decode_arguments(std::string_view bytes, const std::vector<RefArgument>& refs, PyObject*& args,
                      PyObject*& kwargs) {
  kwargs = nullptr;
  if (bytes.empty()) {
    args = PyTuple_New(0);
    return args != nullptr;
  }
  ArgumentReader reader{Reader{bytes}, refs};
  const uint32_t count = reader.bytes.u32();
  if (count > bytes.size()) {
    PyErr_SetString(PyExc_SystemError, "eagleray: an argument list is cut short");
    return false;
  }
  args = PyTuple_New(count);
  for (uint32_t i = 0; args && i < count; ++i) {
    PyObject* item = reader.next();
    if (!item) {
      Py_CLEAR(args);
      return false;
    }
    PyTuple_SET_ITEM(args, i, item);
  }
  const uint32_t named = reader.bytes.u32();
  if (!args || named == 0 || !reader.bytes.good) return args != nullptr;
  kwargs = PyDict_New();
  for (uint32_t i = 0; kwargs && i < named; ++i) {
    const std::string_view name = reader.bytes.take(reader.bytes.u32());
    PyObject* key =
        PyUnicode_DecodeUTF8(name.data(), static_cast<Py_ssize_t>(name.size()), nullptr);
    PyObject* item = key ? reader.next() : nullptr;
    if (!item || PyDict_SetItem(kwargs, key, item) != 0) Py_CLEAR(kwargs);
    Py_XDECREF(key);
    Py_XDECREF(item);
  }
  if (!kwargs) Py_CLEAR(args);
  return kwargs != nullptr;
}

bool init_values(PyObject* module) {
  buffer_type =
      reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, &buffer_spec, nullptr));
  return buffer_type != nullptr;
}

}  // namespace eagleray::python
