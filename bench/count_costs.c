// Preloaded by bench/costs.py: counts what a process asks of the allocator, of locks, of memcpy and of
// the kernel, through the C library's names. `eagleray_costs` gives the sums of all threads so far.
// Calls that the C library makes to itself are not seen.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum { kAllocations, kLocks, kCopiedBytes, kSleeps, kRings, kOtherCalls, kCosts };

static atomic_uint_fast64_t costs[kCosts];

static void count(int which, uint64_t by) {
  atomic_fetch_add_explicit(&costs[which], by, memory_order_relaxed);
}

void eagleray_costs(uint64_t out[kCosts]) {
  for (int i = 0; i < kCosts; ++i) out[i] = atomic_load(&costs[i]);
}

#define REAL(result, name, ...)                            \
  static result (*real)(__VA_ARGS__);                      \
  if (!real) real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

extern void* __libc_malloc(size_t);
extern void* __libc_calloc(size_t, size_t);
extern void* __libc_realloc(void*, size_t);
extern void* __libc_memalign(size_t, size_t);

void* malloc(size_t bytes) {
  count(kAllocations, 1);
  return __libc_malloc(bytes);
}

void* calloc(size_t n, size_t bytes) {
  count(kAllocations, 1);
  return __libc_calloc(n, bytes);
}

void* realloc(void* old, size_t bytes) {
  count(kAllocations, 1);
  return __libc_realloc(old, bytes);
}

void* aligned_alloc(size_t alignment, size_t bytes) {
  count(kAllocations, 1);
  return __libc_memalign(alignment, bytes);
}

int pthread_mutex_lock(pthread_mutex_t* mutex) {
  REAL(int, "pthread_mutex_lock", pthread_mutex_t*);
  count(kLocks, 1);
  return real(mutex);
}

void* memcpy(void* restrict to, const void* restrict from, size_t bytes) {
  count(kCopiedBytes, bytes);
  return memmove(to, from, bytes);
}

int poll(struct pollfd* fds, nfds_t n, int timeout_ms) {
  REAL(int, "poll", struct pollfd*, nfds_t, int);
  count(timeout_ms == 0 ? kOtherCalls : kSleeps, 1);
  return real(fds, n, timeout_ms);
}

int ppoll(struct pollfd* fds, nfds_t n, const struct timespec* timeout, const sigset_t* mask) {
  REAL(int, "ppoll", struct pollfd*, nfds_t, const struct timespec*, const sigset_t*);
  count(kSleeps, 1);
  return real(fds, n, timeout, mask);
}

int epoll_wait(int fd, struct epoll_event* events, int max, int timeout_ms) {
  REAL(int, "epoll_wait", int, struct epoll_event*, int, int);
  count(timeout_ms == 0 ? kOtherCalls : kSleeps, 1);
  return real(fd, events, max, timeout_ms);
}

ssize_t write(int fd, const void* data, size_t bytes) {
  REAL(ssize_t, "write", int, const void*, size_t);
  count(bytes == 8 ? kRings : kOtherCalls, 1);  // an eventfd takes 8 bytes
  return real(fd, data, bytes);
}

ssize_t read(int fd, void* data, size_t bytes) {
  REAL(ssize_t, "read", int, void*, size_t);
  count(kOtherCalls, 1);
  return real(fd, data, bytes);
}

ssize_t sendmsg(int fd, const struct msghdr* message, int flags) {
  REAL(ssize_t, "sendmsg", int, const struct msghdr*, int);
  count(kOtherCalls, 1);
  return real(fd, message, flags);
}

ssize_t recvmsg(int fd, struct msghdr* message, int flags) {
  REAL(ssize_t, "recvmsg", int, struct msghdr*, int);
  count(kOtherCalls, 1);
  return real(fd, message, flags);
}

int sched_yield(void) {
  REAL(int, "sched_yield", void);
  count(kOtherCalls, 1);
  return real();
}

void* mmap(void* at, size_t bytes, int protection, int flags, int fd, off_t offset) {
  REAL(void*, "mmap", void*, size_t, int, int, int, off_t);
  count(kOtherCalls, 1);
  return real(at, bytes, protection, flags, fd, offset);
}

// Channels sleep and wake by futexes; the C library's own locks do not come this way.
long syscall(long number, ...) {
  REAL(long, "syscall", long, ...);
  va_list list;
  va_start(list, number);
  long a[6];
  for (int i = 0; i < 6; ++i) a[i] = va_arg(list, long);
  va_end(list);
  const int operation = number == SYS_futex ? (int)a[1] & FUTEX_CMD_MASK : -1;
  count(operation == FUTEX_WAKE ? kRings : operation == FUTEX_WAIT_BITSET ? kSleeps : kOtherCalls, 1);
  return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
