// ObjectRef: Python's counted reference to an Object.
#include "values.h"

#include <structmember.h>

namespace eagleray::python {

PyTypeObject* ref_type = nullptr;

namespace {

PyObject* ref_from_wire = nullptr;  // _core._ref_from_wire, named in pickles

RefObject* as_ref(PyObject* self) { return reinterpret_cast<RefObject*>(self); }

void ref_dealloc(PyObject* self) {
  RefObject* ref = as_ref(self);
  PyTypeObject* type = Py_TYPE(self);
  if (ref->weak) PyObject_ClearWeakRefs(self);
  if (!ref->shell) {
    delete ref->object;
  } else if (!ref->shell->closed()) {
    ClientShell::Access machine = ref->shell->access();
    machine->unpin(ref->object, machine.effects());
  }
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* ref_binary(PyObject* self, PyObject*) {
  const std::string_view id = as_ref(self)->object->id.view();
  return PyBytes_FromStringAndSize(id.data(), static_cast<Py_ssize_t>(id.size()));
}

PyObject* ref_hex(PyObject* self, PyObject*) {
  const std::string hex = as_ref(self)->object->id.hex();
  return PyUnicode_FromStringAndSize(hex.data(), static_cast<Py_ssize_t>(hex.size()));
}

PyObject* ref_is_nil(PyObject* self, PyObject*) {
  ObjectId nil;
  nil.bytes.fill(0xFF);
  return PyBool_FromLong(as_ref(self)->object->id == nil);
}

// ObjectRef(bytes): an id without an object. It can be shown and compared, and nothing can be had
// by it.
PyObject* ref_new(PyTypeObject* type, PyObject* args, PyObject* names) {
  static char key[] = "id";
  static char* keys[] = {key, nullptr};
  PyObject* id = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, names, "O", keys, &id)) return nullptr;
  if (!PyBytes_Check(id)) {
    return PyErr_Format(PyExc_TypeError, "Unsupported type: %R, expected bytes", Py_TYPE(id));
  }
  if (PyBytes_GET_SIZE(id) != ObjectId::kSize) {
    return PyErr_Format(PyExc_ValueError, "ID string needs to have length %zu, got %zd",
                        ObjectId::kSize, PyBytes_GET_SIZE(id));
  }
  auto* ref = reinterpret_cast<RefObject*>(type->tp_alloc(type, 0));
  if (!ref) return nullptr;
  ref->object = new Object;
  ref->object->id = ObjectId::from(std::string_view(PyBytes_AS_STRING(id), ObjectId::kSize));
  return reinterpret_cast<PyObject*>(ref);
}

PyObject* ref_task_id(PyObject* self, PyObject*) {
  return PyBytes_FromStringAndSize(as_ref(self)->object->id.view().data(), TaskId::kSize);
}

PyObject* ref_owner(PyObject* self, PyObject*) {
  return PyLong_FromUnsignedLongLong(as_ref(self)->object->owner.value);
}

PyObject* ref_ready(PyObject* self, PyObject*) {
  if (!object_of(self)) return nullptr;
  ClientShell::Access machine = as_ref(self)->shell->access();
  return PyBool_FromLong(!as_ref(self)->object->pending());
}

PyObject* ref_repr(PyObject* self) {
  return PyUnicode_FromFormat("ObjectRef(%s)", as_ref(self)->object->id.hex().c_str());
}

Py_hash_t ref_hash(PyObject* self) {
  const auto hash = static_cast<Py_hash_t>(IdHash{}(as_ref(self)->object->id));
  return hash == -1 ? -2 : hash;
}

PyObject* ref_compare(PyObject* self, PyObject* other, int how) {
  if (!is_ref(other) || (how != Py_EQ && how != Py_NE)) Py_RETURN_NOTIMPLEMENTED;
  const bool equal = as_ref(self)->object->id == as_ref(other)->object->id;
  return PyBool_FromLong(equal == (how == Py_EQ));
}

// Inside a value the reference travels with it; outside (a pickle that the program made itself)
// nobody can know when the last copy goes, so the object is pinned for good.
PyObject* ref_reduce(PyObject* self, PyObject*) {
  RefObject* ref = as_ref(self);
  if (!ref->shell) {
    return Py_BuildValue("O(N)", reinterpret_cast<PyObject*>(ref_type), ref_binary(self, nullptr));
  }
  if (!object_of(self)) return nullptr;
  {
    ClientShell::Access machine = ref->shell->access();
    machine->pin(ref->object);
  }
  if (nested_being_collected()) nested_being_collected()->push_back(ref->object);
  const std::string_view id = ref->object->id.view();
  return Py_BuildValue("O(y#K)", ref_from_wire, id.data(), static_cast<Py_ssize_t>(id.size()),
                       static_cast<unsigned long long>(ref->object->owner.value));
}

PyObject* from_wire(PyObject*, PyObject* args) {
  const char* data = nullptr;
  Py_ssize_t size = 0;
  unsigned long long owner = 0;
  if (!PyArg_ParseTuple(args, "y#K", &data, &size, &owner)) return nullptr;
  if (static_cast<size_t>(size) != ObjectId::kSize) {
    return PyErr_Format(PyExc_ValueError, "an object id has 28 bytes, not %zd", size);
  }
  ClientShell* shell = runtime().shell;
  if (!shell || shell->closed()) {
    PyErr_SetString(PyExc_RuntimeError,
                    "an ObjectRef cannot be unpickled before eagleray.init() was called");
    return nullptr;
  }
  const ObjectId id = ObjectId::from(std::string_view(data, static_cast<size_t>(size)));
  Object* object = nullptr;
  {
    ClientShell::Access machine = shell->access();
    object = machine->find(id);
    if (object) {
      machine->pin(object);
    } else {
      object = machine->adopt_stray(id, ProcId{owner}, machine.effects());
    }
  }
  return make_ref(object);
}

PyMethodDef ref_methods[] = {{"binary", ref_binary, METH_NOARGS, nullptr},
                             {"hex", ref_hex, METH_NOARGS, nullptr},
                             {"is_nil", ref_is_nil, METH_NOARGS, nullptr},
                             {"task_id_binary", ref_task_id, METH_NOARGS, nullptr},
                             {"owner", ref_owner, METH_NOARGS, nullptr},
                             {"ready", ref_ready, METH_NOARGS, nullptr},
                             {"__reduce__", ref_reduce, METH_NOARGS, nullptr},
                             {nullptr, nullptr, 0, nullptr}};
PyMemberDef ref_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(RefObject, weak), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};
PyType_Slot ref_slots[] = {{Py_tp_new, reinterpret_cast<void*>(ref_new)},
                           {Py_tp_dealloc, reinterpret_cast<void*>(ref_dealloc)},
                           {Py_tp_methods, ref_methods},
                           {Py_tp_members, ref_members},
                           {Py_tp_repr, reinterpret_cast<void*>(ref_repr)},
                           {Py_tp_hash, reinterpret_cast<void*>(ref_hash)},
                           {Py_tp_richcompare, reinterpret_cast<void*>(ref_compare)},
                           {0, nullptr}};
