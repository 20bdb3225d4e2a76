// The memory monitor's two decisions, as pure functions: when to look again, and which worker ends
// when memory is nearly full. NodeMachine asks them (node_memory.cc).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/memory_use.h"
#include "base/time.h"
#include "config/settings.h"

namespace eagleray {

struct MemoryCandidate {
  uint64_t grown = 0;      // bytes that are its alone, beyond those it began with
  bool retriable = false;  // what it runs can be run again
  Instant began;           // what it runs
};

bool is_over_threshold(const MemoryUse& use, const Settings& settings);

// Whom to end. Only those that have grown by memory_growth_bytes_min and at least a quarter as much
// as the one that grew most count: ending others frees too little to help. Of these a retriable one
// goes first, then the one that grew most, then, where two have grown about the same, the newer.
std::optional<size_t> choose_to_end(std::span<const MemoryCandidate> candidates,
                                    uint64_t grown_min);

// Until the next look: memory_monitor_refresh, less where what is free could be gone by then.
Duration until_next_look(const MemoryUse& use, const Settings& settings);

// "1.5 GiB", "300 MiB", "12 KiB".
std::string bytes_text(uint64_t bytes);

}  // namespace eagleray
