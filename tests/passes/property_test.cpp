// Whatever passes are on, a graph computes the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>

#include "acting_passes.h"
#include "graph/ops/embedding.h"
#include "graph/ops/linear.h"
#include "graph/summary.h"
#include "graph/text_form.h"
#include "passes/pass.h"
#include "quant/format.h"
#include "support/sanitized.h"
#include "tiny_decoder.h"

namespace incipit {
namespace {

constexpr float epsilon = std::numeric_limits<float>::epsilon();

std::set<std::string> pass_names() {
  std::set<std::string> names;
  for (const Pass& pass : passes()) names.emplace(pass.name);
  return names;
}

std::vector<std::string> all_but(const std::string& name) {
  std::set<std::string> names = pass_names();
  names.erase(name);
  return {names.begin(), names.end()};
}

/// `count` relatives of Llama and one of each other architecture.
std::vector<TinyDecoder> decoders(int count) {
  std::vector<TinyDecoder> all = tiny_decoders(count);
  for (TinyDecoder& g : tiny_architectures()) all.push_back(std::move(g));
  return all;
}

double largest(const std::vector<float>& values) {
  double found = 0;
  for (const float value : values) found = std::max(found, std::fabs(static_cast<double>(value)));
  return found;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double found = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    found = std::max(found, std::fabs(static_cast<double>(a[i]) - b[i]));
  }
  return found;
}

/// The references sum in double, so an f32 pass changes a result only where it moves a rounding to f32. Each op of a
/// layer (12 of them, 4 after fusion) rounds once, norms keep relative errors as they are, and a layer's weights (of
/// unit gain) amplify them by a small factor; 8 of it a layer is generous, and far below any real mistake.
double tolerance(const TinyDecoder& g, const std::vector<float>& logits) {
  return 12 * epsilon * std::pow(8.0, static_cast<double>(g.layers)) * largest(logits);
}

struct Prompt {
  std::vector<int32_t> ids, rows;
};

Prompt prompt_for(const TinyDecoder& g) {
  std::mt19937 random(static_cast<uint32_t>(g.seed));
  Prompt prompt;
  for (int i = 0; i < 9; ++i)
    prompt.ids.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(g.vocabulary)));
  for (int32_t row = 0; row < 9; ++row) {
    if (row == 8 || random() % 3 == 0) prompt.rows.push_back(row);
  }
  return prompt;
}

std::vector<float> run(const Graph& graph, const Prompt& prompt, int64_t chunk = 0) {
  return logits_of(graph, prompt.ids, prompt.rows, chunk);
}

TEST(Passes, ChangeNoResultInAnyCombination) {
  for (const TinyDecoder& g : decoders(sanitized ? 2 : 24)) {
    SCOPED_TRACE(g.text());
    const Graph graph = tiny_decoder(g);
    const Prompt prompt = prompt_for(g);
    const std::vector<float> expected = run(graph, prompt);
    const double allowed = tolerance(g, expected);
    ASSERT_GT(largest(expected), 0);
    ASSERT_LT(allowed, 0.01 * largest(expected));  // else the test would say nothing
    EXPECT_LE(largest_difference(run(graph, prompt, 4), expected), allowed);
    const std::set<std::string> acting = acting_passes(graph);
    const auto check = [&](std::vector<std::string> without, const std::string& what) {
      SCOPED_TRACE(what);
      Graph changed = graph.clone();
      PassOptions options;
      options.without = std::move(without);
      run_passes(changed, options);
      if (same_graph(changed, graph)) return;
      EXPECT_LE(largest_difference(run(changed, prompt), expected), allowed);
      EXPECT_LE(largest_difference(run(changed, prompt, 4), expected), allowed);
    };
    check({}, "all on");
    size_t turn = static_cast<size_t>(g.seed);
    for (const std::string& name : pass_names()) {
      if (sanitized && ++turn % 6 != 0) continue;
      if (acting.contains(name)) check({name}, name + " off");
      check(all_but(name), name + " alone");
    }
    // Random subsets.
    std::mt19937 random(static_cast<uint32_t>(g.seed) + 100);
    for (int i = 0; i < (sanitized ? 1 : 4); ++i) {
      std::vector<std::string> without;
      for (const std::string& name : pass_names()) {
        if (random() % 2 == 0) without.push_back(name);
      }
      check(without, "subset " + std::to_string(i));
    }
  }
}

TEST(Passes, AreIdempotent) {
  for (const TinyDecoder& g : decoders(sanitized ? 2 : 8)) {
    Graph graph = tiny_decoder(g);
    run_passes(graph, {});
    const std::string text = to_text(graph);
    run_passes(graph, {});
    EXPECT_EQ(to_text(graph), text) << g.text();
  }
}

