#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/text_form.h"
#include "random_graph.h"
#include "support/same_op.h"
#include "support/sanitized.h"

namespace incipit {
namespace {

using ::testing::HasSubstr;

/// Finds the constants of a graph by digest.
ConstantResolver resolver(const Graph& graph) {
  std::map<std::string, ConstantPtr, std::less<>> known;
  for (const ValueId id : graph.constants()) {
    known[graph.value(id).constant->digest().hex()] = graph.value(id).constant;
  }
  return [known](std::string_view digest, const ValueType&) {
    const auto found = known.find(digest);
    return found == known.end() ? nullptr : found->second;
  };
}

void expect_same_graph(const Graph& a, const Graph& b) {
  ASSERT_EQ(a.order().size(), b.order().size());
  const auto name = [](const Graph& graph, ValueId id) { return id == none ? "-" : graph.value(id).name; };
  const auto names = [&](const Graph& graph, const std::vector<ValueId>& ids) {
    std::vector<std::string> all;
    for (const ValueId id : ids) all.push_back(name(graph, id));
    return all;
  };
  EXPECT_EQ(names(a, a.inputs()), names(b, b.inputs()));
  EXPECT_EQ(names(a, a.outputs()), names(b, b.outputs()));
  for (size_t i = 0; i < a.inputs().size(); ++i) {
    EXPECT_EQ(a.value(a.inputs()[i]).type, b.value(b.inputs()[i]).type);
  }
  EXPECT_EQ(names(a, a.constants()), names(b, b.constants()));
  for (const ValueId id : a.constants()) {
    const ValueId other = b.find(a.value(id).name);
    ASSERT_NE(other, none);
    EXPECT_EQ(a.value(id).constant->digest(), b.value(other).constant->digest());
  }
  for (size_t i = 0; i < a.order().size(); ++i) {
    const Node& left = a.node(a.order()[i]);
    const Node& right = b.node(b.order()[i]);
    EXPECT_EQ(left.name, right.name);
    EXPECT_TRUE(same_op(*left.op, *right.op)) << left.name;
    EXPECT_EQ(names(a, left.inputs), names(b, right.inputs));
    EXPECT_EQ(names(a, left.outputs), names(b, right.outputs));
  }
}

TEST(Text, RandomGraphsParseBack) {
  std::mt19937 random(11);
  for (int i = 0; i < 60; ++i) {
    const Graph graph = random_graph(random, 40);
    verify(graph);
    const std::string text = to_text(graph);
    Graph again;
    ASSERT_NO_THROW(again = parse_graph(text, resolver(graph))) << text;
    verify(again);
    expect_same_graph(graph, again);
    EXPECT_EQ(to_text(again), text);
    EXPECT_EQ(to_text(graph.clone()), text);
  }
}

constexpr std::string_view example = R"(graph (ids: i32[T], rows: i32[R]) -> (logits)
const table : f32[3, 2] = {1, 2, 3, 4, 5, 6}
const head.bias : f32[4] = zeros
const head.weight : bf16[4, 2] = random(7, 0.5)
x : f32[T, 2] = Embedding(ids, table) {scale = 0.1}
last : f32[R, 2] = GatherRows(x, rows)
logits : f32[R, 4] = Linear(last, head.weight, head.bias) {activation = "silu"}  # head
)";

TEST(Text, ReadsAsWritten) {
  const Graph graph = parse_graph(example);
  verify(graph);
  std::string text(example);
  // Constants are printed in the order of their first use.
  const size_t bias = text.find("const head.bias"), weight = text.find("const head.weight");
  const std::string bias_line = text.substr(bias, weight - bias);
  text.erase(bias, bias_line.size());
  text.insert(text.find("x :"), bias_line);
  EXPECT_EQ(to_text(graph), text);
  EXPECT_EQ(graph.node(graph.order().back()).name, "head");
}

TEST(Text, CommentsAndEmptyLinesAreSkipped) {
  EXPECT_EQ(to_text(parse_graph("# a comment\n\n" + std::string(example) + "\n  # another\n")),
            to_text(parse_graph(example)));
}

TEST(Text, UnknownDigestsReadAsZerosWithoutAResolver) {
  const std::string text =
      "graph (ids: i32[T]) -> (x)\nconst w : f32[900, 2] = @0011\nx : f32[T, 2] = Embedding(ids, w)\n";
  EXPECT_EQ(parse_graph(text).value(parse_graph(text).find("w")).constant->recipe(), "zeros");
  EXPECT_THROW(parse_graph(text, [](std::string_view, const ValueType&) { return ConstantPtr(); }), Error);
}

void expect_refused(const std::string& text, const std::string& line, const std::string& fault) {
  try {
    parse_graph(text);
    ADD_FAILURE() << "accepted: " << text;
  } catch (const Error& error) {
    EXPECT_THAT(error.thing(), HasSubstr(line)) << error.what();
    EXPECT_THAT(error.fault(), HasSubstr(fault)) << error.what();
  }
}

TEST(Text, ErrorsNameTheLine) {
  const std::string head =
      "graph (ids: i32[T]) -> (y)\nconst w : f32[2, 2] = zeros\nx : f32[T, 2] = Embedding(ids, w)\n";
  expect_refused("", "line 1", "no graph");
  expect_refused("grph", "line 1", "'graph' is missing");
  expect_refused(head, "line 3", "output y is not made");
  expect_refused(head + "y : f32[T, 2] = Sine(x)\n", "line 4", "no op 'Sine'");
  expect_refused(head + "y : f32[T, 2] = Linear(z, w)\n", "line 4", "nothing before this line makes z");
  expect_refused(head + "y : f32[T, 3] = Linear(x, w)\n", "line 4", "makes f32[T, 2], not f32[T, 3]");
  expect_refused(head + "y : f32[T, 2] = Linear(x)\n", "line 4", "lacks its input weight");
  expect_refused(head + "x : f32[T, 2] = Linear(x, w)\n", "line 4", "taken");
  expect_refused(head + "y : f32[T, 2], z : f32[T, 2] = Linear(x, w)\n", "line 4", "has 1 outputs");
  expect_refused(head + "y : f32[T, 2] = Linear(x, w) {speed = 3}\n", "line 4", "no attribute 'speed'");
  expect_refused(head + "y : f32[T, 2] = Linear(x, w) {activation = 3}\n", "line 4", "must be a string");
  expect_refused(head + "y : f32[T, 2] = Linear(x, w) {activation = \"sine\"}\n", "line 4",
                 "activation cannot be \"sine\"");
  expect_refused(head + "y : f32[T, 2] = Linear(x, w) {output = \"f99\"}\n", "line 4", "output cannot be \"f99\"");
  expect_refused(head + "y : f32[T, 2] = Unary(x) {function = \"sine\"}\n", "line 4", "function cannot be \"sine\"");
  expect_refused(head + "y : f32[T, 2] = Unary(x)\n", "line 4", "no function");
  expect_refused(head + "y : f32[T, 2] = Pad(x, w) {mode = \"spiral\"}\n", "line 4", "mode cannot be \"spiral\"");
  expect_refused(head + "y : f32[T, 2] = Linear(x, w) # a b\n", "line 4", "more on the line");
  expect_refused(head + "y : f99[T, 2] = Linear(x, w)\n", "line 4", "f99");
  expect_refused("graph () -> ()\nconst w : f32[T] = zeros\n", "line 2", "cannot be T");
  expect_refused("graph () -> ()\nconst w : f32[-1] = zeros\n", "line 2", "cannot be -1");
  expect_refused("graph () -> ()\nconst w : i8[2] = {1, 300}\n", "line 2", "'300' is not a i8");
  expect_refused("graph () -> ()\nconst w : i8[2] = {1}\n", "line 2", "1 elements, not 2");
  expect_refused("graph () -> ()\nconst \"w : i8[2] = {1}\n", "line 2", "does not end");
}

constexpr std::string_view with_graphs =
    "graph (c: bool[], x: f32[n]) -> (y)\n"
    "const one : f32[] = {1}\n"
    "y : f32[n] = If(c, x, c, x, one)  # choice\n"
    "| then:\n"
    "| graph (x: f32[n]) -> (t)\n"
    "| t : f32[n] = Unary(x) {function = \"neg\"}\n"
    "| else:\n"
    "| graph (c: bool[], x: f32[n], one: f32[]) -> (e)\n"
    "| const two : f32[] = {2}\n"
    "| e : f32[n] = If(c, x, one, x, two)\n"
    "| | then:\n"
    "| | graph (x: f32[n], one: f32[]) -> (t)\n"
    "| | t : f32[n] = Binary(x, one) {function = \"add\"}\n"
    "| | else:\n"
    "| | graph (x: f32[n], two: f32[]) -> (e)\n"
    "| | e : f32[n] = Binary(x, two) {function = \"mul\"}\n";

TEST(Text, GraphsInGraphsParseBack) {
  const Graph graph = parse_graph(with_graphs);
  verify(graph);
  EXPECT_EQ(to_text(graph), with_graphs);
  Tensor condition(DType::boolean, {});
  condition.as<uint8_t>()[0] = 0;
  const Tensor x = Tensor::of({2}, std::span<const float>(std::vector<float>{3, 4}));
  const Tensor* inputs[] = {&condition, &x};
  ReferenceCache cache;
  EXPECT_THAT(interpret(graph, inputs, cache).at(0).as<float>(), ::testing::ElementsAre(6, 8));
}

TEST(Text, ErrorsInGraphsInGraphsNameTheLine) {
  const std::string head = "graph (c: bool[], x: f32[n]) -> (y)\n", node = head + "y : f32[n] = If(c, x, x)\n";
  const std::string branch = "| graph (x: f32[n]) -> (t)\n| t : f32[n] = Unary(x) {function = \"neg\"}\n";
  expect_refused(node, "line 2", "'then:' is missing");
  expect_refused(node + "| then:\n" + branch, "line 2", "'else:' is missing");
  expect_refused(node + "| then:\n" + branch + "| other:\n" + branch, "line 6", "unknown element type");
  expect_refused(node + "| then:\n" + branch + "| else:\n" + branch + "| else:\n" + branch, "line 9", "no such graph");
  expect_refused(node + "| then:\n| graph (x: f32[n]) -> (t)\n| t : f32[n] = Sine(x)\n| else:\n" + branch, "line 5",
                 "no op 'Sine'");
  expect_refused(head + "| then:\n" + branch, "line 2", "no node before");
  expect_refused("| graph () -> ()\n", "line 1", "no node before");
  expect_refused(head + "y : f32[n] = Unary(x) {function = \"neg\"}\n| then:\n", "line 3", "no graph of its own");
}

// Whatever happens to a text, the parser answers with a graph or an Error.
TEST(Text, MutatedTextsNeverCrash) {
  std::mt19937 random(5);
  const auto below = [&](size_t limit) { return std::uniform_int_distribution<size_t>(0, limit - 1)(random); };
  std::vector<std::string> texts{std::string(example), std::string(with_graphs)};
  for (int i = 0; i < 8; ++i) texts.push_back(to_text(random_graph(random, 12)));
  static constexpr std::string_view pieces[] = {
      "(",        ")",     "{",    "}",   "[",    "]",      ",",  "\"",    "\\",        "_",
      "-",        "@",     "#",    "=",   ":",    "\n",     " ",  "cache", "f32[T, 2]", "99999999999999999999",
      "-1",       "T*T*T", "1e39", "nan", "true", "const ", "->", "\\x",   "zeros",     "|",
      "| then:\n"};
  int accepted = 0;
  for (int i = 0; i < (sanitized ? 5000 : 20000); ++i) {
    std::string text = texts[below(texts.size())];
    for (size_t edits = 1 + below(3); edits > 0; --edits) {
      const size_t at = below(text.size());
      switch (below(4)) {
        case 0: text.erase(at, 1 + below(5)); break;
        case 1: text.insert(at, pieces[below(std::size(pieces))]); break;
        case 2: text[at] = static_cast<char>(below(256)); break;
        default: {
          const size_t from = below(text.size());
          text.insert(at, text.substr(from, below(40)));
        }
      }
    }
    try {
      const Graph graph = parse_graph(text);
      ++accepted;
      to_text(graph);
    } catch (const Error&) {
    }
  }
  EXPECT_GT(accepted, 100);  // else the mutations are too coarse to reach far
}

}  // namespace
}  // namespace incipit
