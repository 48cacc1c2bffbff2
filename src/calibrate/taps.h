// Runs an engine over a text and shows what each of its products reads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "calibrate/input_statistics.h"
#include "engine/engine.h"

namespace incipit {

/// A product of an engine.
struct TappedProduct {
  std::string name;  // its weight's, without ".weight"
  int64_t width;     // of what it reads
};

/// Products with a weight of their own, experts aside, in the order in which they run. Those that read the same rows
/// stand behind one another.
std::vector<TappedProduct> tapped_products(const Engine& engine);

/// Hears the rows that product `index` of tapped_products reads in a step.
using InputVisitor = std::function<void(size_t index, const InputRows& rows)>;

/// Every token of every window, from the window's beginning. `advance(tokens)` hears of progress. Throws Error as
/// visit_logits does.
void visit_inputs(const std::shared_ptr<const Engine>& engine, int threads,
                  std::span<const std::vector<int32_t>> windows, const InputVisitor& visit,
                  const std::function<void(int64_t)>& advance);

}  // namespace incipit