// In a lower precision the result is near the exact one: an end-to-end sanity bound, not a rounding analysis. The
// references of the quantised ops are exact, so only the formats' own errors (2⁻⁸ relative a bf16 value, 2⁻¹¹ an f16
// weight, 1/254 of the largest of a row for int8) show.
TEST(Passes, LowerPrecisionsStayNear) {
  for (const TinyDecoder& g : decoders(sanitized ? 1 : 24)) {
    SCOPED_TRACE(g.text());
    const Graph graph = tiny_decoder(g);
    const Prompt prompt = prompt_for(g);
    const std::vector<float> expected = run(graph, prompt);
    for (const auto& [precision, relative] :
         {std::pair<const char*, double>{"bf16", 0.06}, {"fp16", 0.006}, {"int8", 0.12}}) {
      SCOPED_TRACE(precision);
      Graph changed = graph.clone();
      PassOptions options;
      options.precision = precision;
      run_passes(changed, options);
      const std::vector<float> logits = run(changed, prompt);
      double squares = 0, errors = 0;
      for (size_t i = 0; i < logits.size(); ++i) {
        squares += static_cast<double>(expected[i]) * expected[i];
        errors += std::pow(static_cast<double>(logits[i]) - expected[i], 2);
      }
      EXPECT_LE(std::sqrt(errors / squares), relative * static_cast<double>(g.layers));
      // Conversions may move, never change what is computed: the same roundings at the same places, but for the query.
      Graph apart = graph.clone();
      options.without = {"fuse_conversions"};
      run_passes(apart, options);
      EXPECT_LE(largest_difference(run(apart, prompt), logits), 0.1 * largest(expected));
      // Nor does it matter where rows are quantised.
      Graph before = graph.clone();
      options.without = {"fuse_quantization"};
      run_passes(before, options);
      EXPECT_EQ(run(before, prompt), logits);
      // And a chunked run computes the same as a whole one, exactly: every op is row-wise.
      EXPECT_EQ(run(changed, prompt, 4), logits);
    }
  }
}

TEST(Passes, ATiedTableStaysOneConstant) {
  for (const char* precision : {"f32", "bf16", "fp16"}) {
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
      TinyDecoder g;
      g.tied = true;
      g.dtype = dtype;
      Graph graph = tiny_decoder(g);
      PassOptions options;
      options.precision = precision;
      run_passes(graph, options);
      ValueId table = none, head = none;
      for (const NodeId n : graph.order()) {
        if (graph.op_as<ops::Embedding>(n)) table = graph.node(n).inputs[1];
        if (graph.op_as<ops::Linear>(n) && graph.is_output(graph.node(n).outputs[0])) head = graph.node(n).inputs[1];
      }
      EXPECT_NE(table, none);
      EXPECT_EQ(table, head);
      EXPECT_EQ(graph.value(table).type.dtype, weight_format(precision).format.codes);
    }
  }
}

TEST(Passes, KeepTheNumberOfParameters) {
  for (const TinyDecoder& g : tiny_decoders(12)) {
    Graph graph = tiny_decoder(g);
    int64_t gains = 0;  // that fold_norm_gain takes in
    for (const ValueId id : graph.constants()) {
      const std::string& name = graph.value(id).name;
      if (name.find("norm") == std::string::npos || (name == "norm.weight" && g.tied)) continue;
      gains += graph.value(id).constant->rows();
    }
    const int64_t before = parameter_count(graph);
    run_passes(graph, {});
    EXPECT_EQ(parameter_count(graph), before - gains) << g.text();
  }
}

TEST(Passes, ReportsAndHooksFollowTheList) {
  Graph graph = tiny_decoder({});
  const auto nodes = static_cast<int32_t>(graph.order().size());
  std::vector<std::string> seen;
  PassOptions options;
  options.without = {"merge_qkv"};
  options.after = [&](std::string_view pass, const Graph&) { seen.emplace_back(pass); };
  const std::vector<PassReport> reports = run_passes(graph, options);
  ASSERT_EQ(reports.size(), passes().size() - 1);
  EXPECT_EQ(reports.front().nodes_before, nodes);
  EXPECT_EQ(reports.back().nodes_after, static_cast<int32_t>(graph.order().size()));
  for (size_t i = 0; i < reports.size(); ++i) {
    EXPECT_EQ(seen[i], reports[i].name);
    EXPECT_NE(seen[i], "merge_qkv");
    if (i == 0) continue;
    EXPECT_EQ(reports[i].nodes_before, reports[i - 1].nodes_after);
  }
}

TEST(Passes, UnknownNamesAreRefused) {
  Graph graph = tiny_decoder({});
  PassOptions options;
  options.without = {"merge_everything"};
  EXPECT_THROW(run_passes(graph, options), Error);
  options.without = {};
  options.precision = "f8";
  EXPECT_THROW(run_passes(graph, options), Error);
}

/// Counts how often its rows are read.
class CountingConstant : public Constant {
 public:
  explicit CountingConstant(Shape shape) : Constant(DType::f32, std::move(shape)) {}
  void read(int64_t, int64_t count, std::byte* out) const override {
    ++reads;
    std::memset(out, 0, static_cast<size_t>(count * row_elements()) * 4);
  }
  mutable int reads = 0;
};

// A checkpoint may be larger than memory: passes arrange its weights and read none.
TEST(Passes, DoNotReadWeights) {
  for (const NamedWeightFormat& format : weight_formats()) {
    TinyDecoder geometry;
    geometry.experts = 3;
    geometry.multipliers = true;
    Graph graph = tiny_decoder(geometry);
    std::vector<std::shared_ptr<CountingConstant>> counting;
    for (const ValueId id : graph.constants()) {
      if (graph.value(id).constant->shape().size() < 2) continue;
      counting.push_back(std::make_shared<CountingConstant>(graph.value(id).constant->shape()));
      graph.set_constant(id, counting.back());
    }
    PassOptions options;
    options.precision = format.name;
    run_passes(graph, options);
    for (const auto& constant : counting) EXPECT_EQ(constant->reads, 0);
  }
}

}  // namespace
}  // namespace incipit
