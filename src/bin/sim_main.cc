// eagleray-sim: runs the simulator over seeds. Each seed runs twice; the traces must be equal.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "sim/cluster_sim.h"

int main(int argc, char** argv) {
  using eagleray::ClusterSim;
  uint64_t first = 1, count = 100;
  bool trace = false;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name(argv[i]);
    if (name == "--seeds") {
      count = std::strtoull(argv[i + 1], nullptr, 10);
    } else if (name == "--seed") {
      first = std::strtoull(argv[i + 1], nullptr, 10);
      count = 1;
      trace = true;
    } else {
      std::fprintf(stderr, "usage: eagleray-sim [--seeds N] [--seed N]\n");
      return 2;
    }
  }
  uint64_t events = 0, tasks = 0, kills = 0, failed = 0;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    const eagleray::SimOutcome once = ClusterSim({seed, trace}).run();
    const eagleray::SimOutcome again = ClusterSim({seed, false}).run();
    events += once.events;
    tasks += once.tasks;
    kills += once.kills;
    const bool same = once.trace_hash == again.trace_hash;
    if (once.failure.empty() && same) continue;
    ++failed;
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed),
                same ? once.failure.c_str() : "two runs of this seed differ");
  }
  std::printf("%llu seeds, %llu events, %llu tasks, %llu kills: %llu failed\n",
              static_cast<unsigned long long>(count), static_cast<unsigned long long>(events),
              static_cast<unsigned long long>(tasks), static_cast<unsigned long long>(kills),
              static_cast<unsigned long long>(failed));
  return failed == 0 ? 0 : 1;
}
