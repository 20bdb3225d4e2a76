#include "io/memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace eagleray {
namespace {

// A machine made of files.
class MemoryReaderTest : public testing::Test {
 protected:
  MemoryReaderTest() {
    char name[] = "/tmp/eagleray-memory-XXXXXX";
    root_ = ::mkdtemp(name);
    file("/proc/meminfo", "MemTotal:  1000 kB\nMemFree: 100 kB\nMemAvailable:  600 kB\n");
  }
  ~MemoryReaderTest() override { std::filesystem::remove_all(root_); }
  void file(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  MemoryUse read() { return MemoryReader(root_).read(); }

  std::string root_;
};

TEST_F(MemoryReaderTest, a_machine_without_cgroups) {
  file("/proc/vmstat", "pgfault 77\noom_kill 3\n");
  const MemoryUse use = read();
  EXPECT_EQ(use.limit, 1000u << 10);
  EXPECT_EQ(use.used, 400u << 10);
  EXPECT_EQ(use.where, "the machine");
  EXPECT_EQ(MemoryReader(root_).kernel_kills(), 3u);
}

TEST_F(MemoryReaderTest, version_2_counts_no_file_cache) {
  file("/proc/self/cgroup", "0::/pod/box\n");
  file("/sys/fs/cgroup/pod/box/memory.max", "500000\n");
  file("/sys/fs/cgroup/pod/box/memory.current", "450000\n");
  file("/sys/fs/cgroup/pod/box/memory.stat", "anon 1\ninactive_file 20000\nactive_file 10000\n");
  file("/sys/fs/cgroup/pod/box/memory.events", "low 0\noom 9\noom_kill 2\n");
  const MemoryUse use = read();
  EXPECT_EQ(use.limit, 500'000u);
  EXPECT_EQ(use.used, 420'000u);
  EXPECT_EQ(use.where, "the cgroup /pod/box");
  EXPECT_EQ(MemoryReader(root_).kernel_kills(), 2u);
}

TEST_F(MemoryReaderTest, a_parents_limit_counts_too) {
  file("/proc/self/cgroup", "0::/pod/box\n");
  file("/sys/fs/cgroup/pod/box/memory.max", "max\n");
  file("/sys/fs/cgroup/pod/memory.max", "300000\n");
  file("/sys/fs/cgroup/pod/memory.current", "250000\n");
  EXPECT_EQ(read().where, "the cgroup /pod");
  EXPECT_EQ(read().room(), 50'000u);
}

TEST_F(MemoryReaderTest, version_1_and_a_path_that_is_not_mounted) {
  file("/proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n");
  file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "500000\n");
  file("/sys/fs/cgroup/memory/memory.usage_in_bytes", "100000\n");
  file("/sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 60000\n");
  file("/sys/fs/cgroup/memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n");
  const MemoryUse use = read();
  EXPECT_EQ(use.where, "the cgroup /");
  EXPECT_EQ(use.used, 40'000u);
  EXPECT_EQ(MemoryReader(root_).kernel_kills(), 4u);
}

TEST_F(MemoryReaderTest, version_1_says_no_limit_with_a_large_number) {
  file("/proc/self/cgroup", "4:memory:/\n");
  file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(read().where, "the machine");
}

TEST(Memory, this_process_has_some) {
  EXPECT_GT(private_bytes_of(::getpid()), 64u << 10);
  EXPECT_EQ(private_bytes_of(0x7FFFFFFF), 0u);
  const auto top = largest_processes(3);
  ASSERT_FALSE(top.empty());
  EXPECT_GE(top.front().bytes, top.back().bytes);
  EXPECT_FALSE(top.front().command.empty());
  EXPECT_GT(MemoryReader().read().limit, 1u << 20);
}

}  // namespace
}  // namespace eagleray
