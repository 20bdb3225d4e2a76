// Rows of the history: what was written is read as it was, and of a file that anybody may have
// written rows are read that are at most nonsense.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "message/task_rows.h"

namespace eagleray {
namespace {

bool same(const TaskRow& a, const TaskRow& b) { return std::memcmp(&a, &b, sizeof a) == 0; }

// Of an honest file. Each row is the one before with some bytes of the input put into it.
void write_and_read(const uint8_t* data, size_t size) {
  std::vector<uint64_t> memory(512);
  const std::span<char> file(reinterpret_cast<char*>(memory.data()), 8 * memory.size());
  new (file.data()) TaskFileHeader;
  TaskRowWriter writer;
  writer.begin(file.data(), file.size());
  writer.name(UINT32_MAX, UINT32_MAX);
  std::vector<TaskRow> rows;
  TaskRow row;
  row.worker = 1;
  while (size >= 2) {
    const size_t at = data[0] % (sizeof row - 1);  // not `reserved`
    const size_t bytes = std::min({size - 2, size_t{data[1]} % 9, sizeof row - 1 - at});
    std::memcpy(reinterpret_cast<char*>(&row) + at, data + 2, bytes);
    data += 2 + bytes;
    size -= 2 + bytes;
    const TaskSpans spans{row.waited, row.queued, row.sent, row.ran, row.answered};
    const bool usual =
        row.worker != 0 && writer.put_usual(row.unique, row.submitted_us, spans, row.argument_bytes,
                                            row.result_bytes, TaskLikes::of(row));
    if (!usual && !writer.put(row)) break;
    rows.push_back(row);
  }
  const TaskRows open({file.data(), file.size()});
  EAGLERAY_CHECK(open.count() == rows.size(), "rows were lost");
  for (uint32_t i = 0; i < open.count(); ++i) {
    EAGLERAY_CHECK(same(open.at(i), rows[i]), "a row of a file has changed");
  }
  const TaskRows closed(TaskRows::close_up(file));
  EAGLERAY_CHECK(closed.count() == rows.size(), "rows were lost when the file was closed up");
  for (uint32_t i = 0; i < closed.count(); ++i) {
    EAGLERAY_CHECK(same(closed.at(i), rows[i]), "a row of a block has changed");
  }
}

void read_nonsense(const uint8_t* data, size_t size) {
  std::vector<uint64_t> memory(size / 8 + 1);
  const std::span<char> file(reinterpret_cast<char*>(memory.data()), size);
  std::memcpy(file.data(), data, size);
  for (int closed = 0; closed < 2; ++closed) {
    const TaskRows rows(closed ? TaskRows::close_up(file)
                               : std::string_view(file.data(), file.size()));
    for (uint32_t i = 0; i < rows.count(); ++i) (void)rows.at(i);
  }
}

}  // namespace
}  // namespace eagleray

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  eagleray::write_and_read(data, size);
  // The beginning of a header that would not be found by chance, then the input.
  std::vector<uint8_t> file(sizeof(eagleray::TaskFileHeader) + size);
  const eagleray::TaskFileHeader header;
  std::memcpy(file.data(), &header, sizeof header);
  if (size > 0) std::memcpy(file.data() + 16, data, size);
  eagleray::read_nonsense(file.data(), file.size());
  eagleray::read_nonsense(data, size);
  return 0;
}
