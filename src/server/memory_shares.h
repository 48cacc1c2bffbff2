// How engines that are served together share a machine's memory.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/engine.h"

namespace incipit {

/// What an engine takes.
struct MemoryNeed {
  int64_t fixed = 0;         // weights and buffers
  int64_t cache = 0;         // bytes of cache that every slot at full context takes
  int64_t least_cache = 0;   // that one sequence does
  bool on_processor = true;  // else in a device's memory, which refuses what it has no room for
};

/// Bytes of cache for each engine, `for_caches` in all (0: what they would take, as far as the machine's memory goes):
/// what one sequence takes, and of the rest in proportion to what each could use. Throws Error in one line where one
/// sequence each is more than that, or caches and engines are more than `machine` has.
std::vector<int64_t> share_memory(std::span<const MemoryNeed> needs, int64_t for_caches, int64_t machine);

/// The same for these engines; 0: what an engine can use.
std::vector<int64_t> share_caches(std::span<const std::shared_ptr<const Engine>> engines, int64_t for_caches,
                                  int64_t machine);

}  // namespace incipit
