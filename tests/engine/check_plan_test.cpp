#include "engine/check_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "engine/small_engine.h"
#include "support/sanitized.h"

namespace incipit {
namespace {

constexpr uint64_t weights_begin = engine_page, weights_end = engine_page + 135;

/// What the checks say of a plan; empty when it is sound.
std::string fault_of(const plan::PlanT& plan) {
  AlignedBytes bytes(plan_bytes(plan));
  try {
    check_plan(read_plan(bytes.bytes(), "x.engine"), weights_begin, weights_end, "x.engine");
    return {};
  } catch (const Error& error) {
    EXPECT_EQ(error.thing(), "x.engine");
    return error.fault();
  }
}

struct Case {
  const char* name;
  const char* expected;  // part of the fault
  std::function<void(plan::PlanT&)> change;
};

void PrintTo(const Case& one, std::ostream* out) { *out << one.name; }

class CheckPlanTest : public ::testing::TestWithParam<Case> {};

TEST_P(CheckPlanTest, SaysWhatIsWrong) {
  plan::PlanT plan = small_plan();
  ASSERT_EQ(fault_of(plan), "");
  GetParam().change(plan);
  EXPECT_THAT(fault_of(plan), ::testing::HasSubstr(GetParam().expected));
}

const Case cases[] = {
    {"vocabulary", "vocabulary is 0", [](plan::PlanT& p) { p.vocabulary = 0; }},
    {"hidden", "hidden is", [](plan::PlanT& p) { p.hidden = ~0u; }},
    {"context", "max_context is", [](plan::PlanT& p) { p.max_context = 0; }},
    {"slots", "max_sequences is", [](plan::PlanT& p) { p.max_sequences = 0; }},
    {"begin", "begin_id is 10", [](plan::PlanT& p) { p.begin_id = 10; }},
    {"begin_negative", "begin_id is -2", [](plan::PlanT& p) { p.begin_id = -2; }},
    {"end", "an end id is 11", [](plan::PlanT& p) { p.end_ids[1] = 11; }},
    {"end_negative", "an end id is -1", [](plan::PlanT& p) { p.end_ids[1] = -1; }},
    {"precision", "precision is missing", [](plan::PlanT& p) { p.precision = ""; }},
    {"no_experts", "experts is 0", [](plan::PlanT& p) { p.weights[0].experts = 0; }},
    {"too_many_experts", "experts is", [](plan::PlanT& p) { p.weights[0].experts = ~0u; }},
    {"planes", "no planes", [](plan::PlanT& p) { p.weights[0].planes.clear(); }},
    {"plane_dtype", "unknown dtype 'f31'", [](plan::PlanT& p) { p.weights[0].planes[0].dtype = "f31"; }},
    {"plane_unaligned", "unaligned", [](plan::PlanT& p) { p.weights[0].planes[0].offset += 8; }},
    {"plane_before", "outside of the weights", [](plan::PlanT& p) { p.weights[0].planes[0].offset = 0; }},
    {"plane_behind", "outside of the weights", [](plan::PlanT& p) { p.weights[0].planes[0].bytes = 136; }},
    {"plane_far", "outside of the weights", [](plan::PlanT& p) { p.weights[0].planes[0].offset = ~uint64_t{63}; }},
    {"plane_overflow", "outside of the weights", [](plan::PlanT& p) { p.weights[0].planes[0].bytes = ~uint64_t{0}; }},
    {"plane_empty", "outside of the weights", [](plan::PlanT& p) { p.weights[0].planes[0].bytes = 0; }},
    {"buffer_width", "width is 0", [](plan::PlanT& p) { p.buffers[0].width = 0; }},
    {"buffer_dtype", "dtype is missing", [](plan::PlanT& p) { p.buffers[0].dtype = ""; }},
    {"buffer_axis", "unknown axis 7", [](plan::PlanT& p) { p.buffers[0].axis = static_cast<plan::Axis>(7); }},
    {"no_buckets", "no buckets",
     [](plan::PlanT& p) {
       p.buckets.clear();
       p.resolve_tokens->kernels.clear();
     }},
    {"bucket_rows", "rows is 2", [](plan::PlanT& p) { p.buckets[0].rows = 2; }},
    {"bucket_sequences", "sequences is 3", [](plan::PlanT& p) { p.buckets[1].sequences = 3; }},
    {"descending", "smaller than the one before", [](plan::PlanT& p) { std::swap(p.buckets[0], p.buckets[1]); }},
    {"offsets", "places 1 buffers of 2", [](plan::PlanT& p) { p.buckets[1].offsets.pop_back(); }},
    {"offset_unaligned", "unaligned", [](plan::PlanT& p) { p.buckets[0].offsets[0] = 4; }},
    {"offset_outside", "outside of its arena", [](plan::PlanT& p) { p.buckets[1].offsets[0] = 8 * 256; }},
    {"offset_overflow", "outside of its arena", [](plan::PlanT& p) { p.buckets[1].offsets[0] = ~uint64_t{63}; }},
    {"arena", "outside of its arena", [](plan::PlanT& p) { p.buckets[1].arena_bytes -= 1; }},
    {"group_layer", "names layer 2 of 2", [](plan::PlanT& p) { p.groups[0].layers[1] = 2; }},
    {"group_empty", "layer count is 0", [](plan::PlanT& p) { p.groups[0].layers.clear(); }},
    {"group_head_dim", "head_dim is 512", [](plan::PlanT& p) { p.groups[0].head_dim = 512; }},
    {"group_page", "page_bytes is 0", [](plan::PlanT& p) { p.groups[0].page_bytes = 0; }},
    {"step_problem", "problem is missing", [](plan::PlanT& p) { p.steps[0].problem = ""; }},
    {"step_axis", "unknown axis", [](plan::PlanT& p) { p.steps[0].axis = static_cast<plan::Axis>(2); }},
    {"operand_space", "unknown space",
     [](plan::PlanT& p) { p.steps[0].inputs[0].space = static_cast<plan::Space>(99); }},
    {"operand_weight", "is weight 1 of 1", [](plan::PlanT& p) { p.steps[0].inputs[1].index = 1; }},
    {"operand_buffer", "is buffer 2 of 2", [](plan::PlanT& p) { p.steps[0].outputs[0].index = 2; }},
    {"operand_column", "columns 3 + 2", [](plan::PlanT& p) { p.steps[1].inputs[1].column = 3; }},
    {"operand_overflow", "columns 4294967295 + 2", [](plan::PlanT& p) { p.steps[1].inputs[1].column = ~0u; }},
    {"operand_no_width", "columns 0 + 0", [](plan::PlanT& p) { p.steps[0].outputs[0].width = 0; }},
    {"operand_group", "is cache group 1 of 1", [](plan::PlanT& p) { p.steps[1].inputs[2].index = 1; }},
    {"operand_layer", "is layer 2 of a group of 2", [](plan::PlanT& p) { p.steps[1].inputs[2].column = 2; }},
    {"kernels", "names 1 kernels for 2 buckets", [](plan::PlanT& p) { p.steps[1].kernels.pop_back(); }},
    {"kernel_name", "kernel is missing", [](plan::PlanT& p) { p.steps[1].kernels[1].kernel = ""; }},
    {"framing", "names 0 kernels", [](plan::PlanT& p) { p.sample->kernels.clear(); }},
    {"logits", "its logits are buffer 2 of 2", [](plan::PlanT& p) { p.logits = 2; }},
    {"logits_axis", "not f32 rows", [](plan::PlanT& p) { p.logits = 0; }},
    {"logits_width", "not f32 rows", [](plan::PlanT& p) { p.vocabulary = 11; }},
};

INSTANTIATE_TEST_SUITE_P(All, CheckPlanTest, ::testing::ValuesIn(cases),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(ReadPlan, BytesThatAreNoPlanAreRefused) {
  for (size_t size : {0u, 1u, 7u, 8u, 64u, 1000u}) {
    for (int fill : {0, 1, 0x7f, 0xff}) {
      AlignedBytes bytes(std::vector<std::byte>(size, static_cast<std::byte>(fill)));
      EXPECT_THROW(read_plan(bytes.bytes(), "x.engine"), Error);
    }
  }
}

TEST(ReadPlan, EveryTruncationAndChangedByteIsRefusedOrSound) {
  const std::vector<std::byte> whole = plan_bytes(small_plan());
  for (size_t length = 0; length < whole.size(); ++length) {
    AlignedBytes bytes(std::span<const std::byte>(whole).first(length));
    try {
      check_plan(read_plan(bytes.bytes(), "x.engine"), weights_begin, weights_end, "x.engine");
    } catch (const Error&) {
    }
  }
  AlignedBytes bytes(whole);
  for (size_t at = 0; at < whole.size(); ++at) {
    for (int flip = 1; flip < 256; flip += sanitized ? 30 : 2) {
      bytes.bytes()[at] = whole[at] ^ static_cast<std::byte>(flip);
      try {
        const plan::Plan& plan = read_plan(bytes.bytes(), "x.engine");
        check_plan(plan, weights_begin, weights_end, "x.engine");
        EXPECT_FALSE(describe_plan(plan).empty());
      } catch (const Error&) {
      }
    }
    bytes.bytes()[at] = whole[at];
  }
}

}  // namespace
}  // namespace incipit
