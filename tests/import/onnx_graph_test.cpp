// ONNX models in the graph: functions, branches, loops, and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/log.h"
#include "graph/text_form.h"
#include "import/onnx/import_onnx.h"
#include "support/message_of.h"
#include "support/onnx_bytes.h"

namespace incipit {
namespace {

using namespace onnx_bytes;  // NOLINT: a notation
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Graph imported(const std::string& text) {
  Graph graph = import_onnx_graph(onnx::parse_model(span_of(text), "m.onnx"));
  verify(graph);
  to_text(graph);
  return graph;
}
std::string refusal(const std::string& text) {
  return message_of([&] { imported(text); });
}
template <typename... T>
std::vector<float> run(const Graph& graph, const T&... inputs) {
  const std::vector<const Tensor*> given{&inputs...};
  ReferenceCache cache;
  const std::vector<Tensor> outputs = interpret(graph, given, cache);
  const auto values = outputs.at(0).as<float>();
  return {values.begin(), values.end()};
}
Tensor numbers(const std::vector<float>& values) {
  return Tensor::of({static_cast<int64_t>(values.size())}, std::span<const float>(values));
}
Tensor truth(bool value) {
  Tensor tensor(DType::boolean, {});
  tensor.as<uint8_t>()[0] = value ? 1 : 0;
  return tensor;
}
/// f32[n] in x, y = what the nodes make of it.
OnnxGraph of_x(std::vector<std::string> nodes) {
  return {std::move(nodes), {}, {value("x", f32, {"n"})}, {value("y", f32, {"n"})}, {}};
}

TEST(OnnxGraphs, KeepTheNamesOfTheFile) {
  const Graph graph = imported(model(small_graph()));
  EXPECT_EQ(graph.value(graph.inputs().at(0)).type.text(), "f32[rows, 2]");
  EXPECT_EQ(graph.value(graph.outputs().at(0)).name, "y");
  EXPECT_EQ(graph.value(graph.outputs().at(0)).type.text(), "f32[rows, 3]");
  EXPECT_NE(graph.find("product"), none);
  EXPECT_NE(graph.find("w"), none);
  EXPECT_EQ(graph.node(graph.order().front()).name, "multiply");
}

TEST(OnnxGraphs, InitializersThatAreInputsTooAreConstants) {
  OnnxGraph graph = small_graph();
  graph.inputs.push_back(value("w", f32, {"2", "3"}));
  EXPECT_EQ(imported(model(graph)).inputs().size(), 1u);
}

TEST(OnnxGraphs, NodesMayStandInAnyOrder) {
  OnnxGraph graph = small_graph();
  std::swap(graph.nodes[0], graph.nodes[1]);
  EXPECT_EQ(imported(model(graph)).order().size(), 2u);
}

TEST(OnnxGraphs, OutputsHaveTheirNamesEvenWhenTheyAreInputs) {
  OnnxGraph graph = of_x({node("Identity", {"x"}, {"y"})});
  const Graph made = imported(model(graph));
  EXPECT_EQ(made.value(made.outputs()[0]).name, "y");
  EXPECT_THAT(run(made, numbers({1, 2})), ElementsAre(1, 2));
}

TEST(OnnxGraphs, OutputsHaveTheirNamesWhateverNodesAreCalled) {
  // A node that becomes several primitives, and nodes that are called as each other's outputs.
  OnnxGraph graph = of_x({node("Gelu", {"x"}, {"h"}, {}, "y", "com.microsoft"),
                          node("BiasGelu", {"h", "x"}, {"y"}, {}, "h", "com.microsoft")});
  graph.outputs.push_back(value("h", f32, {"n"}));
  const Graph made = imported(model(graph));
  EXPECT_EQ(made.value(made.outputs()[0]).name, "y");
  EXPECT_EQ(made.value(made.outputs()[1]).name, "h");
  graph.outputs.push_back(value("y", f32, {"n"}));
  EXPECT_EQ(refusal(model(graph)), "m.onnx: has the output 'y' twice; export it again");
}

TEST(OnnxGraphs, RefuseWhatDoesNotHangTogether) {
  EXPECT_EQ(refusal(model(of_x({node("Add", {"x", "lost"}, {"y"}, {}, "sum")}))),
            "m.onnx: node 'sum' (Add) uses 'lost', which is no initializer or input and made by no node; export it "
            "again");
  EXPECT_EQ(refusal(model(of_x({node("Add", {"x", "b"}, {"a"}, {}, "first"), node("Relu", {"c"}, {"b"}, {}, "third"),
                                node("Relu", {"a"}, {"c"}, {}, "second"), node("Relu", {"a"}, {"y"})}))),
            "m.onnx: has a cycle: node 'first' (Add) needs node 'third' (Relu) needs node 'second' (Relu) needs node "
            "'first' (Add); export it again");
  EXPECT_THAT(refusal(model(of_x({node("Relu", {"x"}, {"z"})}))), HasSubstr("has the output 'y', which no node makes"));
  OnnxGraph silent = of_x({node("Relu", {"x"}, {"y"})});
  silent.outputs.clear();
  EXPECT_THAT(refusal(model(silent)), HasSubstr("has a graph without outputs"));
  OnnxGraph shapeless = of_x({node("Relu", {"x"}, {"y"})});
  shapeless.inputs = {bytes(1, "x") + bytes(2, bytes(1, number(1, f32)))};
  EXPECT_THAT(refusal(model(shapeless)), HasSubstr("input 'x': has no shape"));
  shapeless.inputs = {bytes(1, "x") + bytes(2, bytes(4, bytes(1, bytes(1, number(1, f32)))))};
  EXPECT_THAT(refusal(model(shapeless)), HasSubstr("input 'x': is no tensor"));
}

TEST(OnnxGraphs, WarnOfDeclaredShapesThatLie) {
  const auto type_of_y = [](const OnnxGraph& graph) {
    const Graph made = imported(model(graph));
    return made.value(made.outputs()[0]).type.text();
  };
  OnnxGraph graph = small_graph();
  graph.outputs = {value("y", f32, {"rows", "4"})};
  configure_logging("warn");
  testing::internal::CaptureStderr();
  EXPECT_EQ(type_of_y(graph), "f32[rows, 3]");
  graph.values = {value("product", f32, {"rows"})};
  EXPECT_EQ(type_of_y(graph), "f32[rows, 3]");
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_THAT(said,
              HasSubstr("m.onnx: value 'y' is declared as f32[rows, 4], but its operator makes f32[rows, 3]; what "
                        "follows from the inputs counts"));
  EXPECT_THAT(said, HasSubstr("value 'product' is declared as f32[rows], but its operator makes f32[rows, 3] (1 more"));
}

TEST(OnnxGraphs, RefuseDeclaredElementTypesThatLie) {
  OnnxGraph graph = small_graph();
  graph.outputs = {value("y", i64, {"rows", "3"})};
  EXPECT_THAT(refusal(model(graph)), HasSubstr("is declared as i64, but its operator makes f32[rows, 3]"));
}

TEST(OnnxGraphs, NameAllUnsupportedOperatorsAtOnce) {
  const std::string message =
      refusal(model(of_x({node("Frob", {"x"}, {"a"}, {}, "n1"), node("Frob", {"a"}, {"b"}, {}, "n2"),
                          node("Twist", {"b"}, {"y"}, {}, "n3", "com.example"), node("Relu", {"x"}, {"c"})})));
  EXPECT_EQ(message,
            "m.onnx: has 2 operators that are not supported: Frob (n1, n2); com.example.Twist (n3); export the model "
            "with other operators, or with those as functions");
  std::vector<std::string> many;
  for (int i = 0; i < 3000; ++i) {
    const std::string name = std::string(500, 'x') + std::to_string(i);
    many.push_back(node("Op" + name, {"x"}, {"v" + name}, {}, name));
  }
  EXPECT_LT(refusal(model(of_x(many))).size(), 20'000u);
}

/// Of domain "own": opset 18 of ONNX inside, unless another is given.
std::string function(std::string_view name, Names inputs, Names outputs, const std::vector<std::string>& nodes,
                     Names attributes = {}, const std::vector<std::string>& defaults = {}) {
  std::string text = bytes(1, name) + bytes(9, number(2, 18)) + bytes(10, "own");
  for (const auto one : inputs) text += bytes(4, one);
  for (const auto one : outputs) text += bytes(5, one);
  for (const auto one : attributes) text += bytes(6, one);
  for (const auto& one : nodes) text += bytes(7, one);
  for (const auto& one : defaults) text += bytes(11, one);
  return text;
}

TEST(OnnxFunctions, StandInPlaceOfTheirCalls) {
  const std::string twice = function("Twice", {"a"}, {"b"}, {node("Add", {"a", "a"}, {"b"})});
  const std::string four = function(
      "Four", {"a"}, {"c"}, {node("Twice", {"a"}, {"b"}, {}, "", "own"), node("Twice", {"b"}, {"c"}, {}, "", "own")});
  const Graph graph = imported(model(of_x({node("Four", {"x"}, {"y"}, {}, "call", "own")}), 18, {four, twice}));
  EXPECT_THAT(run(graph, numbers({1, 2})), ElementsAre(4, 8));
  EXPECT_EQ(graph.value(graph.outputs()[0]).name, "y");
  EXPECT_NE(graph.find("call/b"), none);
}

TEST(OnnxFunctions, HaveAttributesAndDefaults) {
  const std::string cut = function("Cut", {"a"}, {"b"},
                                   {node("Shape", {"a"}, {"shape"}, {reference("end", "last")}),
                                    node("Cast", {"shape"}, {"wide"}, {integer_attribute("to", f32)}),
                                    node("ReduceSum", {"wide"}, {"sum"}), node("Add", {"a", "sum"}, {"b"})},
                                   {}, {integer_attribute("last", 0)});
  const auto with = [&](std::initializer_list<std::string> attributes) {
    return run(imported(model(of_x({node("Cut", {"x"}, {"y"}, attributes, "", "own")}), 18, {cut})), numbers({1, 2}));
  };
  EXPECT_THAT(with({integer_attribute("last", 1)}), ElementsAre(3, 4));
  EXPECT_THAT(with({}), ElementsAre(1, 2));
}

TEST(OnnxFunctions, MayNotCallThemselves) {
  const std::string self = function("Self", {"a"}, {"b"}, {node("Self", {"a"}, {"b"}, {}, "", "own")});
  EXPECT_THAT(refusal(model(of_x({node("Self", {"x"}, {"y"}, {}, "", "own")}), 18, {self})),
              HasSubstr("has the function 'Self', which calls itself"));
  EXPECT_THAT(refusal(model(of_x({node("Self", {"x"}, {"y"}, {}, "", "own")}), 18, {self, self})),
              HasSubstr("has the function 'Self' twice"));
  // Each calls the one before it twice: 2^20 nodes.
  std::vector<std::string> doubling{function("F0", {"a"}, {"b"}, {node("Add", {"a", "a"}, {"b"})})};
  for (int i = 1; i <= 20; ++i) {
    const std::string before = "F" + std::to_string(i - 1);
    doubling.push_back(
        function("F" + std::to_string(i), {"a"}, {"c"},
                 {node(before, {"a"}, {"b"}, {}, "", "own"), node(before, {"b"}, {"c"}, {}, "", "own")}));
  }
  EXPECT_THAT(refusal(model(of_x({node("F20", {"x"}, {"y"}, {}, "", "own")}), 18, doubling)),
              HasSubstr("nodes, functions in their places"));
}

OnnxGraph body(std::vector<std::string> nodes, std::vector<std::string> inputs, Names outputs) {
  OnnxGraph graph{std::move(nodes), {}, std::move(inputs), {}, {}};
  for (const auto output : outputs) graph.outputs.push_back(bytes(1, output));
  return graph;
}

TEST(OnnxControl, BranchesUseValuesAroundThem) {
  OnnxGraph graph =
      of_x({node("Add", {"x", "x"}, {"twice"}),
            node("If", {"c"}, {"y"},
                 {graph_attribute("then_branch", body({node("Add", {"x", "twice"}, {"t"})}, {}, {"t"}).text()),
                  graph_attribute("else_branch", body({node("Neg", {"twice"}, {"e"})}, {}, {"e"}).text())})});
  graph.inputs.push_back(value("c", boolean, {}));
  const Graph made = imported(model(graph));
  EXPECT_EQ(made.value(made.outputs()[0]).type.text(), "f32[n]");
  EXPECT_THAT(run(made, numbers({1, 2}), truth(true)), ElementsAre(3, 6));
  EXPECT_THAT(run(made, numbers({1, 2}), truth(false)), ElementsAre(-2, -4));
  EXPECT_THAT(to_text(made), HasSubstr("| else:\n| graph (twice: f32[?0_0]) -> (e)\n"));
  EXPECT_EQ(to_text(parse_graph(to_text(made))), to_text(made));
  EXPECT_THAT(run(parse_graph(to_text(made)), numbers({1, 2}), truth(false)), ElementsAre(-2, -4));
}

TEST(OnnxControl, ABranchThatIsKnownStandsInPlace) {
  OnnxGraph graph = of_x({node("If", {"c"}, {"y"},
                               {graph_attribute("then_branch", body({node("Neg", {"x"}, {"t"})}, {}, {"t"}).text()),
                                graph_attribute("else_branch", body({node("Abs", {"x"}, {"e"})}, {}, {"e"}).text())})});
  for (const std::initializer_list<int64_t> shape : {std::initializer_list<int64_t>{}, {1}, {1, 1}}) {
    graph.initializers = {tensor("c", boolean, shape, std::string(1, '\1'))};
    const Graph made = imported(model(graph));
    ASSERT_EQ(made.order().size(), 1u);
    EXPECT_THAT(run(made, numbers({1})), ElementsAre(-1));
  }
  graph.initializers = {tensor("c", boolean, {2, 1}, std::string(2, '\1'))};
  EXPECT_THAT(refusal(model(graph)), HasSubstr("has a condition of 2 elements"));
}

TEST(OnnxControl, AConditionIsOneElementOfAnyRank) {
  OnnxGraph graph = of_x({node("If", {"c"}, {"y"},
                               {graph_attribute("then_branch", body({node("Neg", {"x"}, {"t"})}, {}, {"t"}).text()),
                                graph_attribute("else_branch", body({node("Abs", {"x"}, {"e"})}, {}, {"e"}).text())})});
  graph.inputs.push_back(value("c", boolean, {"1", "1"}));
  Tensor condition(DType::boolean, {1, 1});
  condition.as<uint8_t>()[0] = 1;
  EXPECT_THAT(run(imported(model(graph)), numbers({3}), condition), ElementsAre(-3));
  graph.inputs.back() = value("c", boolean, {"1", "2"});
  EXPECT_THAT(refusal(model(graph)), HasSubstr("takes its condition as one bool, not as bool[1, 2]"));
}

TEST(OnnxControl, BranchesOfDifferentRanksAreRefused) {
  OnnxGraph graph = of_x({node(
      "If", {"c"}, {"y"},
      {graph_attribute("then_branch",
                       body({node("ReduceSum", {"x"}, {"t"}, {integer_attribute("keepdims", 0)})}, {}, {"t"}).text()),
       graph_attribute("else_branch", body({node("Abs", {"x"}, {"e"})}, {}, {"e"}).text())})});
  graph.inputs.push_back(value("c", boolean, {}));
  EXPECT_THAT(refusal(model(graph)), HasSubstr("which are of different types or ranks"));
}

TEST(OnnxControl, LoopsMayCarryWhatGrows) {
  // Each step appends the step's number to what it carries.
  const OnnxGraph steps =
      body({node("Cast", {"i"}, {"f"}, {integer_attribute("to", f32)}), node("Unsqueeze", {"f", "zero"}, {"u"}),
            node("Concat", {"v", "u"}, {"w"}, {integer_attribute("axis", 0)}), node("Identity", {"go"}, {"still"})},
           {value("i", i64, {}), value("go", boolean, {}), value("v", f32, {"m"})}, {"still", "w"});
  OnnxGraph graph = of_x({node("Loop", {"count", "", "x"}, {"y"}, {graph_attribute("body", steps.text())})});
  graph.initializers = {integers("zero", {1}, {0}), integers("count", {}, {3})};
  graph.outputs = {value("y", f32, {"grown"})};
  const Graph made = imported(model(graph));
  EXPECT_THAT(run(made, numbers({7})), ElementsAre(7, 0, 1, 2));
  EXPECT_EQ(to_text(parse_graph(to_text(made))), to_text(made));
}

TEST(OnnxControl, GraphsInGraphsEndSomewhere) {
  OnnxGraph inner = body({node("Neg", {"x"}, {"t"})}, {}, {"t"});
  for (int depth = 0; depth < 12; ++depth) {
    inner = body({node("If", {"c"}, {"t"},
                       {graph_attribute("then_branch", inner.text()), graph_attribute("else_branch", inner.text())})},
                 {}, {"t"});
    if (depth > 9)
      inner.nodes[0] = node("If", {"c"}, {"t"},
                            {graph_attribute("then_branch", inner.text()),
                             graph_attribute("else_branch", body({node("Neg", {"x"}, {"t"})}, {}, {"t"}).text())});
  }
  inner.inputs = {value("x", f32, {"n"}), value("c", boolean, {})};
  inner.outputs = {value("t", f32, {"n"})};
  EXPECT_THAT(refusal(model(inner)), HasSubstr("has graphs in graphs, more than 8 deep"));
}

}  // namespace
}  // namespace incipit
