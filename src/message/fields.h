// EAGLERAY_FIELDS lists a message's members once: for equality, and for the codec in wire/, which
// visits them in this order. A message is a plain value; this folder knows no encoding.
#pragma once

#define EAGLERAY_FIELDS(Type, ...)              \
  bool operator==(const Type&) const = default; \
  template <class F>                            \
  void visit_fields(F&& f) {                    \
    f(__VA_ARGS__);                             \
  }                                             \
  template <class F>                            \
  void visit_fields(F&& f) const {              \
    f(__VA_ARGS__);                             \
  }

// For a message without members.
#define EAGLERAY_NO_FIELDS(Type)                \
  bool operator==(const Type&) const = default; \
  template <class F>                            \
  void visit_fields(F&& f) const {              \
    f();                                        \
  }
