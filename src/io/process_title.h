// The name of this process as `ps` shows it. It is written over the program's arguments, in memory
// that the kernel reads when somebody asks: a memcpy, no system call. Used by one thread, the
// worker's main thread; a title longer than the arguments were is cut.
#pragma once

#include <cstddef>
#include <string_view>

namespace eagleray {

class ProcessTitle {
 public:
  ProcessTitle();  // finds the arguments; where it cannot, set() does nothing
  void set(std::string_view title);

 private:
  char* begin_ = nullptr;
  size_t size_ = 0;
};

}  // namespace eagleray
