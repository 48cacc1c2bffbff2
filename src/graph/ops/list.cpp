// Every op, by name. A new op is its file and a line here; primitives are listed in primitives/list.h.
#include "graph/op.h"
#include "graph/ops/activate.h"
#include "graph/ops/add.h"
#include "graph/ops/add_rms_norm.h"
#include "graph/ops/apply_rotary.h"
#include "graph/ops/attention.h"
#include "graph/ops/convert.h"
#include "graph/ops/embedding.h"
#include "graph/ops/expert_linear.h"
#include "graph/ops/gather_rows.h"
#include "graph/ops/if.h"
#include "graph/ops/kv_write.h"
#include "graph/ops/layer_norm.h"
#include "graph/ops/linear.h"
#include "graph/ops/loop.h"
#include "graph/ops/multiply.h"
#include "graph/ops/primitive.h"
#include "graph/ops/quantize_rows.h"
#include "graph/ops/quantized_expert_linear.h"
#include "graph/ops/quantized_linear.h"
#include "graph/ops/rms_norm.h"
#include "graph/ops/rotary.h"
#include "graph/ops/rotary_table.h"
#include "graph/ops/router.h"
#include "graph/ops/scale.h"
#include "graph/ops/scan.h"
#include "graph/ops/slice_columns.h"
#include "graph/ops/soft_cap.h"
#include "graph/ops/weighted_sum.h"
#include "graph/ops/xielu.h"

namespace incipit {
namespace {

struct Entry {
  std::string_view name;
  std::unique_ptr<Op> (*make)();
};

template <typename O>
constexpr Entry entry() {
  return {O::op_name, []() -> std::unique_ptr<Op> { return std::make_unique<O>(); }};
}

constexpr Entry entries[] = {entry<ops::Activate>(),
                             entry<ops::Add>(),
                             entry<ops::AddRmsNorm>(),
                             entry<ops::ApplyRotary>(),
                             entry<ops::Attention>(),
                             entry<ops::Convert>(),
                             entry<ops::Embedding>(),
                             entry<ops::ExpertLinear>(),
                             entry<ops::GatherRows>(),
                             entry<ops::KvWrite>(),
                             entry<ops::LayerNorm>(),
                             entry<ops::Linear>(),
                             entry<ops::Multiply>(),
                             entry<ops::QuantizeRows>(),
                             entry<ops::QuantizedExpertLinear>(),
                             entry<ops::QuantizedLinear>(),
                             entry<ops::RmsNorm>(),
                             entry<ops::Rotary>(),
                             entry<ops::RotaryTable>(),
                             entry<ops::Router>(),
                             entry<ops::Scale>(),
                             entry<ops::SliceColumns>(),
                             entry<ops::SoftCap>(),
                             entry<ops::WeightedSum>(),
                             entry<ops::Xielu>()};

}  // namespace

std::unique_ptr<Op> make_op(std::string_view name) {
  for (const Entry& candidate : entries) {
    if (candidate.name == name) return candidate.make();
  }
  return ops::make_primitive(name);
}

std::span<const std::string_view> body_names(std::string_view op) {
  static constexpr std::string_view branches[] = {"then", "else"}, steps[] = {"body"};
  if (op == ops::If::op_name) return branches;
  if (op == ops::Loop::op_name || op == ops::Scan::op_name) return steps;
  return {};
}

std::unique_ptr<Op> make_op(std::string_view name, std::vector<std::shared_ptr<const Graph>> bodies) {
  if (bodies.empty() || bodies.size() != body_names(name).size()) return nullptr;
  if (name == ops::If::op_name) return std::make_unique<ops::If>(bodies[0], bodies[1]);
  if (name == ops::Loop::op_name) return std::make_unique<ops::Loop>(0, bodies[0]);
  auto scan = std::make_unique<ops::Scan>();
  scan->body = bodies[0];
  return scan;
}

std::vector<std::string_view> op_names() {
  std::vector<std::string_view> names;
  for (const Entry& candidate : entries) names.push_back(candidate.name);
  for (const std::string_view name : ops::primitive_names()) names.push_back(name);
  return names;
}

}  // namespace incipit
