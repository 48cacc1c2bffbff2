#include "compile/lower.h"

#include <gtest/gtest.h>

#include "graph/text_form.h"

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

}  // namespace
}  // namespace incipit
