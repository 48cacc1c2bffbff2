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
    {"needs", "a plan whose 'telepathy' this incipit does not know", [](plan::PlanT& p) { p.needs = {"telepathy"}; }},
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
    {"block_rows", "block_rows is 6", [](plan::PlanT& p) { p.weights[0].block_rows = 6; }},
    {"block_columns", "block_columns is 6", [](plan::PlanT& p) { p.weights[0].block_columns = 6; }},
    {"ranks", "ranks is 0", [](plan::PlanT& p) { p.weights[0].ranks = 0; }},
    {"rank", "rank is 2", [](plan::PlanT& p) { p.weights[0].rank = p.weights[0].ranks = 2; }},
    {"pairing", "unknown pairing 9", [](plan::PlanT& p) { p.weights[0].pairing = static_cast<plan::Pairing>(9); }},
    {"pairs", "pairs the halves of 5 rows", [](plan::PlanT& p) { p.weights[0].pairing = plan::Pairing::gate_up; }},
    {"rotary_pairs", "pairs the halves of 4 rows in 5",
     [](plan::PlanT& p) {
       p.weights[0].pairing = plan::Pairing::rotary_halves;
       p.weights[0].pair_rows = 4;
       p.weights[0].pair_half = 2;
       p.weights[0].paired_rows = 5;
     }},
    {"rotary_pairs_outside", "paired_rows is 6",
     [](plan::PlanT& p) {
       p.weights[0].pairing = plan::Pairing::rotary_halves;
       p.weights[0].pair_rows = 2;
       p.weights[0].paired_rows = 6;
     }},
    {"source", "source tensor is missing", [](plan::PlanT& p) { p.weights[0].sources[0].tensor = ""; }},
    {"source_rows", "has sources of 6 rows", [](plan::PlanT& p) { p.weights[0].sources[1].rows = 3; }},
    {"source_no_rows", "source rows is", [](plan::PlanT& p) { p.weights[0].sources[1].rows = 0; }},
    {"source_first", "source first is", [](plan::PlanT& p) { p.weights[0].sources[1].first = ~uint64_t{0}; }},
    {"source_row_step", "source row_step is", [](plan::PlanT& p) { p.weights[0].sources[1].row_step = ~uint64_t{0}; }},
    {"source_column_step", "source column_step is",
     [](plan::PlanT& p) { p.weights[0].sources[1].column_step = ~uint64_t{0}; }},
    {"planes", "no planes", [](plan::PlanT& p) { p.weights[0].planes.clear(); }},
    {"plane_role", "unknown role 99",
     [](plan::PlanT& p) { p.weights[0].planes[0].role = static_cast<plan::PlaneRole>(99); }},
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
    {"group_page", "page_bytes is 0", [](plan::PlanT& p) { p.groups[0].page_bytes = 0; }},
    {"group_small_page", "has page_bytes 511 for 32 times 16", [](plan::PlanT& p) { p.groups[0].page_bytes = 511; }},
    {"group_kind", "unknown kind 7", [](plan::PlanT& p) { p.groups[0].kind = static_cast<plan::CacheKind>(7); }},
    {"group_layout", "layout is missing", [](plan::PlanT& p) { p.groups[0].layout = ""; }},
    {"state_of_pages", "page_tokens is 16", [](plan::PlanT& p) { p.groups[0].kind = plan::CacheKind::state; }},
    {"pages_of_nothing", "page_tokens is 0", [](plan::PlanT& p) { p.groups[0].page_tokens = 0; }},
    {"cache_planes", "plane count is 0", [](plan::PlanT& p) { p.groups[0].planes.clear(); }},
    {"cache_many_planes", "plane count is 17",
     [](plan::PlanT& p) { p.groups[0].planes.resize(17, p.groups[0].planes[0]); }},
    {"cache_role", "plane role is missing", [](plan::PlanT& p) { p.groups[0].planes[0].role = ""; }},
    {"cache_heads", "heads is", [](plan::PlanT& p) { p.groups[0].planes[1].heads = ~0u; }},
    {"cache_width", "width is 0", [](plan::PlanT& p) { p.groups[0].planes[1].width = 0; }},
    {"cache_wide", "has page_bytes 512", [](plan::PlanT& p) { p.groups[0].planes[1].width = 1u << 26; }},
    {"cache_dtype", "unknown dtype 'f31'", [](plan::PlanT& p) { p.groups[0].planes[0].dtype = "f31"; }},
    {"cache_scale", "unknown dtype 'f31'", [](plan::PlanT& p) { p.groups[0].planes[0].scale = "f31"; }},
    {"cache_scale_room", "has page_bytes 512", [](plan::PlanT& p) { p.groups[0].planes[0].scale = "f32"; }},
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
    {"kernels", "has kernels for 2 rows of 8", [](plan::PlanT& p) { p.steps[1].kernels.pop_back(); }},
    {"kernel_rows", "for 2 rows behind one for 2", [](plan::PlanT& p) { p.steps[1].kernels[1].rows = 2; }},
    {"kernel_no_rows", "for 0 rows behind one for 0", [](plan::PlanT& p) { p.steps[1].kernels[0].rows = 0; }},
    {"kernel_name", "kernel is missing", [](plan::PlanT& p) { p.steps[1].kernels[1].kernel = ""; }},
    {"framing", "has kernels for 0 rows of 4", [](plan::PlanT& p) { p.sample->kernels.clear(); }},
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

