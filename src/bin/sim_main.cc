// eagleray-sim: runs the simulator over seeds, each twice: the traces must be equal. In the build
// `planted` it also tries itself on bugs that are there on purpose.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "sim/cluster_sim.h"
#include "sim/planted_bugs.h"

namespace eagleray {
namespace {

constexpr uint64_t kSeedsForEveryFault = 300;
constexpr uint64_t kSeedsByDefault = 100;
constexpr uint64_t kSeedsForPlanted = 10'000;
constexpr size_t kPlantedFoundMin = 18;
constexpr unsigned kSeedSecondsMax = 60;  // a planted bug may make it run without end

unsigned long long number(uint64_t value) { return value; }

// Prints how often each kind of fault was made; false if one never was, over enough seeds.
bool all_faults_happened(const FaultCounts& faults, uint64_t seeds) {
  bool all = true;
  for (size_t i = 0; i < faults.size(); ++i) {
    std::printf("%10llu  %s\n", number(faults[i]), kFaultNames[i]);
    all &= faults[i] > 0 || seeds < kSeedsForEveryFault;
  }
  if (!all) std::printf("a kind of fault never happened\n");
  return all;
}

int run_seeds(uint64_t first, uint64_t count, bool trace) {
  uint64_t events = 0, tasks = 0, deadlocks = 0, failed = 0;
  FaultCounts faults{};
  for (uint64_t seed = first; seed < first + count; ++seed) {
    const SimOutcome once = ClusterSim({seed, trace}).run();
    const SimOutcome again = ClusterSim({seed, false}).run();
    events += once.events;
    tasks += once.tasks;
    deadlocks += once.deadlocks;
    for (size_t i = 0; i < faults.size(); ++i) faults[i] += once.faults[i];
    const bool same = once.trace_hash == again.trace_hash;
    if (once.failure.empty() && same) continue;
    ++failed;
    std::printf("seed %llu: %s\n", number(seed),
                same ? once.failure.c_str() : "two runs of this seed differ");
  }
  std::printf("%llu seeds, %llu events, %llu tasks, %llu deadlocks: %llu failed\n", number(count),
              number(events), number(tasks), number(deadlocks), number(failed));
  return all_faults_happened(faults, count) && failed == 0 ? 0 : 1;
}

void plant([[maybe_unused]] Planted bug) {
#ifdef EAGLERAY_PLANTED
  planted_bug = bug;
#endif
}

bool plant(std::string_view name) {
  for (const PlantedBug& each : kPlantedBugs) {
    if (name != each.name) continue;
    plant(each.bug);
    return true;
  }
  return false;
}

struct Search {
  uint64_t seed = 0;
  char failure[256] = {};  // empty: not found
};

// In a process of its own, which the bug may end.
void search(const PlantedBug& planted, uint64_t seeds, Search& result) {
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child == 0) {
    plant(planted.bug);
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
      result.seed = seed;
      ::alarm(kSeedSecondsMax);
      const SimOutcome outcome = ClusterSim({seed, false}).run();
      std::strncpy(result.failure, outcome.failure.c_str(), sizeof result.failure - 1);
      if (!outcome.failure.empty()) break;
    }
    ::_exit(0);
  }
  int status = 0;
  if (child > 0) ::waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) std::snprintf(result.failure, sizeof result.failure, "it crashes");
}

int run_planted([[maybe_unused]] uint64_t seeds) {
#ifndef EAGLERAY_PLANTED
  std::fprintf(stderr, "nothing is planted in this build: ./dev sim --planted\n");
  return 2;
#endif
  void* shared =
      ::mmap(nullptr, sizeof(Search), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 2;
  size_t found = 0;
  for (const PlantedBug& each : kPlantedBugs) {
    Search& result = *new (shared) Search;
    search(each, seeds, result);
    const bool hit = result.failure[0] != 0;
    found += hit;
    std::printf("| %s | `%s` | %s | %s |\n", each.what, each.where,
                hit ? std::to_string(result.seed).c_str() : "not found", result.failure);
  }
  std::printf("%zu of %zu planted bugs found within %llu seeds\n", found, kPlantedBugs.size(),
              number(seeds));
  return found >= kPlantedFoundMin ? 0 : 1;
}

int usage() {
  std::fprintf(stderr, "usage: eagleray-sim [--seeds N] [--seed N] [--plant BUG] [--planted]\n");
  return 2;
}

int run(int argc, char** argv) {
  uint64_t first = 1, count = 0;
  bool trace = false;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name(argv[i]);
    if (name == "--planted") return run_planted(count > 0 ? count : kSeedsForPlanted);
    if (i + 1 == argc) return usage();
    if (name == "--seeds") {
      count = std::strtoull(argv[i + 1], nullptr, 10);
    } else if (name == "--seed") {
      first = std::strtoull(argv[i + 1], nullptr, 10);
      count = 1;
      trace = true;
    } else if (name != "--plant" || !plant(argv[i + 1])) {
      return usage();
    }
  }
  return run_seeds(first, count > 0 ? count : kSeedsByDefault, trace);
}

}  // namespace
}  // namespace eagleray

int main(int argc, char** argv) { return eagleray::run(argc, argv); }
