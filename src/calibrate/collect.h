// What a text shows of all products of an engine.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "calibrate/input_statistics.h"
#include "engine/engine.h"

namespace incipit {

struct CollectOptions {
  std::set<std::string, std::less<>> moments;  // products whose Σ x·xᵀ is wanted
  std::filesystem::path folder;                // for the files of those
  int threads = 0;                             // 0: all
};

/// By the product's name.
struct TextStatistics {
  std::map<std::string, ColumnStatistics, std::less<>> columns;
  std::map<std::string, ConstantPtr, std::less<>> moments;
};

/// Runs the engine over the windows. `advance(tokens)` hears of progress. The same bits on any number of threads.
/// Throws Error as visit_inputs, and where the folder has no room.
TextStatistics collect(const std::shared_ptr<const Engine>& engine, std::span<const std::vector<int32_t>> windows,
                       const CollectOptions& options, const std::function<void(int64_t)>& advance);

}  // namespace incipit