PyType_Spec ref_spec = {"eagleray._core.ObjectRef", sizeof(RefObject), 0, Py_TPFLAGS_DEFAULT,
                        ref_slots};
PyMethodDef from_wire_def = {"_ref_from_wire", from_wire, METH_VARARGS, nullptr};

}  // namespace

Object* object_of(PyObject* self) {
  const RefObject* ref = as_ref(self);
  if (!ref->shell) {
    PyErr_Format(PyExc_ValueError,
                 "%R was made from its bytes and has no owner: it names no object", self);
    return nullptr;
  }
  if (ref->shell == runtime().shell) return ref->object;
  PyErr_Format(PyExc_ConnectionError, "%R belongs to an earlier session: eagleray was shut down",
               self);
  return nullptr;
}

PyObject* make_ref(Object* object) {
  auto* ref = reinterpret_cast<RefObject*>(ref_type->tp_alloc(ref_type, 0));
  if (!ref) return nullptr;
  ref->object = object;
  ref->shell = runtime().shell;
  ref->weak = nullptr;
  return reinterpret_cast<PyObject*>(ref);
}

bool init_refs(PyObject* module) {
  ref_type = reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, &ref_spec, nullptr));
  if (!ref_type ||
      PyModule_AddObjectRef(module, "ObjectRef", reinterpret_cast<PyObject*>(ref_type))) {
    return false;
  }
  PyObject* name = PyUnicode_FromString("eagleray._core");
  ref_from_wire = PyCFunction_NewEx(&from_wire_def, nullptr, name);
  Py_XDECREF(name);
  return ref_from_wire && PyModule_AddObjectRef(module, "_ref_from_wire", ref_from_wire) == 0;
}

}  // namespace eagleray::python
