// RingReader under a producer that follows the protocol (then what comes out is what was put in, in
// order), and under one that writes into the shared memory whatever it likes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <string>

#include "base/check.h"
#include "store/fuzz_input.h"
#include "store/ring.h"

namespace eagleray {
namespace {

constexpr size_t kRingAndHeader = kRingHeaderBytes + kRingBytes;

// One ring; its data ends where the allocation ends, so that a read beyond it is seen.
struct Memory {
  std::unique_ptr<char, void (*)(void*)> bytes{
      static_cast<char*>(std::aligned_alloc(64, kRingAndHeader)), std::free};
  RingHeader* header = new (bytes.get()) RingHeader;
  char* data = bytes.get() + kRingHeaderBytes;
};

// Alike to no other record of nearly the same length, so that a mix-up is seen.
std::string body_of(size_t bytes, uint8_t seed) {
  std::string body(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) body[i] = static_cast<char>(seed + i * 7 + (i >> 8));
  return body;
}

void run_honest(Input in, Memory& memory) {
  RingWriter writer(memory.header, memory.data);
  RingReader reader(memory.header, memory.data);
  std::deque<std::string> expected;
  std::string unfinished;  // its first fragments are written
  bool writing = false;
  const auto read = [&] {
    const Result<RingReader::Record> record = reader.next();
    EAGLERAY_CHECK(record.ok(), "an honest producer is called corrupt");
    if (!record.value().found) return false;
    EAGLERAY_CHECK(!expected.empty(), "a record came out that was not put in");
    EAGLERAY_CHECK(record.value().body == expected.front(), "a record came out changed");
    expected.pop_front();
    reader.consume();
    return true;
  };
  const auto write = [&] {
    writing = !writer.write(unfinished);
    if (!writing) expected.push_back(unfinished);
  };
  while (!in.empty()) {
    const auto step = in.take<uint8_t>();
    if (step % 4 == 3) {
      read();
    } else if (writing) {
      write();
    } else {
      const size_t bytes = step % 4 == 0   ? in.take<uint8_t>()
                           : step % 4 == 1 ? in.take<uint16_t>()
                                           : size_t{in.take<uint16_t>()} * 12;
      unfinished = body_of(bytes, step);
      write();
    }
  }
  while (writing || !expected.empty()) {
    const bool wrote = writing;
    const bool read_one = read();
    if (writing) write();
    EAGLERAY_CHECK(read_one || wrote, "a record that was put in is lost");
  }
}

void run_hostile(Input in, Memory& memory) {
  RingReader reader(memory.header, memory.data);
  while (!in.empty()) {
    const auto step = in.take<uint8_t>();
    switch (step % 4) {
      case 0: memory.header->head.store(in.take<uint64_t>()); break;
      case 1: memory.header->head.fetch_add(in.take<uint32_t>()); break;
      case 2: {
        const size_t at = in.take<uint32_t>() % (kRingBytes - 7);
        const auto value = in.take<uint64_t>();
        std::memcpy(memory.data + at, &value, sizeof value);
        break;
      }
      default: {
        const Result<RingReader::Record> record = reader.next();
        if (!record.ok()) return;  // the peer is lost
        if (!record.value().found) break;
        EAGLERAY_CHECK(record.value().body.size() <= kRecordBytesMax, "a record over the limit");
        volatile char sum = 0;
        for (char byte : record.value().body) sum = static_cast<char>(sum + byte);
        reader.consume();
      }
    }
  }
}

}  // namespace
}  // namespace eagleray

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  eagleray::Input in(data, size);
  eagleray::Memory memory;
  if (in.take<uint8_t>() % 2 == 0) {
    eagleray::run_honest(in, memory);
  } else {
    eagleray::run_hostile(in, memory);
  }
  return 0;
}
