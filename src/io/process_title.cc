#include "io/process_title.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

namespace eagleray {
namespace {

constexpr int kArgumentsField = 48;  // of /proc/self/stat, from 1: begin and end of the arguments
constexpr int kFirstField = 3;       // the first behind the name in parentheses

}  // namespace

ProcessTitle::ProcessTitle() {
  std::ifstream file("/proc/self/stat");
  std::stringstream content;
  content << file.rdbuf();
  const std::string line = content.str();
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return;
  std::istringstream fields(line.substr(name_end + 1));
  std::string skipped;
  for (int i = kFirstField; i < kArgumentsField; ++i) fields >> skipped;
  uintptr_t begin = 0;
  uintptr_t end = 0;
  if (!(fields >> begin >> end) || begin == 0 || end <= begin) return;
  begin_ = reinterpret_cast<char*>(begin);
  size_ = end - begin;
}

void ProcessTitle::set(std::string_view title) {
  if (size_ == 0) return;
  const size_t used = std::min(title.size(), size_ - 1);
  std::memcpy(begin_, title.data(), used);
  std::memset(begin_ + used, 0, size_ - used);  // the last byte is 0, or the kernel reads on
}

}  // namespace eagleray
