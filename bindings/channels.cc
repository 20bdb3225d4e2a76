// Channels between the processes of a compiled graph, for Python: values in, values out. A wait
// gives the interpreter's lock up; a value that is there already, or room, costs neither that nor a
// system call.
#include "shell/channel.h"

#include <nanobind/stl/tuple.h>

#include "common.h"

namespace eagleray::python {
namespace {

// Of an array or a pickle's buffers, which are looked at where they lie; a smaller one is copied,
// which costs less than keeping its slot.
constexpr size_t kHoldBytesMin = 16u << 10;
// The main thread looks for signals so often: they may have come to another thread.
constexpr Duration kSignalLook = Duration::from_ms(100);

thread_local bool counted_thread = false;

struct ChannelObject {
  std::shared_ptr<Channel> core;
  bool writes = false;  // a thread is in write(), or in read(): under the GIL
  bool reads = false;
};

[[noreturn]] void raise(const char* type, const std::string& message) {
  nb::object found = nb::module_::import_("eagleray.exceptions").attr(type);
  PyErr_SetString(found.ptr(), message.c_str());
  throw nb::python_error();
}

[[noreturn]] void raise(const Error& error) {
  switch (error.code) {
    case ErrorCode::kInvalid: throw nb::value_error(error.message.c_str());
    case ErrorCode::kLimit: PyErr_SetString(PyExc_MemoryError, error.message.c_str()); break;
    default: raise("RayChannelError", error.message);
  }
  throw nb::python_error();
}

// One thread at a time.
class Turn {
 public:
  explicit Turn(bool& taken) : taken_(taken) {
    if (taken) throw std::runtime_error("another thread uses this end of the channel");
    taken_ = true;
  }
  ~Turn() { taken_ = false; }

 private:
  bool& taken_;
};

template <class F>
void await(std::optional<double> timeout, const char* what, F once) {
  const Instant deadline = deadline_of(timeout);
  const bool handles_signals = in_main_thread();
  Channel::Wait options;
  options.shell = runtime().shell && !runtime().shell->closed() ? runtime().shell : nullptr;
  options.spin = options.shell ? options.shell->settings().spin : Settings{}.spin;
  options.counted = options.shell && (counted_thread || handles_signals);
  for (;;) {
    options.until = handles_signals ? std::min(deadline, monotonic_now() + kSignalLook) : deadline;
    Channel::Waited waited;
    {
      GilRelease release;
      waited = once(options);
    }
    switch (waited) {
      case Channel::Waited::kReady: return;
      case Channel::Waited::kClosed: raise("RayChannelError", "Channel closed.");
      case Channel::Waited::kCorrupt:
        raise("RayChannelError",
              "the memory of a channel makes no sense: one of its processes is broken");
      case Channel::Waited::kTimeout:
        if (monotonic_now() >= deadline) raise("RayChannelTimeoutError", what);
        [[fallthrough]];
      case Channel::Waited::kSignal:
        if (handles_signals && PyErr_CheckSignals() != 0) throw nb::python_error();
        options.spin = Duration{};
    }
  }
}

class ChannelSink final : public Sink {
 public:
  explicit ChannelSink(Channel& channel) : channel_(channel) {}

  char* reserve(size_t size) override {
    const Result<char*> place = channel_.place(size);
    if (place.ok()) return place.value();
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_MemoryError, place.error().message.c_str());
    return nullptr;
  }

