#include "graph/text_form.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/ops/add.h"
#include "graph/ops/rms_norm.h"
#include "graph/summary.h"
#include "random_graph.h"
#include "symbols.h"

namespace incipit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

Graph diamond() {
  return parse_graph(R"(graph (x: f32[T, 4]) -> (d)
const g : f32[4] = {1, 2, 3, 4}
a : f32[T, 4] = RmsNorm(x, g)
b : f32[T, 4] = Add(a, x)
unused : f32[T, 4] = Add(b, b)
c : f32[T, 4] = Multiply(a, b)
d : f32[T, 4] = Add(c, a)
)");
}

TEST(Graph, UsesAreInOrder) {
  const Graph graph = diamond();
  EXPECT_THAT(graph.uses(graph.find("a")),
              ElementsAre(Pair(producer(graph, "b"), 0), Pair(producer(graph, "c"), 0), Pair(producer(graph, "d"), 1)));
  EXPECT_EQ(graph.use_count(graph.find("d")), 1);
  EXPECT_TRUE(graph.is_output(graph.find("d")));
  EXPECT_TRUE(graph.uses(graph.find("d")).empty());
}

TEST(Graph, RemoveUnusedDropsNodesAndConstants) {
  Graph graph = diamond();
  graph.set_input(producer(graph, "a"), 1, none);
  EXPECT_EQ(graph.remove_unused(), 1);
  EXPECT_EQ(graph.find("unused"), none);
  EXPECT_EQ(graph.find("g"), none);
  EXPECT_TRUE(graph.constants().empty());
  verify(graph);
}

TEST(Graph, ReplaceUsesChangesOutputsToo) {
  Graph graph = diamond();
  graph.replace_uses(graph.find("d"), graph.find("b"));
  EXPECT_THAT(graph.outputs(), ElementsAre(graph.find("b")));
  graph.remove_node(producer(graph, "d"));
  verify(graph);
}

TEST(Graph, SortRestoresOrderAndKeepsWhatWasInOrder) {
  Graph graph = diamond();
  graph.sort();
  EXPECT_EQ(to_text(graph), to_text(diamond()));
  // A node at the end that an early one comes to use.
  const ValueId late = graph.add("late", ops::Add{}, {graph.find("x"), graph.find("x")});
  graph.set_input(producer(graph, "b"), 1, late);
  EXPECT_THROW(verify(graph), Error);
  graph.sort();
  verify(graph);
  std::vector<std::string> names;
  for (const NodeId n : graph.order()) names.push_back(graph.node(n).name);
  EXPECT_THAT(names, ElementsAre("a", "late", "b", "unused", "c", "d"));
}

TEST(Graph, ChangedOpsChangeTheirOutputs) {
  Graph graph = diamond();
  graph.change<ops::RmsNorm>(producer(graph, "a"), [](ops::RmsNorm& op) { op.output = DType::i8; });
  const Node& node = graph.node(producer(graph, "a"));
  ASSERT_EQ(node.outputs.size(), 2u);
  EXPECT_EQ(graph.value(node.outputs[0]).type.text(), "i8[T, 4]");
  EXPECT_EQ(graph.value(node.outputs[1]).type.text(), "f32[T]");
  EXPECT_THROW(verify(graph), Error);  // Add takes no codes
}

TEST(Graph, NamesAreMadeUnique) {
  Graph graph;
  const ValueId a = graph.add_input("x", {DType::f32, {2, 2}}), b = graph.add_input("x", {DType::f32, {2, 2}});
  EXPECT_EQ(graph.value(b).name, "x:2");
  graph.rename(a, "y");
  graph.rename(b, "x");
  EXPECT_EQ(graph.value(b).name, "x");
  EXPECT_EQ(graph.find("x"), b);
  EXPECT_EQ(graph.find("x:2"), none);
}

TEST(Graph, ShapeErrorsNameTheNode) {
  Graph graph;
  const ValueId x = graph.add_input("x", {DType::f32, {2, 2}}), y = graph.add_input("y", {DType::f32, {2, 3}});
  try {
    graph.add("sum", ops::Add{}, {x, y});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("sum: Add input y is f32[2, 3]: dimension 1 must be 2"));
  }
}

TEST(Graph, ClonesAreApart) {
  Graph graph = diamond();
  Graph copy = graph.clone();
  copy.change<ops::RmsNorm>(producer(copy, "a"), [](ops::RmsNorm& op) { op.epsilon = 1; });
  EXPECT_EQ(to_text(graph), to_text(diamond()));
  EXPECT_NE(to_text(copy), to_text(graph));
}

TEST(Graph, SummaryCounts) {
  const Graph graph = parse_graph(R"(graph (ids: i32[T], position: i32[T]) -> (y)
const w : f32[8, 4] = zeros
const g : f32[4] = zeros
const f : f32[2] = zeros
x : f32[T, 4] = Embedding(ids, w)
n : f32[T, 4] = RmsNorm(x, g)
r : f32[T, 4] = Rotary(n, position, f) {heads = 1, head_dim = 4}
y : f32[T, 8] = Linear(r, w)
z : f32[T, 8] = Linear(n, w)
)");
  EXPECT_EQ(parameter_count(graph), 8 * 4 + 4);
  const std::vector<OpCount> counts = op_counts(graph);
  EXPECT_EQ(counts[0].op, "Linear");
  EXPECT_EQ(counts[0].nodes, 2);
  EXPECT_EQ(counts.size(), 4u);
}

TEST(Graph, RewritingRandomGraphsKeepsThemValid) {
  std::mt19937 random(3);
  for (int i = 0; i < 30; ++i) {
    Graph graph = random_graph(random, 30);
    const std::string outputs = to_text(graph).substr(0, to_text(graph).find('\n'));
    graph.remove_unused();
    verify(graph);
    EXPECT_EQ(graph.remove_unused(), 0);
    const std::string text = to_text(graph);
    graph.sort();
    EXPECT_EQ(to_text(graph), text);
    EXPECT_EQ(text.substr(0, text.find('\n')), outputs);
  }
}

}  // namespace
}  // namespace incipit
