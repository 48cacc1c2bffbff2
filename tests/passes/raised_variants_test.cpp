// What passes raise, in random variants: none becomes an error or another value, and what is plain is raised.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "graph/text_form.h"
#include "passes/pass.h"
#include "raised_variants.h"
#include "support/sanitized.h"

namespace incipit {
namespace {

std::vector<Tensor> run(const Graph& graph, const std::vector<Tensor>& inputs) {
  std::vector<const Tensor*> pointers;
  for (const Tensor& input : inputs) pointers.push_back(&input);
  ReferenceCache cache;
  return interpret(graph, pointers, cache);
}

std::vector<double> numbers_of(const Tensor& tensor) {
  if (tensor.dtype() == DType::f64) return {tensor.as<double>().begin(), tensor.as<double>().end()};
  std::vector<float> floats(static_cast<size_t>(tensor.elements()));
  convert_to_float(tensor.dtype(), tensor.data(), floats.data(), floats.size());
  return {floats.begin(), floats.end()};
}

/// Of what a graph rounds to anywhere: raised forms round at other places.
double coarsest_epsilon(const Graph& graph) {
  double epsilon = 0x1p-24;
  const auto see = [&](DType dtype) {
    if (dtype == DType::f16) epsilon = std::max(epsilon, 0x1p-11);
    if (dtype == DType::bf16) epsilon = std::max(epsilon, 0x1p-8);
  };
  for (const ValueId input : graph.inputs()) see(graph.value(input).type.dtype);
  for (const ValueId constant : graph.constants()) see(graph.value(constant).type.dtype);
  for (const NodeId n : graph.order()) {
    for (const ValueId output : graph.node(n).outputs) see(graph.value(output).type.dtype);
  }
  return epsilon;
}

/// In units of the largest wanted, at least 1; infinite where one is no number and the other is.
double deviation(const Tensor& made, const Tensor& wanted) {
  if (made.dtype() != wanted.dtype() || made.shape() != wanted.shape()) return std::numeric_limits<double>::infinity();
  const std::vector<double> ours = numbers_of(made), theirs = numbers_of(wanted);
  double largest = 1, worst = 0;
  for (size_t i = 0; i < theirs.size(); ++i) {
    if (ours[i] == theirs[i] || (std::isnan(ours[i]) && std::isnan(theirs[i]))) continue;
    if (!std::isfinite(ours[i]) || !std::isfinite(theirs[i])) return std::numeric_limits<double>::infinity();
    largest = std::max(largest, std::abs(theirs[i]));
    worst = std::max(worst, std::abs(ours[i] - theirs[i]));
  }
  return worst / largest;
}

struct Count {
  int graphs = 0, raised = 0;
};

/// Draws graphs, and compares what each computes before and after the passes. `raised`: what becomes of a plain one.
Count check(void (*spell)(Variant&), std::string_view raised) {
  Count count;
  for (uint32_t seed = 0; seed < (sanitized ? 80U : 1000U); ++seed) {
    Variant variant(seed);
    std::vector<Tensor> inputs, wanted;
    try {
      spell(variant);
      inputs = variant.tensors();
      wanted = run(variant.graph, inputs);
    } catch (const Error&) {
      continue;  // no graph, or none for these extents
    }
    ++count.graphs;
    const std::string text = to_text(variant.graph);
    SCOPED_TRACE("seed " + std::to_string(seed) + "\n" + text);
    try {
      Graph graph = variant.graph.clone();
      for (const PassReport& report : run_passes(graph, {})) {
        EXPECT_TRUE(report.note.empty() || report.name == "pack_tokens") << report.name << ": " << report.note;
      }
      const bool is_raised = std::any_of(graph.order().begin(), graph.order().end(),
                                         [&](NodeId n) { return graph.node(n).op->name() == raised; });
      if (is_raised) ++count.raised;
      const std::vector<Tensor> made = run(graph, inputs);
      for (size_t i = 0; i < wanted.size(); ++i) {
        EXPECT_LE(deviation(made[i], wanted[i]), 64 * coarsest_epsilon(variant.graph)) << to_text(graph);
      }
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
    }
    if (testing::Test::HasFailure()) return count;
  }
  return count;
}

void expect_raised(const Count& count, double share) {
  EXPECT_GE(count.graphs, sanitized ? 16 : 200);
  EXPECT_GE(count.raised, share * count.graphs) << "of " << count.graphs;
}

TEST(RaisedVariants, Attention) { expect_raised(check(spell_attention, "Sdpa"), 0.03); }
TEST(RaisedVariants, Rotations) { expect_raised(check(spell_rotation, "RotaryEmbedding"), 0.3); }
TEST(RaisedVariants, Norms) {
  expect_raised(check(spell_norm, "LayerNorm"), 0.1);
  expect_raised(check(spell_norm, "RmsNorm"), 0.1);
}
TEST(RaisedVariants, Activations) { expect_raised(check(spell_activation, "Activate"), 0.2); }
TEST(RaisedVariants, Rows) { expect_raised(check(spell_rows, "Linear"), 0.3); }

}  // namespace
}  // namespace incipit