TEST(ReadPlan, TakesWhatIsPlannedForOtherDevicesFormatsAndModels) {
  plan::PlanT plan = small_plan();
  plan::WeightT& weight = plan.weights[0];
  weight.planes = {{{}, plan::PlaneRole::codes, "u8", engine_page, 13},
                   {{}, plan::PlaneRole::scales, "f16", engine_page + 64, 10},
                   {{}, plan::PlaneRole::zero_points, "u8", engine_page + 64, 5}};
  weight.sources = {
      {{}, "rows", 10, 1, 5, 1, "gain"}, {{}, "turned", 1, 2, 1, 9, ""}, {{}, "striped", 2, 2, 10, 1, ""}};
  weight.block_rows = 1;
  weight.block_columns = 5;
  weight.pairing = plan::Pairing::rotary_halves;
  weight.pair_rows = 2;
  weight.pair_half = 1;
  weight.paired_rows = 4;
  weight.rank = 1;
  weight.ranks = 2;
  plan.groups.push_back(
      {{}, {0}, 0, plan::CacheKind::paged, {{{}, "latent", 1, 576, "i8", "f32"}}, 64, 64 * 580, "latent"});
  plan.groups.push_back({{}, {1}, 0, plan::CacheKind::state, {{{}, "state", 4, 128, "f32", ""}}, 0, 2048, "state"});
  plan.steps[0].kernels[1].function = "embed_f32";
  EXPECT_EQ(fault_of(plan), "");
  const std::vector<std::byte> bytes = plan_bytes(plan);
  const std::string text = describe_plan(*plan::GetPlan(bytes.data()));
  EXPECT_THAT(text, ::testing::HasSubstr("pairs=rotary_halves blocks=1×5 rank=1/2 codes:u8@"));
  for (const char* part :
       {"from rows[2:3] × gain\n", "from turned[:, 1:3]\n", "from striped[2 + 10r + 1c], 2 rows\n"}) {
    EXPECT_THAT(text, ::testing::HasSubstr(part));
  }
  EXPECT_THAT(text, ::testing::HasSubstr("kind=paged latent=1×576:i8·f32"));
  EXPECT_THAT(text, ::testing::HasSubstr("kind=state state=4×128:f32"));
  EXPECT_THAT(text, ::testing::HasSubstr("up to 8 tokens: embedding/b abi 1 default embed_f32"));
}

/// A plan of one weight, in whose table a later schema's field stands behind those of this one.
std::vector<std::byte> later_plan() {
  flatbuffers::FlatBufferBuilder builder;
  plan::WeightT weight = dense_weight("table", 5, 5);
  const auto planes = builder.CreateVector(
      std::vector<flatbuffers::Offset<plan::Plane>>{plan::CreatePlane(builder, &weight.planes[0])});
  const auto name = builder.CreateString("table"), dense = builder.CreateString("dense");
  const auto format = builder.CreateString("f32"), later = builder.CreateString("later");
  const auto start = builder.StartTable();
  builder.AddOffset(plan::Weight::VT_NAME, name);
  builder.AddOffset(plan::Weight::VT_LAYOUT, dense);
  builder.AddOffset(plan::Weight::VT_FORMAT, format);
  builder.AddElement<uint32_t>(plan::Weight::VT_ROWS, 5, 0);
  builder.AddElement<uint32_t>(plan::Weight::VT_COLUMNS, 5, 0);
  builder.AddOffset(plan::Weight::VT_PLANES, planes);
  builder.AddOffset(plan::Weight::VT_SOURCES + 2, later);
  builder.AddElement<uint64_t>(plan::Weight::VT_SOURCES + 4, 7, 0);
  const flatbuffers::Offset<plan::Weight> offset = builder.EndTable(start);
  const auto weights = builder.CreateVector(std::vector<flatbuffers::Offset<plan::Weight>>{offset});
  plan::PlanBuilder plan(builder);
  plan.add_weights(weights);
  plan::FinishPlanBuffer(builder, plan.Finish());
  const auto bytes = std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize()));
  return {bytes.begin(), bytes.end()};
}

TEST(ReadPlan, PassesOverFieldsOfLaterSchemas) {
  AlignedBytes bytes(later_plan());
  const plan::Plan& plan = read_plan(bytes.bytes(), "x.engine");
  EXPECT_EQ(plan.weights()->Get(0)->rows(), 5u);
  EXPECT_EQ(plan.weights()->Get(0)->ranks(), 1u);
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
