// read_estate() on what a process left: any bytes, and what EstateWriter wrote (then the reader
// knows what a model knows, and a cut-off write costs that write only).
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "base/check.h"
#include "store/estate.h"

namespace eagleray {
namespace {

using Left = std::map<ObjectId, std::string>;

ObjectId id_of(uint8_t number) {
  ObjectId id;
  id.bytes.fill(number);
  return id;
}

Left written_and_read(const Left& left) {
  uint64_t bytes = 64;
  for (const auto& [id, value] : left) bytes += value.size() + 64;
  std::vector<uint64_t> file(bytes / 8 + 1);  // aligned, as a mapping is
  char* data = reinterpret_cast<char*>(file.data());
  EstateWriter writer;
  writer.begin(data, bytes, nullptr);
  for (const auto& [id, value] : left) {
    EAGLERAY_CHECK(writer.leave(id, value), "there is room");
  }
  return read_estate({data, bytes});
}

void run_hostile(std::string_view file) {
  const Left left = read_estate(file);
  size_t bytes = 0;
  for (const auto& [id, value] : left) bytes += value.size();
  EAGLERAY_CHECK(bytes <= file.size(), "more was read than there is");
  EAGLERAY_CHECK(written_and_read(left) == left, "what was read cannot be written and read again");
}

void run_honest(std::string_view steps) {
  std::vector<std::vector<uint64_t>> files(1);
  files[0].resize(kEstateBytesMin / 8);
  const auto data = [&] { return reinterpret_cast<char*>(files.back().data()); };
  EstateWriter writer;
  writer.begin(data(), kEstateBytesMin, nullptr);
  Left model;
  const auto grow = [&](uint64_t more) {
    const uint64_t bytes = writer.bytes_wanted(more);
    EAGLERAY_CHECK(bytes > 0, "far from the limit");
    files.emplace_back(bytes / 8);
    EstateWriter next;
    next.begin(data(), bytes, &writer);
    writer = std::move(next);
  };
  for (size_t i = 0; i + 2 < steps.size(); i += 3) {
    const ObjectId id = id_of(static_cast<uint8_t>(steps[i + 1] % 32));
    if (steps[i] % 3 == 0) {
      if (!writer.withdraw(id)) {
        grow(0);
        EAGLERAY_CHECK(writer.withdraw(id), "there is room");
      }
      model.erase(id);
    } else if (!writer.holds(id)) {
      const std::string value(static_cast<uint8_t>(steps[i + 2]) * size_t{100}, steps[i]);
      if (!writer.leave(id, value)) {
        grow(value.size());
        EAGLERAY_CHECK(writer.leave(id, value), "there is room");
      }
      model[id] = value;
    }
  }
  const std::string_view file(data(), files.back().size() * 8);
  EAGLERAY_CHECK(read_estate(file) == model, "the file says something else than was written");
  uint64_t end = 0;
  std::memcpy(&end, file.data(), sizeof end);
  std::string cut(file);
  const uint64_t cut_end = end - std::min<uint64_t>(end, steps.size());
  std::memcpy(cut.data(), &cut_end, sizeof cut_end);
  (void)read_estate(cut);
}

}  // namespace
}  // namespace eagleray

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2 == 0) {
    eagleray::run_honest(rest);
  } else {
    eagleray::run_hostile(rest);
  }
  return 0;
}
