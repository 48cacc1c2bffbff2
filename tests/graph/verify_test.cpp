#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/ops/kv_write.h"
#include "graph/text_form.h"
#include "symbols.h"

namespace incipit {

// The parts of a graph that its members keep in order, to put them out of it.
struct GraphBreaker {
  static Value& value(Graph& graph, ValueId id) { return graph.values_[static_cast<size_t>(id)]; }
  static Node& node(Graph& graph, NodeId id) { return graph.nodes_[static_cast<size_t>(id)]; }
  static std::vector<NodeId>& order(Graph& graph) { return graph.order_; }
  static std::vector<ValueId>& inputs(Graph& graph) { return graph.inputs_; }
};

namespace {

using ::testing::HasSubstr;

Graph valid() {
  return parse_graph(R"(graph (ids: i32[T], position: i32[T]) -> (y)
const w : f32[4, 4] = random(1, 1)
x : f32[T, 4] = Embedding(ids, w)
c : cache = KvWrite(x, x, position) {kv_heads = 2, head_dim = 2}
a : f32[T, 4] = Attention(x, position, c) {heads = 2, kv_heads = 2, head_dim = 2}
y : f32[T, 4] = Linear(a, w)
)");
}

void expect_invalid(const Graph& graph, const std::string& what) {
  try {
    verify(graph);
    ADD_FAILURE() << "accepted; expected: " << what;
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(what));
  }
}

TEST(Verify, AcceptsAValidGraph) { EXPECT_NO_THROW(verify(valid())); }

TEST(Verify, UseBeforeDefinition) {
  Graph graph = valid();
  std::swap(GraphBreaker::order(graph)[2], GraphBreaker::order(graph)[3]);
  expect_invalid(graph, "node y: uses a before it is made");
}

TEST(Verify, TypesAreThoseTheRulesInfer) {
  Graph graph = valid();
  GraphBreaker::value(graph, graph.find("y")).type.dtype = DType::bf16;
  expect_invalid(graph, "value y: is bf16[T, 4], but Linear makes f32[T, 4]");
}

TEST(Verify, InputsFitTheRule) {
  Graph graph = valid();
  graph.set_input(producer(graph, "y"), 0, graph.find("ids"));
  expect_invalid(graph, "node y: Linear input x is i32[T]");
}

TEST(Verify, NamesAreUnique) {
  Graph graph = valid();
  GraphBreaker::value(graph, graph.find("y")).name = "x";
  expect_invalid(graph, "value x: has the name of another value");
  GraphBreaker::value(graph, graph.find("y")).name = "";
  expect_invalid(graph, "has no name");
}

TEST(Verify, OneProducerAValue) {
  Graph graph = valid();
  GraphBreaker::node(graph, producer(graph, "y")).outputs = {graph.find("x")};
  expect_invalid(graph, "value x: has more than one producer");
}

TEST(Verify, AsManyOutputsAsTheOpMakes) {
  Graph graph = valid();
  GraphBreaker::node(graph, producer(graph, "y")).outputs.clear();
  expect_invalid(graph, "node y: has 0 outputs, its op 1");
}

TEST(Verify, RemovedNodesAreOutOfTheOrder) {
  Graph graph = valid();
  GraphBreaker::node(graph, producer(graph, "y")).op = nullptr;
  expect_invalid(graph, "was removed but is still in the order");
}

TEST(Verify, OutputsArePresent) {
  Graph graph = valid();
  graph.set_outputs({});
  expect_invalid(graph, "outputs: there are none");
  graph = valid();
  std::erase(GraphBreaker::order(graph), producer(graph, "y"));
  expect_invalid(graph, "is made by no node");
}

TEST(Verify, InputsAreNotProduced) {
  Graph graph = valid();
  GraphBreaker::inputs(graph).push_back(graph.find("y"));
  expect_invalid(graph, "input y: is produced inside the graph");
}

TEST(Verify, ConstantsHaveTheirType) {
  Graph graph = valid();
  GraphBreaker::value(graph, graph.find("w")).type.dtype = DType::f16;
  expect_invalid(graph, "constant w: is f32[4, 4], not f16[4, 4]");
}

TEST(Verify, ALayersCacheIsWrittenOnce) {
  Graph graph = valid();
  ops::KvWrite again;
  again.kv_heads = 2;
  again.head_dim = 2;
  graph.add("again", again, {graph.find("x"), graph.find("x"), graph.find("position")});
  expect_invalid(graph, "node again: writes the cache of layer 0 a second time");
}

TEST(Verify, ACacheIsReadAsItWasWritten) {
  for (const int change : {0, 1, 2, 3}) {
    Graph graph = valid();
    graph.change<ops::KvWrite>(producer(graph, "c"), [&](ops::KvWrite& op) {
      if (change == 0) op.layer = 1;
      if (change == 1) op.cache = DType::bf16;
      if (change == 2) op.window = 8;
      if (change == 3) op.kv_heads = 1, op.head_dim = 4;
    });
    expect_invalid(graph, "node a: reads a cache that was written with another");
  }
}

}  // namespace
}  // namespace incipit
