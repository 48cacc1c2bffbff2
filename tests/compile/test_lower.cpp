#include "compile/lower.h"

#include <gtest/gtest.h>

#include "graph/graph.h"
#include "graph/text_form.h"
#include "kernels/layout.h"

namespace incipit {
namespace {

/// The step of that name.
const plan::StepT& step_of(const PlanDraft& draft, const std::string& name) {
  for (const plan::StepT& step : draft.plan.steps) {
    if (step.name == name) return step;
  }
  throw Error(name, "there is no such step");
}

TEST(Lower, AProductTakesItsResidualsPlaceUnlessItReadsItsRowsThere) {
  for (const std::string product : {"Linear(y, w, _, ", "QuantizedLinear(y, _, codes, scales, _, "}) {
    const auto lowered = [&](const std::string& residual) {
      Model model;
      model.graph = parse_graph(
          "graph (ids: i32[T], position: i32[T], rows: i32[R]) -> (logits)\n"
          "const table : f32[8, 16] = zeros\nconst w : f32[16, 16] = zeros\n"
          "const codes : i8[16, 16] = zeros\nconst scales : f32[16] = zeros\n"
          "x : f32[T, 16] = Embedding(ids, table)\n"
          "y : f32[T, 16] = RmsNorm(x)\n"
          "z : f32[T, 16] = " +
          product + residual + ")\nlogits : f32[R, 16] = GatherRows(z, rows)\n");
      return lower(model, {});
    };
    const PlanDraft other = lowered("x"), same = lowered("y");
    const plan::StepT &beside = step_of(other, "z"), &itself = step_of(same, "z");
    EXPECT_EQ(beside.inputs.size(), 3U) << product;  // rows, weight, residual: no scales
    EXPECT_EQ(beside.outputs[0].index, beside.inputs[2].index) << product;
    EXPECT_NE(beside.outputs[0].index, beside.inputs[0].index) << product;
    EXPECT_EQ(itself.inputs[2].index, itself.inputs[0].index) << product;
    EXPECT_NE(itself.outputs[0].index, itself.inputs[0].index) << product;
  }
}

PlanDraft lowered_norm(const std::string& norm, const std::string& product, const std::optional<Target>& target) {
  Model model;
  model.graph = parse_graph(
      "graph (ids: i32[T], position: i32[T], rows: i32[R]) -> (logits)\n"
      "const table : f32[8, 16] = zeros\nconst w : f32[16, 16] = zeros\nconst gain : f32[16] = zeros\n"
      "x : f32[T, 16] = Embedding(ids, table)\n"
      "y : f32[T, 16] = " +
      norm + "\nz : f32[T, 16] = " + product + "\nlogits : f32[R, 16] = GatherRows(z, rows)\n");
  LowerOptions options;
  options.norms_in_products = target;
  return lower(model, options);
}

TEST(Lower, AProductReadsTheRowsWhoseNormItMayMake) {
  const Target shadow(Backend::shadow, 0);
  const PlanDraft separate = lowered_norm("RmsNorm(x)", "Linear(y, w)", std::nullopt);
  EXPECT_EQ(step_of(separate, "z").inputs.size(), 3U);  // rows, weight, no residual
  EXPECT_EQ(step_of(separate, "y").outputs[0].index, step_of(separate, "y").inputs[0].index);  // in place

  const PlanDraft both = lowered_norm("RmsNorm(x)", "Linear(y, w)", shadow);
  const plan::StepT &norm = step_of(both, "y"), &product = step_of(both, "z");
  EXPECT_NE(norm.outputs[0].index, norm.inputs[0].index);  // the product reads it behind the norm
  ASSERT_EQ(product.inputs.size(), 4U);
  EXPECT_EQ(product.inputs[0].index, norm.outputs[0].index);
  EXPECT_EQ(product.inputs[3].index, norm.inputs[0].index);
  EXPECT_NE(product.problem.find(" norm=1 epsilon=1e-05"), std::string::npos) << product.problem;

  // Its output may take the place of nothing that it reads.
  const PlanDraft added = lowered_norm("RmsNorm(x)", "Linear(y, w, _, x)", shadow);
  EXPECT_NE(step_of(added, "z").outputs[0].index, step_of(added, "z").inputs[3].index);
}

TEST(Lower, NormsThatNoKernelMakesOrOthersReadOrThatHaveAGainStayLaunchesAlone) {
  const Target shadow(Backend::shadow, 0);
  const PlanDraft with_gain = lowered_norm("RmsNorm(x, gain)", "Linear(y, w)", shadow);
  EXPECT_EQ(step_of(with_gain, "z").inputs.size(), 3U);
  const PlanDraft no_kernel = lowered_norm("RmsNorm(x)", "Linear(y, w)", Target(Backend::cuda, 80));
  EXPECT_EQ(step_of(no_kernel, "z").inputs.size(), 3U);
  const PlanDraft read = lowered_norm("RmsNorm(x)", "Linear(y, w, _, y)", shadow);
  EXPECT_EQ(step_of(read, "z").inputs.size(), 3U);
}

/// Of two heads of keys: `by_product` as the pass fuse_kv_write leaves it.
PlanDraft lowered_write(int head_dim, const std::string& by_product, Backend backend) {
  const std::string width = std::to_string(2 * head_dim), all = std::to_string(6 * head_dim);
  Model model;
  model.graph = parse_graph(
      "graph (ids: i32[T], position: i32[T], rows: i32[R]) -> (logits)\n"
      "const table : f32[8, 16] = zeros\nconst w : f32[" +
      all +
      ", 16] = zeros\n"
      "const w2 : f32[" +
      width +
      ", 16] = zeros\nconst frequency : f32[8] = zeros\n"
      "x : f32[T, 16] = Embedding(ids, table)\n"
      "qkv : f32[T, " +
      all +
      "] = Linear(x, w)\n"
      "q : f32[T, " +
      width + "] = SliceColumns(qkv) {count = " + width +
      "}\n"
      "k : f32[T, " +
      width + "] = SliceColumns(qkv) {first = " + width + ", count = " + width +
      "}\n"
      "v : f32[T, " +
      width + "] = SliceColumns(qkv) {first = " + std::to_string(4 * head_dim) + ", count = " + width +
      "}\n"
      "angles : f32[T, 16] = RotaryTable(position, frequency)\n"
      "write : cache = KvWrite(k, v, position, angles) {kv_heads = 2, head_dim = " +
      std::to_string(head_dim) + ", by_product = " + by_product +
      "}\n"
      "y : f32[T, " +
      width + "] = Attention(q, position, write) {heads = 2, kv_heads = 2, head_dim = " + std::to_string(head_dim) +
      "}\n"
      "logits : f32[R, " +
      width + "] = GatherRows(y, rows)\n");
  return lower(model, {page_format(backend)});
}

std::vector<std::string> names(const PlanDraft& draft) {
  std::vector<std::string> list;
  for (const plan::StepT& step : draft.plan.steps) list.push_back(step.name);
  return list;
}

TEST(Lower, AnAcceleratorsProductWritesItsKeysAndValuesBehindTheTableThatRotatesThem) {
  const PlanDraft draft = lowered_write(32, "true", Backend::cuda);
  EXPECT_EQ(names(draft), (std::vector<std::string>{"x", "angles", "qkv", "y", "logits"}));
  const plan::StepT& product = step_of(draft, "qkv");
  EXPECT_NE(product.problem.find(" kv_heads=2 head_dim=32 page_tokens=64 pages=kv-rows cache=f32 rotary_pairs=8"),
            std::string::npos);
  ASSERT_EQ(product.inputs.size(), 5U);  // rows, weight, residual, cache, table
  EXPECT_EQ(product.inputs[3].space, plan::Space::cache);
  EXPECT_EQ(product.inputs[4].index, step_of(draft, "angles").outputs[0].index);
  ASSERT_EQ(product.outputs.size(), 1U);
  EXPECT_EQ(product.outputs[0].width, 64U);
  EXPECT_EQ(draft.plan.buffers[product.outputs[0].index].width, 64U);
  EXPECT_EQ(draft.weights[product.inputs[1].index].pairs, (RowPairs{2, 8, 64, 16, false}));
  EXPECT_EQ(step_of(draft, "y").inputs[0].index, product.outputs[0].index);
}

TEST(Lower, KeysAndValuesAreWrittenByThemselvesWhereNoProductCan) {
  const std::vector<std::string> apart{"x", "qkv", "angles", "write", "y", "logits"};
  EXPECT_EQ(names(lowered_write(32, "true", Backend::cpu)), apart);
  EXPECT_EQ(names(lowered_write(32, "false", Backend::cuda)), apart);
  EXPECT_EQ(names(lowered_write(24, "true", Backend::cuda)), apart);  // no blocks of 16
}

}  // namespace
}  // namespace incipit
