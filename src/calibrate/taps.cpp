#include "calibrate/taps.h"

#include <map>
#include <optional>
#include <utility>

#include "engine/plan_items.h"
#include "runtime/executor.h"
#include "session/evaluate.h"
#include "session/session.h"

namespace incipit {
namespace {

constexpr std::string_view weight_ending = ".weight";

/// Products by the step that writes what they read.
struct Tap {
  TappedProduct product;
  std::string_view writer, buffer;  // the plan's
};

/// The weight that a product multiplies its first input with; null where the step is none.
const plan::Weight* weight_of_product(const plan::Plan& plan, const plan::Step& step) {
  if (!text(step.problem()).starts_with("linear ") && !text(step.problem()).starts_with("linear(")) return nullptr;
  const plan::Operand& rows = *step.inputs()->Get(0);
  if (rows.space() != plan::Space::buffer) return nullptr;
  for (const plan::Operand* input : items(step.inputs())) {
    if (input->space() == plan::Space::weight) return plan.weights()->Get(input->index());
  }
  return nullptr;
}

std::vector<Tap> find_taps(const plan::Plan& plan) {
  std::vector<Tap> taps;
  std::map<uint32_t, std::string_view> last_writer;  // of buffers
  for (const plan::Step* step : items(plan.steps())) {
    if (const plan::Weight* weight = weight_of_product(plan, *step)) {
      const plan::Operand& rows = *step->inputs()->Get(0);
      std::string_view name = text(weight->name());
      if (name.ends_with(weight_ending)) name.remove_suffix(weight_ending.size());
      const plan::Buffer& buffer = *plan.buffers()->Get(rows.index());
      taps.push_back({{std::string(name), static_cast<int64_t>(buffer.width())},
                      last_writer.at(rows.index()),
                      text(buffer.name())});
    }
    for (const plan::Operand* output : items(step->outputs())) last_writer[output->index()] = text(step->name());
  }
  return taps;
}

}  // namespace

std::vector<TappedProduct> tapped_products(const Engine& engine) {
  std::vector<TappedProduct> products;
  for (Tap& tap : find_taps(engine.plan())) products.push_back(std::move(tap.product));
  return products;
}

void visit_inputs(const std::shared_ptr<const Engine>& engine, int threads,
                  std::span<const std::vector<int32_t>> windows, const InputVisitor& visit,
                  const std::function<void(int64_t)>& advance) {
  std::multimap<std::pair<std::string_view, std::string_view>, size_t> taps;
  const std::vector<Tap> found = find_taps(engine->plan());
  for (size_t i = 0; i < found.size(); ++i) taps.emplace(std::pair(found[i].writer, found[i].buffer), i);
  std::vector<float> floats;
  SessionOptions options;
  options.threads = threads;
  options.prefix_cache = false;
  options.executor.observe = [&](const ObservedBuffer& shown) {
    const auto [first, last] = taps.equal_range({shown.step, shown.name});
    if (first == last || shown.rows == 0) return;
    InputRows rows{reinterpret_cast<const float*>(shown.data), shown.rows, shown.width, shown.stride};
    if (shown.dtype != DType::f32) {
      floats.resize(static_cast<size_t>(shown.rows * shown.stride));
      convert_to_float(shown.dtype, shown.data, floats.data(), floats.size());
      rows.values = floats.data();
    }
    for (auto at = first; at != last; ++at) visit(at->second, rows);
  };
  Session session(engine, options);
  visit_logits(session.executor(), windows, [&](size_t, size_t, std::span<const float>) { advance(1); });
}

}  // namespace incipit