 private:
  Channel& channel_;
};

void write(ChannelObject& self, nb::handle value, std::optional<double> timeout) {
  const std::shared_ptr<Channel> channel = self.core;
  Turn turn(self.writes);
  if (channel->closed()) raise("RayChannelError", "Channel closed.");
  if (!channel->room_there()) {
    await(timeout, "the readers of a channel made no room in time",
          [&](const Channel::Wait& options) { return channel->await_room(options); });
  }
  ChannelSink sink(*channel);
  if (!encode_into(value.ptr(), sink, nullptr)) throw nb::python_error();
  channel->publish();
}

nb::object read(ChannelObject& self, std::optional<double> timeout) {
  const std::shared_ptr<Channel> channel = self.core;
  Turn turn(self.reads);
  if (!channel->value_there()) {
    await(timeout, "nothing was written to a channel in time",
          [&](const Channel::Wait& options) { return channel->await_value(options); });
  }
  const Result<std::string_view> bytes = channel->take();
  if (!bytes.ok()) {
    channel->close();
    raise(bytes.error());
  }
  struct Taken {
    Channel& channel;
    ~Taken() { channel.give_back(); }
  } taken{*channel};
  PyObject* value = nullptr;
  if (bytes.value().size() >= kHoldBytesMin && keeps_view(bytes.value())) {
    value = decode_held(bytes.value(), channel->hold());
  } else {
    value = decode_copy(bytes.value());
  }
  if (!value) throw nb::python_error();
  return nb::steal(value);
}

// A part of the object store, for memory of a channel.
class Claim {
 public:
  Claim(ClientShell* shell, const StoreLocation& location) : shell_(shell), location_(location) {}
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;
  ~Claim() {
    if (!shell_->closed()) shell_->free_room(location_);
  }

 private:
  ClientShell* shell_;
  StoreLocation location_;
};

// kLimit with the Python error set: the store is full.
Result<std::shared_ptr<const void>> claim_of(uint64_t bytes) {
  ClientShell* const shell = runtime().shell;
  if (!shell || shell->closed()) return std::shared_ptr<const void>();
  const std::optional<StoreLocation> location = reserve_room(bytes);
  if (!location) return Error{ErrorCode::kLimit, ""};
  return std::shared_ptr<const void>(std::make_shared<Claim>(shell, *location));
}

ChannelObject make(uint32_t slots, uint32_t readers, uint64_t slot_bytes, uint64_t id) {
  const uint64_t bytes = (std::min(slot_bytes, kChannelValueBytesMax) + kChannelPageBytes - 1) /
                         kChannelPageBytes * kChannelPageBytes;
  Result<std::shared_ptr<Channel>> made = Channel::create({slots, readers, bytes}, id, claim_of);
  if (!made.ok() && PyErr_Occurred()) throw nb::python_error();
  if (!made.ok()) raise(made.error());
  return ChannelObject{std::move(made).value()};
}

ChannelObject open(std::tuple<int, int, uint64_t> address) {
  const auto [pid, fd, id] = address;
  Result<std::shared_ptr<Channel>> opened = Channel::open({pid, fd, id});
  if (!opened.ok()) raise(opened.error());
  return ChannelObject{std::move(opened).value()};
}

std::atomic<uint64_t>& end_of(ChannelObject& channel, std::optional<uint32_t> reader) {
  if (reader && *reader >= channel.core->shape().readers) {
    throw nb::value_error("the channel has fewer readers");
  }
  return channel.core->process_at(reader ? *reader : Channel::kWriterEnd);
}

}  // namespace

void bind_channels(nb::module_& m) {
  nb::class_<ChannelObject>(m, "Channel")
      .def_static("make", &make)
      .def_static("open", &open)
      .def("fd", [](ChannelObject& c) { return c.core->fd(); })
      .def("become_writer", [](ChannelObject& c) { c.core->become_writer(claim_of); })
      .def("become_reader",
           [](ChannelObject& c, uint32_t number) {
             const Result<Ok> done = c.core->become_reader(number);
             if (!done.ok()) raise(done.error());
           })
      .def(
          "name_end",
          [](ChannelObject& c, std::optional<uint32_t> reader, uint64_t process) {
            end_of(c, reader).store(process, std::memory_order_release);
          },
          nb::arg("reader").none(), nb::arg("process"))
      .def(
          "process_at",
          [](ChannelObject& c, std::optional<uint32_t> reader) {
            return end_of(c, reader).load(std::memory_order_acquire);
          },
          nb::arg("reader").none())
      .def("write", &write, nb::arg("value").none(), nb::arg("timeout").none())
      .def("read", &read, nb::arg("timeout").none())
      .def("ready", [](ChannelObject& c) { return c.core->value_there(); })
      .def("close", [](ChannelObject& c) { c.core->close(); })
      .def("closed", [](ChannelObject& c) { return c.core->closed(); });
  m.def("count_thread", [](bool runs) {
    ClientShell* current = runtime().shell;
    if (counted_thread == runs || !current || current->closed()) return;
    counted_thread = runs;
    current->count_thread(runs ? 1 : -1);
  });
}

}  // namespace eagleray::python
