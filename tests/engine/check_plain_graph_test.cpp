#include "engine/check_plain_graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "engine/check_plan.h"
#include "engine/small_engine.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

std::string graph_fault_of(const plan::PlanT& plan) {
  AlignedBytes bytes(plan_bytes(plan));
  try {
    check_plan(read_plan(bytes.bytes(), "x.engine"), engine_page, engine_page + 100, "x.engine");
    return {};
  } catch (const Error& error) {
    EXPECT_EQ(error.thing(), "x.engine");
    return error.fault();
  }
}

struct GraphCase {
  const char* name;
  const char* expected;  // part of the fault
  std::function<void(plan::PlanT&, plan::PlainGraphT&)> change;
};

void PrintTo(const GraphCase& one, std::ostream* out) { *out << one.name; }

class CheckPlainGraph : public ::testing::TestWithParam<GraphCase> {};

TEST_P(CheckPlainGraph, SaysWhatIsWrong) {
  plan::PlanT plan = small_plain_plan();
  ASSERT_EQ(graph_fault_of(plan), "");
  GetParam().change(plan, *plan.graph);
  EXPECT_THAT(graph_fault_of(plan), ::testing::HasSubstr(GetParam().expected));
}

const GraphCase graph_cases[] = {
    {"precision", "precision is missing", [](auto& p, auto&) { p.precision = ""; }},
    {"buckets", "no buckets", [](auto& p, auto&) { p.buckets.clear(), p.steps[0].kernels.clear(); }},
    {"input_name", "input 0 name is missing", [](auto&, auto& g) { g.inputs[0].name = ""; }},
    {"input_dtype", "unknown dtype 'f31'", [](auto&, auto& g) { g.inputs[0].dtype = "f31"; }},
    {"input_rank", "rank is 65", [](auto&, auto& g) { g.inputs[0].extents.resize(65, "1"); }},
    {"input_extent", "extent is missing", [](auto&, auto& g) { g.inputs[0].extents[0] = ""; }},
    {"input_value", "input 0 is value 3", [](auto&, auto& g) { g.inputs[0].value = 3; }},
    {"input_twice", "the name 'x', which another has",
     [](auto&, auto& g) {
       g.inputs.push_back(g.inputs[0]);
       g.inputs[1].value = 1;
     }},
    {"constant_place", "outside of the weights", [](auto&, auto& g) { g.constants[0].shape = {26}; }},
    {"constant_before", "outside of the weights", [](auto&, auto& g) { g.constants[0].offset = 0; }},
    {"constant_unaligned", "unaligned", [](auto&, auto& g) { g.constants[0].offset += 4; }},
    {"constant_size", "larger than any file",
     [](auto&, auto& g) {
       g.constants[0].shape = {uint64_t{1} << 40, uint64_t{1} << 40};
     }},
    {"constant_extent", "larger than any file",
     [](auto&, auto& g) {
       g.constants[0].shape = {0, uint64_t{1} << 63};
     }},
    {"constant_dtype", "unknown dtype", [](auto&, auto& g) { g.constants[0].dtype = "string"; }},
    {"forward", "operation 0 (add) reads value 2 of 2", [](auto&, auto& g) { g.operations[0].inputs[1] = 2; }},
    {"negative", "reads value -2", [](auto&, auto& g) { g.operations[0].inputs[1] = -2; }},
    {"no_outputs", "output count is 0", [](auto&, auto& g) { g.operations[0].outputs = 0; }},
    {"too_many_outputs", "output count is", [](auto&, auto& g) { g.operations[0].outputs = 1u << 31; }},
    {"attribute_name", "attribute name is missing", [](auto&, auto& g) { g.operations[0].attributes[0].name = ""; }},
    {"attribute_kind", "attribute kind is 9",
     [](auto&, auto& g) { g.operations[0].attributes[0].kind = static_cast<plan::AttributeKind>(9); }},
    {"step", "launches step 1 of 1", [](auto&, auto& g) { g.operations[2].step = 1; }},
    {"step_operands", "other operands than the step", [](auto&, auto& g) { g.operations[2].inputs.pop_back(); }},
    {"step_outputs", "other operands than the step", [](auto&, auto& g) { g.operations[2].outputs = 2; }},
    {"rows_absent", "has no value for its rows 0", [](auto&, auto& g) { g.operations[2].inputs[0] = -1; }},
    {"rows_of_nothing", "has no value for its rows 1", [](auto&, auto& g) { g.operations[2].inputs[1] = 0; }},
    {"no_rows", "reads no rows",
     [](auto& p, auto& g) {
       p.steps[0].inputs[0] = {};
       g.operations[2].inputs[0] = -1;
     }},
    {"columns", "not whole rows", [](auto& p, auto&) { p.steps[0].inputs[0].width = 2; }},
    {"row_axis", "not whole rows", [](auto& p, auto&) { p.buffers[1].axis = plan::Axis::rows; }},
    {"decoder", "something of a decoder's", [](auto& p, auto&) { p.steps[0].inputs[1] = operand(plan::Space::ids); }},
    {"makes_weight", "makes something that is no value",
     [](auto& p, auto&) {
       p.weights = {dense_weight("w", 1, 4)};
       p.steps[0].outputs[0] = operand(plan::Space::weight);
     }},
    {"outputs", "no outputs", [](auto&, auto& g) { g.outputs.clear(); }},
    {"output_value", "output 0 is value 5 of 5", [](auto&, auto& g) { g.outputs[0].value = 5; }},
};
INSTANTIATE_TEST_SUITE_P(All, CheckPlainGraph, ::testing::ValuesIn(graph_cases),
                         [](const auto& one) { return std::string(one.param.name); });

TEST(PlainGraphEngine, IsReadAndDescribed) {
  const TemporaryDirectory directory;
  write_small_engine(directory / "plain.engine", small_plain_plan());
  const std::string text = describe_plan(Engine::open(directory / "plain.engine")->plan());
  EXPECT_THAT(text, ::testing::HasSubstr("v0 : f32[rows, 4] = input x\n"));
  EXPECT_THAT(text, ::testing::HasSubstr("v1 : f32[4] = constant b @4096\n"));
  EXPECT_THAT(text, ::testing::HasSubstr("v2 = Binary(v0, v1) {function = \"add\"}  # add\n"));
  EXPECT_THAT(text, ::testing::HasSubstr("v3 = Transpose(v2) {perm = [0, 1]}  # turn\n"));
  EXPECT_THAT(text, ::testing::HasSubstr("v4 = s0(v3, _)  # copy\n"));
  EXPECT_THAT(text, ::testing::HasSubstr("output y : f32[rows, 4] = v4\n"));
}

}  // namespace
}  // namespace incipit
