// put, get, wait, cancel: what the client does with objects.
#include <tuple>

#include "common.h"

namespace eagleray::python {
namespace {

Object* checked(nb::handle ref) {
  if (!is_ref(ref.ptr())) throw nb::type_error("expected an ObjectRef");
  Object* object = object_of(ref.ptr());
  if (!object) throw nb::python_error();
  return object;
}

// `refs` is the caller's alone: nobody changes it while this waits.
nb::object get(Client& client, nb::list refs, std::optional<double> timeout, bool goes_on) {
  const size_t count = nb::len(refs);
  std::vector<Object*> objects(count);
  bool ready = true;
  for (size_t i = 0; i < count; ++i) {
    PyObject* ref = PyList_GET_ITEM(refs.ptr(), static_cast<Py_ssize_t>(i));
    if (!is_ref(ref)) {
      PyErr_Format(PyExc_TypeError,
                   "Attempting to call `get` on a value of type %s, which is not an ObjectRef.",
                   Py_TYPE(ref)->tp_name);
      throw nb::python_error();
    }
    objects[i] = object_of(ref);
    if (!objects[i]) throw nb::python_error();
  }
  {
    ClientShell::Access machine = client.core->access();
    for (Object* object : objects) {
      if (object->pending()) {
        ready = false;
        machine->want(object, machine.effects());
      }
    }
  }
  if (!ready) {
    size_t next = 0;
    const bool done = wait_for(
        [&] {
          while (next < count && !objects[next]->pending()) {
            if (objects[next]->failed()) return true;
            ++next;
          }
          return next == count;
        },
        deadline_of(timeout), Needs{goes_on || !timeout ? &objects : nullptr});
    if (!done) {
      PyErr_SetString(PyExc_TimeoutError, "get() timed out");
      throw nb::python_error();
    }
  }
  nb::object result = nb::steal(PyList_New(static_cast<Py_ssize_t>(count)));
  for (size_t i = 0; i < count; ++i) {
    Value value;
    {
      ClientShell::Access machine = client.core->access();
      value = machine->value_of(objects[i]);
    }
    if (objects[i]->failed()) {
      raise_failure(value, PyList_GET_ITEM(refs.ptr(), static_cast<Py_ssize_t>(i)));
      throw nb::python_error();
    }
    PyObject* item = decode_value(value, objects[i]);
    if (!item) throw nb::python_error();
    PyList_SET_ITEM(result.ptr(), static_cast<Py_ssize_t>(i), item);
  }
  return result;
}

// A generator counts as its completion, and as ready from its next item on.
std::pair<const Stream*, Object*> awaited(PyObject* ref) {
  std::pair<const Stream*, Object*> found;
  if (is_ref(ref)) {
    found.second = object_of(ref);
  } else {
    found = stream_of(ref);
  }
  if (!found.second) throw nb::python_error();
  return found;
}

// Costs a call: one lock (two more where it waits), and what is proportional to the references: a
// look at each, its mark, and a place in one of two lists; no Python code.
nb::tuple wait(Client& client, nb::list list, size_t wanted, std::optional<double> timeout, bool,
               bool goes_on) {
  const nb::tuple refs = nb::steal<nb::tuple>(PyList_AsTuple(list.ptr()));  // kept while others run
  const size_t count = nb::len(refs);
  std::vector<Object*> objects(count);
  std::vector<const Stream*> streams(count);
  bool duplicate = false;
  for (size_t i = 0; i < count; ++i) {
    std::tie(streams[i], objects[i]) =
        awaited(PyTuple_GET_ITEM(refs.ptr(), static_cast<Py_ssize_t>(i)));
  }
  {
    ClientShell::Access machine = client.core->access();
    const uint32_t mark = machine->next_mark();
    for (Object* object : objects) {
      duplicate |= object->mark == mark;
      object->mark = mark;
    }
  }
  if (duplicate) throw nb::value_error("Wait requires a list of unique object refs.");
  auto is_ready_at = [&](size_t i) {
    return !objects[i]->pending() || (streams[i] && !streams[i]->items.empty());
  };
  auto enough = [&] {
    size_t ready = 0;
    for (size_t i = 0; i < count; ++i) {
      if (is_ready_at(i) && ++ready >= wanted) return true;
    }
    return false;
  };
  bool done = false;
  {
    ClientShell::Access machine = client.core->access();
    done = enough();
    if (!done) {
      for (Object* object : objects) machine->want(object, machine.effects());
    }
  }
  if (!done) {
    const bool all = wanted == count && (goes_on || !timeout);
    wait_for(enough, deadline_of(timeout), Needs{all ? &objects : nullptr});
  }
  std::vector<bool> chosen(count);
  size_t taken = 0;
  {
    ClientShell::Access machine = client.core->access();
    for (size_t i = 0; i < count && taken < wanted; ++i) {
      chosen[i] = is_ready_at(i);
      taken += chosen[i] ? 1 : 0;
    }
  }
  nb::object ready = nb::steal(PyList_New(static_cast<Py_ssize_t>(taken)));
  nb::object rest = nb::steal(PyList_New(static_cast<Py_ssize_t>(count - taken)));
  Py_ssize_t at_ready = 0, at_rest = 0;
  for (size_t i = 0; i < count; ++i) {
    PyObject* ref = PyTuple_GET_ITEM(refs.ptr(), static_cast<Py_ssize_t>(i));
    Py_INCREF(ref);
    if (chosen[i]) {
      PyList_SET_ITEM(ready.ptr(), at_ready++, ref);
    } else {
      PyList_SET_ITEM(rest.ptr(), at_rest++, ref);
    }
  }
  return nb::make_tuple(ready, rest);
}

nb::object put(Client& client, nb::handle object) {
  Value value;
  std::vector<Object*> nested;
  if (!encode_value(object.ptr(), value, nested)) throw nb::python_error();
  Object* made = nullptr;
  std::string site = creation_site("(put object)");
  {
    ClientShell::Access machine = client.core->access();
    made = machine->put(std::move(value), nested);
    if (!site.empty()) machine->note_site(made, std::move(site));
  }
  return nb::steal(make_ref(made));
}

// What this process knows: "pending", "inline" or "stored", the node whose store has it, its bytes.
nb::tuple object_location(Client& c, nb::handle ref) {
  Object* object = checked(ref);
  Value value;
  {
    ClientShell::Access machine = c.core->access();
    if (object->pending()) return nb::make_tuple("pending", "", 0);
    value = machine->value_of(object);
  }
  if (value.kind != ValueKind::kStored) return nb::make_tuple("inline", "", value.bytes.size());
  return nb::make_tuple("stored", c.core->registered().node.node.hex(), value.location.size);
}

}  // namespace

void bind_objects(nb::class_<Client>& client) {
  client.def("put", &put, nb::arg("value").none())
      .def("get", &get, nb::arg("refs"), nb::arg("timeout").none(), nb::arg("goes_on") = false)
      .def("wait", &wait, nb::arg("refs"), nb::arg("num_returns"), nb::arg("timeout").none(),
           nb::arg("fetch_local"), nb::arg("goes_on") = false)
      .def("want_notification",
           [](Client& c, nb::handle ref) {
             Object* object = checked(ref);
             ClientShell::Access machine = c.core->access();
             if (!object->pending()) return true;
             machine->want_notification(object);
             machine->want(object, machine.effects());
             return false;
           })
      .def("take_notifications",
           [](Client& c, int timeout_ms) {
             std::vector<Object*> objects;
             {
               GilRelease release;
               objects = c.core->take_notifications(timeout_ms);
             }
             nb::list list;
             for (Object* object : objects) list.append(nb::steal(make_ref(object)));
             return list;
           })
      .def("free",
           [](Client& c, nb::list refs) {
             ClientShell::Access machine = c.core->access();
             for (nb::handle ref : refs) {
               machine->free_value(checked(ref), machine.effects());
             }
           })
      .def("cancel",
           [](Client& c, nb::handle ref, bool force, bool recursive) {
             Object* object = checked(ref);
             ClientShell::Access machine = c.core->access();
             machine->cancel(object, force, recursive, machine.effects());
           })
      .def("is_actor_task",
           [](Client&, nb::handle ref) {
             const ObjectId& id = checked(ref)->id;
             return id.bytes[8] != 0xFF || id.bytes[19] != 0xFF;
           })
      .def("object_location", &object_location)
      .def("reasons_so_far",
           [](Client& c, nb::list refs) {
             std::vector<Object*> objects;
             for (nb::handle ref : refs) objects.push_back(awaited(ref.ptr()).second);
             return c.core->reasons_so_far(objects);
           })
      .def("wait_reason", [](Client& c, nb::handle ref) {
        Object* object = checked(ref);
        GilRelease release;
        return c.core->wait_reason(object);
      });
}

}  // namespace eagleray::python
