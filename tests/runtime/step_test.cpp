// What an executor refuses to load, and what it says.
#include "runtime/step.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <span>

#include "base/error.h"
#include "kernels/families.h"
#include "kernels/problem.h"
#include "runtime/cache_pools.h"
#include "runtime/executor.h"
#include "runtime/tiny_model.h"

namespace incipit {
namespace {

using ::testing::HasSubstr;

plan::StepT& step_named(plan::PlanT& plan, const std::string& name) {
  for (plan::StepT& step : plan.steps) {
    if (step.name == name) return step;
  }
  throw std::logic_error(name);
}

plan::WeightT& weight_named(plan::PlanT& plan, const std::string& name) {
  for (plan::WeightT& weight : plan.weights) {
    if (weight.name == name) return weight;
  }
  throw std::logic_error(name);
}

std::string& replaced(std::string& text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  if (at == std::string::npos) throw std::logic_error(from);
  return text.replace(at, from.size(), to);
}

struct Case {
  const char* name;
  const char* expected;  // part of the fault
  std::function<void(plan::PlanT&)> change;
};

void PrintTo(const Case& one, std::ostream* out) { *out << one.name; }

class RefusedPlanTest : public ::testing::TestWithParam<Case> {};

TEST_P(RefusedPlanTest, SaysWhatIsWrong) {
  const TinyEngine tiny(GetParam().change);
  const auto engine = tiny.open();
  try {
    Executor executor(engine, make_cpu_device(1));
    FAIL() << "loaded";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(GetParam().expected));
    EXPECT_THAT(error.remedy(), HasSubstr("build "));
  }
}

const Case cases[] = {
    {"kernel", "step 'head' asks for the kernel 'linear/abacus', which this incipit does not have",
     [](plan::PlanT& p) { step_named(p, "head").kernels[1].kernel = "linear/abacus"; }},
    {"abi", "with ABI 4711, this incipit has", [](plan::PlanT& p) { step_named(p, "head").kernels[2].abi = 4711; }},
    {"config", "asks for the setting 'huge'",
     [](plan::PlanT& p) { step_named(p, "embed").kernels[0].config = "huge"; }},
    {"kernel_of_another_problem", "a problem that it cannot compute",
     [](plan::PlanT& p) {
       step_named(p, "head").kernels[0] = {{}, 1, "linear/generic_bf16", 1, "rows16_panels8", ""};
     }},
    {"family", "the kernel family 'abacus'", [](plan::PlanT& p) { step_named(p, "head").problem = "abacus beads=10"; }},
    {"problem", "field 'n' is not where it should be",
     [](plan::PlanT& p) { step_named(p, "head").problem = "linear m=1"; }},
    {"framing", "step 'sample'", [](plan::PlanT& p) { p.sample->kernels[0].kernel = "sample/dice"; }},
    {"keys_and_values", "has keys and values that no product writes",
     [](plan::PlanT& p) {
       step_named(p, "0.qkv").problem +=
           " kv_heads=2 head_dim=20 page_tokens=64 pages=kv-rows cache=f32 rotary_pairs=8 interleaved=0";
     }},
    {"missing_operand", "lacks its operand 'residual'",
     [](plan::PlanT& p) { step_named(p, "head").inputs.pop_back(); }},
    {"extra_operand", "more operands", [](plan::PlanT& p) { step_named(p, "head").inputs.push_back({}); }},
    {"missing_result", "lacks its result 'output'", [](plan::PlanT& p) { step_named(p, "head").outputs.clear(); }},
    {"weight_shape", "has an operand 'weight' that is [48, 32] panel16 f32",
     [](plan::PlanT& p) { step_named(p, "head").inputs[1] = step_named(p, "0.output").inputs[1]; }},
    {"weight_experts", "has an operand 'weight' that is 2 experts of [",
     [](plan::PlanT& p) { weight_named(p, "head").experts = 2; }},
    {"positions", "has no row for some of the plan's 128 positions",
     [](plan::PlanT& p) { step_named(p, "embed").inputs[0].space = plan::Space::positions; }},
    {"weight_gated", "has an operand 'weight'",
     [](plan::PlanT& p) { weight_named(p, "0.gate_up").pairing = plan::Pairing::none; }},
    {"weight_bytes", "whose plane 'values' is", [](plan::PlanT& p) { weight_named(p, "head").planes[0].bytes -= 4; }},
    {"weight_dtype", "whose plane 'values' is",
     [](plan::PlanT& p) { weight_named(p, "table").planes[0].dtype = "i32"; }},
    {"weight_plane", "without its plane 'values'",
     [](plan::PlanT& p) { weight_named(p, "head").planes[0].role = plan::PlaneRole::codes; }},
    {"weight_rank", "operand 'weight' that is one part of 2",
     [](plan::PlanT& p) { weight_named(p, "head").ranks = 2; }},
    {"weight_blocks", "operand 'weight' with a scale for 1 × 32 weights",
     [](plan::PlanT& p) {
       weight_named(p, "head").block_rows = 1;
       weight_named(p, "head").block_columns = 32;
     }},
    {"cache_plane", "operand 'cache' of another geometry", [](plan::PlanT& p) { p.groups[0].planes.pop_back(); }},
    {"cache_state", "keeps a state of a fixed size",
     [](plan::PlanT& p) {
       p.groups[0].kind = plan::CacheKind::state;
       p.groups[0].page_tokens = 0;
     }},
    {"dense_layout", "that is not dense", [](plan::PlanT& p) { weight_named(p, "table").layout = "panel16"; }},
    {"gain_width", "whose plane 'values' is",
     [](plan::PlanT& p) { step_named(p, "final_gain").inputs[2] = step_named(p, "rotary_table").inputs[1]; }},
    {"buffer_axis", "operand 'input' on the wrong axis",
     [](plan::PlanT& p) { step_named(p, "head").inputs[0] = step_named(p, "0.qkv").inputs[0]; }},
    {"buffer_width", "operand 'input' of 32 columns, expected 48",
     [](plan::PlanT& p) { step_named(p, "0.qkv").inputs[0].width = 32; }},
    {"partial_input", "operand 'input' that is not a whole buffer",
     [](plan::PlanT& p) {
       plan::StepT& step = step_named(p, "1.output");
       p.buffers[step.inputs[0].index].width += 16;
       for (plan::BucketT& bucket : p.buckets) bucket.arena_bytes += 1 << 20;
     }},
    {"buffer_dtype", "of bf16, expected f32",
     [](plan::PlanT& p) { p.buffers[step_named(p, "0.qkv").inputs[0].index].dtype = "bf16"; }},
    {"no_buffer", "operand 'input' that is no buffer",
     [](plan::PlanT& p) {
       step_named(p, "0.qkv").inputs[0] = {{}, plan::Space::ids};
     }},
    {"step_axis", "on the wrong axis", [](plan::PlanT& p) { step_named(p, "0.write").axis = plan::Axis::rows; }},
    {"vocabulary", "is not for the plan's vocabulary",
     [](plan::PlanT& p) { replaced(p.sample->problem, "vocabulary=80", "vocabulary=79"); }},
    {"cache_geometry", "operand 'cache' of another geometry",
     [](plan::PlanT& p) { replaced(step_named(p, "0.write").problem, "page_tokens=16", "page_tokens=32"); }},
    {"cache_page_bytes", "operand 'cache' of another geometry", [](plan::PlanT& p) { p.groups[0].page_bytes += 64; }},
    {"cache_layout", "operand 'cache' of another geometry", [](plan::PlanT& p) { p.groups[0].layout = "kv-plain"; }},
    {"window", "looks further back than its cache group's window of 32",
     [](plan::PlanT& p) { p.groups[0].window = 32; }},
    {"heads", "key heads do not divide",
     [](plan::PlanT& p) { replaced(step_named(p, "0.attention").problem, "kv_heads=2", "kv_heads=3"); }},
    {"rotation", "rotates more than a head",
     [](plan::PlanT& p) { replaced(step_named(p, "1.attention").problem, "rotary_pairs=", "rotary_pairs=1"); }},
    {"rotation_without_table", "has an operand 'table' that is no buffer",
     [](plan::PlanT& p) { step_named(p, "1.write").inputs[3] = {}; }},
    {"memory_limit", "its memory limit leaves", [](plan::PlanT& p) { p.memory_limit = 1; }},
};

INSTANTIATE_TEST_SUITE_P(All, RefusedPlanTest, ::testing::ValuesIn(cases),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(Steps, GatherTheScalesOfRowsAsTheVectorTheyAre) {
  plan::PlanT test_plan = TinyModel().plan();
  test_plan.weights.clear();
  const auto scales = static_cast<uint32_t>(test_plan.buffers.size());
  test_plan.buffers.push_back({{}, "scales", "f32", plan::Axis::tokens, 1});
  test_plan.buffers.push_back({{}, "row_scales", "f32", plan::Axis::rows, 1});
  plan::StepT& step = step_named(test_plan, "1.x");
  step.problem = to_text(GatherRows::Problem{1});
  step.inputs[0] = {{}, plan::Space::buffer, scales, 0, 1};
  step.outputs[0] = {{}, plan::Space::buffer, scales + 1, 0, 1};
  const std::vector<std::byte> bytes = plan_bytes(test_plan);
  const plan::Plan& built = *plan::GetPlan(bytes.data());
  const plan::Step* planned = nullptr;
  for (const plan::Step* one : *built.steps()) {
    if (one->name()->string_view() == "1.x") planned = one;
  }
  const auto resolved = resolve_step({built, *planned, "x.engine", nullptr, cpu_features()});

  const auto device = make_cpu_device(1);
  alignas(64) std::array<float, 128> arena{0.5f, 1.5f, 2.5f, 3.5f};
  std::vector<uint64_t> places(test_plan.buffers.size(), 0);
  places[scales + 1] = 64 * sizeof(float);
  const std::array<int32_t, 3> rows{0, 2, 3};
  StepView view;
  view.rows = 3;
  view.arena = reinterpret_cast<std::byte*>(arena.data());
  view.offsets = places.data();
  view.row_tokens = rows.data();
  const auto launch = resolved->prepare(view, *device);
  device->launch(*launch);
  EXPECT_THAT(std::span(arena).subspan(64, 4), ::testing::ElementsAre(0.5f, 2.5f, 3.5f, 0.0f));
}

TEST(CachePools, HoldEverySlotAtFullContextUnlessBounded) {
  plan::PlanT plan = TinyModel().plan();
  plan.weights.clear();
  const auto pools = [&](int64_t cache_bytes, int64_t bound) {
    static std::vector<std::byte> bytes;
    bytes = plan_bytes(plan);
    return plan_cache_pools(*plan::GetPlan(bytes.data()), cache_bytes, bound, "x.engine");
  };
  const auto page_bytes = static_cast<int64_t>(plan.groups[0].page_bytes);
  const int64_t sequence = 8 * page_bytes;
  EXPECT_EQ(pools(0, 0)[0].pages, 32);
  EXPECT_EQ(pools(0, 2 * sequence)[0].pages, 16);
  EXPECT_EQ(pools(10 * sequence, 0)[0].pages, 80);
  EXPECT_EQ(pools(10 * sequence, 3 * sequence + 1)[0].pages, 24);
  EXPECT_EQ(pools(sequence + page_bytes, 0)[0].pages, 9);
  EXPECT_THROW(pools(sequence - 1, 0), Error);
  EXPECT_THROW(pools(0, sequence - 1), Error);
}

TEST(Planes, HaveTheSameNumbersInPlansAndForKernels) {
  for (size_t i = 0; i < plane_names.size(); ++i) {
    EXPECT_EQ(plan::EnumNamePlaneRole(static_cast<plan::PlaneRole>(i)), plane_names[i]);
  }
  EXPECT_EQ(static_cast<size_t>(plan::PlaneRole::MAX) + 1, plane_names.size());
}

TEST(CachePools, AWindowNeedsItsPagesAndAStepsOnly) {
  plan::PlanT plan = TinyModel().plan();
  plan.max_context = 1024;
  plan.groups.push_back(plan.groups[0]);
  plan.groups[1].window = 32;
  const std::vector<std::byte> bytes = plan_bytes(plan);
  const auto pools = plan_cache_pools(*plan::GetPlan(bytes.data()), 0, 0, "x.engine");
  ASSERT_EQ(pools.size(), 2u);
  EXPECT_EQ(pools[0].pages, 4 * 64);
  EXPECT_EQ(pools[1].window, 32);
  // 32 tokens back from the first of 64 touch seven pages at most.
  EXPECT_EQ(pools[1].pages, 4 * 7);
}

}  // namespace
}  // namespace incipit
