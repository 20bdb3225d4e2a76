// What the machine allows: the floor under a call, without Python, messages or machines. Two
// processes on two cores pass a record of 64 bytes back and forth over a link's rings, once while
// both look all the time and once sleeping on an eventfd between records; and one writes and reads
// alone. Prints nanoseconds, of round trips the median.
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "store/ring.h"

namespace {

using eagleray::kLinkBytes;
using eagleray::LinkEnds;

constexpr int kRounds = 20'000;

double now_ns() {
  return static_cast<double>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                 std::chrono::steady_clock::now().time_since_epoch())
                                 .count());
}

struct Peer {
  LinkEnds ends;
  int own_bell = -1;  // -1: look all the time
  int other_bell = -1;

  void receive() {
    for (;;) {
      const auto record = ends.reader.next();
      if (!record.ok()) std::abort();
      if (record.value().found) break;
      if (own_bell < 0) continue;
      pollfd bell{own_bell, POLLIN, 0};
      (void)::poll(&bell, 1, -1);
      uint64_t count = 0;
      (void)!::read(own_bell, &count, sizeof count);
    }
    ends.reader.consume();
  }
  void send(const std::string& body) {
    if (!ends.writer.write(body)) std::abort();
    const uint64_t one = 1;
    if (other_bell >= 0) (void)!::write(other_bell, &one, sizeof one);
  }
};

double round_trip_ns(char* link, int first_bell, int second_bell) {
  const std::string body(64, 'x');
  const pid_t child = ::fork();
  if (child == 0) {
    Peer peer{eagleray::link_ends(link, false), second_bell, first_bell};
    for (int i = 0; i < kRounds; ++i) {
      peer.receive();
      peer.send(body);
    }
    ::_exit(0);
  }
  Peer peer{eagleray::link_ends(link, true), first_bell, second_bell};
  std::vector<double> spent;
  for (int i = 0; i < kRounds; ++i) {
    const double start = now_ns();
    peer.send(body);
    peer.receive();
    spent.push_back(now_ns() - start);
  }
  ::waitpid(child, nullptr, 0);
  std::nth_element(spent.begin(), spent.begin() + kRounds / 2, spent.end());
  return spent[kRounds / 2];
}

char* make_link() {
  void* memory =
      ::mmap(nullptr, kLinkBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  return static_cast<char*>(memory);
}

}  // namespace

int main() {
  char* both = make_link();
  LinkEnds writer = eagleray::link_ends(both, true), reader = eagleray::link_ends(both, false);
  const std::string body(64, 'x');
  const double start = now_ns();
  for (int i = 0; i < kRounds; ++i) {
    if (!writer.writer.write(body) || !reader.reader.next().ok()) return 1;
    reader.reader.consume();
  }
  std::printf("record written and read by one thread   %8.0f ns\n", (now_ns() - start) / kRounds);
  std::printf("round trip, both sides awake            %8.0f ns\n",
              round_trip_ns(make_link(), -1, -1));
  std::printf("round trip, both sides sleep between    %8.0f ns\n",
              round_trip_ns(make_link(), ::eventfd(0, 0), ::eventfd(0, 0)));
  return 0;
}
