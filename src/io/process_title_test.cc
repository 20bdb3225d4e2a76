#include "io/process_title.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

namespace eagleray {
namespace {

std::string shown() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string all{std::istreambuf_iterator<char>(file), {}};
  return all.substr(0, all.find('\0'));
}

TEST(ProcessTitle, IsWhatTheKernelShows) {
  ProcessTitle title;
  title.set("ray::f");
  EXPECT_EQ(shown(), "ray::f");
  title.set("r");
  EXPECT_EQ(shown(), "r");
}

TEST(ProcessTitle, IsCutWhereTheArgumentsEnded) {
  ProcessTitle title;
  const std::string endless(1 << 20, 'x');
  title.set(endless);
  const std::string cut = shown();
  EXPECT_FALSE(cut.empty());
  EXPECT_EQ(cut, endless.substr(0, cut.size()));
}

}  // namespace
}  // namespace eagleray
