#include "io/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cstring>

namespace eagleray {

void Fd::reset() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

Result<Fd> Fd::duplicate() const {
  const int copy = ::fcntl(fd_, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return system_error("duplicate descriptor", errno);
  return Fd(copy);
}

Result<Fd> make_eventfd() {
  const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) return system_error("eventfd", errno);
  return Fd(fd);
}

void ring_eventfd(int fd) {
  const uint64_t one = 1;
  // A full counter (EAGAIN) means that it rings already.
  [[maybe_unused]] const ssize_t n = ::write(fd, &one, sizeof one);
}

void clear_eventfd(int fd) {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t n = ::read(fd, &count, sizeof count);
}

Result<Fd> make_memfd(const char* name, uint64_t bytes, MemorySize size) {
  Fd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return system_error("memfd_create", errno);
  if (::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) {
    return system_error("size of shared memory", errno);
  }
  const int against_growing = size == MemorySize::kFixed ? F_SEAL_GROW : 0;
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | against_growing | F_SEAL_SEAL) != 0) {
    return system_error("seal shared memory", errno);
  }
  return fd;
}

Result<Ok> grow(int fd, uint64_t bytes) {
  if (::ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
    return system_error("grow shared memory", errno);
  }
  return Ok{};
}

void discard(int fd, uint64_t at, uint64_t bytes) {
  // Only costs memory where it fails.
  [[maybe_unused]] const int done = ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                                static_cast<off_t>(at), static_cast<off_t>(bytes));
}

void discard(char* data, uint64_t bytes) {
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<uintptr_t>(data) + page - 1) / page * page;
  const auto end = (reinterpret_cast<uintptr_t>(data) + bytes) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_REMOVE);
}

Result<Fd> open_of_process(int pid, int fd) {
  const std::string path = "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(fd);
  Fd opened(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!opened.valid())
    return system_error("open shared memory of process " + std::to_string(pid), errno);
  return opened;
}

Result<Ok> check_shared_memory(int fd, uint64_t bytes) {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
    return Error{ErrorCode::kCorrupt, "a descriptor that is no sealed memory"};
  }
  const Result<uint64_t> size = size_of(fd);
  if (!size.ok()) return size.error();
  if (size.value() < bytes) return Error{ErrorCode::kCorrupt, "shared memory that is too small"};
  return Ok{};
}

namespace {
std::string path_of(int fd) { return "/proc/self/fd/" + std::to_string(fd); }
}  // namespace

Result<Ok> check_eventfd(int fd) {
  char target[64];
  const ssize_t n = ::readlink(path_of(fd).c_str(), target, sizeof target);
  if (n < 0 || std::string_view(target, static_cast<size_t>(n)) != "anon_inode:[eventfd]") {
    return Error{ErrorCode::kCorrupt, "a descriptor that is no eventfd"};
  }
  return Ok{};
}

Result<Fd> read_only(int fd) {
  Fd copy(::open(path_of(fd).c_str(), O_RDONLY | O_CLOEXEC));
  if (!copy.valid()) return system_error("open shared memory for reading", errno);
  return copy;
}

Result<Mapping> Mapping::map(int fd, uint64_t bytes, Access access, uint64_t offset) {
  const int protection = access == Access::kRead ? PROT_READ : PROT_READ | PROT_WRITE;
  void* at = ::mmap(nullptr, bytes, protection, MAP_SHARED, fd, static_cast<off_t>(offset));
  if (at == MAP_FAILED) return system_error("map shared memory", errno);
  Mapping mapping;
  mapping.data_ = static_cast<char*>(at);
  mapping.size_ = bytes;
  return mapping;
}

Result<Ok> Mapping::make_private(uint64_t bytes) {
  void* copy = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (copy == MAP_FAILED) return system_error("copy shared memory", errno);
  std::memcpy(copy, data_, bytes);
  if (::mprotect(copy, size_, PROT_READ) != 0 ||
      ::mremap(copy, size_, size_, MREMAP_MAYMOVE | MREMAP_FIXED, data_) == MAP_FAILED) {
    const int reason = errno;
    ::munmap(copy, size_);
    return system_error("copy shared memory", reason);
  }
  return Ok{};
}

Mapping::~Mapping() {
  if (data_) ::munmap(data_, size_);
}

Result<Ok> populate(char* data, uint64_t bytes) {
  constexpr int kPopulateWrite = 23;  // MADV_POPULATE_WRITE, newer than some C libraries
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t begin = reinterpret_cast<uintptr_t>(data) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + bytes + page - 1) / page * page;
  while (::madvise(reinterpret_cast<void*>(begin), end - begin, kPopulateWrite) != 0) {
    if (errno == EINTR || errno == EAGAIN) continue;
    if (errno == EINVAL) return Ok{};
    return system_error("bring shared memory in", errno == EFAULT ? ENOMEM : errno);
  }
  return Ok{};
}

Result<uint64_t> size_of(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return system_error("size of descriptor", errno);
  return static_cast<uint64_t>(info.st_size);
}

Instant monotonic_now() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return Instant{static_cast<int64_t>(t.tv_sec) * 1'000'000 + t.tv_nsec / 1000};
}

}  // namespace eagleray
