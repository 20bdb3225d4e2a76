// eagleray-sim: runs the simulator over seeds. Each seed runs twice; the traces must be equal.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "sim/cluster_sim.h"

namespace {

constexpr uint64_t kSeedsForEveryFault = 300;

// Prints how often each kind of fault was made; false if one never was, over enough seeds.
bool all_faults_happened(const eagleray::FaultCounts& faults, uint64_t seeds) {
  bool all = true;
  for (size_t i = 0; i < faults.size(); ++i) {
    std::printf("%10llu  %s\n", static_cast<unsigned long long>(faults[i]),
                eagleray::kFaultNames[i]);
    all &= faults[i] > 0 || seeds < kSeedsForEveryFault;
  }
  if (!all) std::printf("a kind of fault never happened\n");
  return all;
}

}  // namespace

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
  uint64_t events = 0, tasks = 0, deadlocks = 0, failed = 0;
  eagleray::FaultCounts faults{};
  for (uint64_t seed = first; seed < first + count; ++seed) {
    const eagleray::SimOutcome once = ClusterSim({seed, trace}).run();
    const eagleray::SimOutcome again = ClusterSim({seed, false}).run();
    events += once.events;
    tasks += once.tasks;
    deadlocks += once.deadlocks;
    for (size_t i = 0; i < faults.size(); ++i) faults[i] += once.faults[i];
    const bool same = once.trace_hash == again.trace_hash;
    if (once.failure.empty() && same) continue;
    ++failed;
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed),
                same ? once.failure.c_str() : "two runs of this seed differ");
  }
  std::printf("%llu seeds, %llu events, %llu tasks, %llu deadlocks: %llu failed\n",
              static_cast<unsigned long long>(count), static_cast<unsigned long long>(events),
              static_cast<unsigned long long>(tasks), static_cast<unsigned long long>(deadlocks),
              static_cast<unsigned long long>(failed));
  return all_faults_happened(faults, count) && failed == 0 ? 0 : 1;
}
