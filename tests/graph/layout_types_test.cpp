// What the shape rules of primitives that move, index and reduce make of known and unknown extents.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "graph/ops/primitive.h"
#include "graph/text_form.h"
#include "support/infer_types.h"
#include "support/sanitized.h"
#include "symbols.h"

namespace incipit {
namespace {

using primitives::OutputTypes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

using Dims = std::vector<Dim>;

ValueType known(Dims values) { return {DType::i64, {static_cast<int64_t>(values.size())}, std::move(values)}; }
ValueType known_scalar(Dim value) { return {DType::i64, {}, Dims{std::move(value)}}; }
ValueType some(int64_t length) { return {DType::i64, {length}}; }

template <typename P, typename... Types>
ValueType infer(const P& op, const Types&... types) {
  return infer_types(op, std::array<ValueType, sizeof...(Types)>{types...}).at(0);
}
template <typename P, typename... Types>
Dims shape_of(const P& op, const Types&... types) {
  return infer(op, types...).shape;
}
template <typename P, typename... Types>
Dims contents_of(const P& op, const Types&... types) {
  return infer(op, types...).contents.value_or(Dims{Dim::symbol("none")});
}

TEST(LayoutTypes, ReshapeWorksOutWhatIsLeft) {
  const primitives::Reshape reshape;
  EXPECT_THAT(shape_of(reshape, f32({b, s, 64}), known({b, s, 4, 16})), ElementsAre(b, s, 4, 16));
  EXPECT_THAT(shape_of(reshape, f32({b, s, 64}), known({0, 0, -1, 16})), ElementsAre(b, s, 4, 16));
  EXPECT_THAT(shape_of(reshape, f32({b, s, 64}), known({-1, 64})), ElementsAre(b * s, 64));
  EXPECT_THAT(shape_of(reshape, f32({b, 2, past + s, 8}), known({b, -1, 16})), ElementsAre(b, past + s, 16));
  EXPECT_THAT(shape_of(reshape, f32({b * s, 6}), known({-1, s, 6})), ElementsAre(b, s, 6));
  EXPECT_THAT(shape_of(reshape, f32({b, s}), known({-1, 3})), ElementsAre(unknown, 3));
  EXPECT_THAT(shape_of(reshape, f32({b, s}), known({Dim::symbol("?3v0"), 3})), ElementsAre(unknown, 3));
  EXPECT_THAT(shape_of(reshape, f32({b, 6}), known({Dim::symbol("?3v0"), 3})), ElementsAre(b * 2, 3));
  EXPECT_THAT(shape_of(reshape, f32({b, s}), some(1)), ElementsAre(b * s));
  EXPECT_THAT(shape_of(reshape, f32({b, s}), some(2)), ElementsAre(unknown, unknown));
  EXPECT_THAT(contents_of(reshape, known({b, s}), known({-1})), ElementsAre(b, s));
  EXPECT_THROW(infer(reshape, f32({4, 6}), known({5, 5})), Error);
  EXPECT_THROW(infer(reshape, f32({4, 6}), known({-1, -1})), Error);
  EXPECT_THROW(infer(reshape, f32({4, 6}), known({-3, 2})), Error);
  EXPECT_THROW(infer(reshape, f32({4}), known({2, 0, 2})), Error);
  EXPECT_THROW(infer(reshape, f32({4}), f32({1})), Error);
  EXPECT_THROW(infer(reshape, f32({4}), ValueType{DType::i64, {s}}), Error);  // of unknown rank
  EXPECT_THROW(infer(reshape, f32({4}), some(int64_t{1} << 40)), Error);
}

TEST(LayoutTypes, ShapesAreComputedWith) {
  const ValueType shape = infer(primitives::ShapeOf{}, f32({b, past + s, 64}));
  EXPECT_THAT(*shape.contents, ElementsAre(b, past + s, 64));
  EXPECT_THAT(contents_of(primitives::ShapeOf{1, 2}, f32({b, s, 64})), ElementsAre(s));
  EXPECT_THAT(contents_of(primitives::Size{}, f32({b, s, 64})), ElementsAre(b * s * 64));
  EXPECT_THAT(contents_of(primitives::Gather{}, shape, known_scalar(-2)), ElementsAre(past + s));
  EXPECT_THAT(contents_of(primitives::Gather{}, shape, known({2, 0})), ElementsAre(64, b));
  EXPECT_THROW(infer(primitives::Gather{}, shape, known({3})), Error);
  EXPECT_THAT(contents_of(primitives::Slice{}, shape, known({-2}), known({INT64_MAX})), ElementsAre(past + s, 64));
  EXPECT_THAT(contents_of(primitives::Slice{}, shape, known({-1}), known({INT64_MIN}), known({0}), known({-1})),
              ElementsAre(64, past + s, b));
  EXPECT_THAT(contents_of(primitives::Unsqueeze{}, known_scalar(s), known({0})), ElementsAre(s));
  EXPECT_THAT(contents_of(primitives::Squeeze{}, known({s}), known({0})), ElementsAre(s));
  EXPECT_THAT(contents_of(primitives::Concat{}, known({b}), known({-1, s})), ElementsAre(b, -1, s));
  EXPECT_THAT(contents_of(primitives::Expand{}, known_scalar(s), known({3})), ElementsAre(s, s, s));
  EXPECT_THAT(contents_of(primitives::Reduce{primitives::Reduce::prod}, shape), ElementsAre((past + s) * b * 64));
  EXPECT_THAT(contents_of(primitives::Reduce{primitives::Reduce::sum, false}, known({s, 1})), ElementsAre(s + 1));
  const OutputTypes parts = infer_types(primitives::Split{0, 2}, std::array{shape, known({1, 2})});
  EXPECT_THAT(*parts[1].contents, ElementsAre(past + s, 64));
}

// A table of positions has rows for so many tokens, and as many are taken of it as there are.
TEST(LayoutTypes, TheBeginningOfATableIsNoLongerThanWhatItIsAddedTo) {
  const auto beginning = [](const Dim& extent, const Dim& end) {
    return shape_of(primitives::Slice{}, f32({1, extent}), known({0}), known({end}), known({1}))[1];
  };
  const Dim rows = beginning(128, s);
  EXPECT_TRUE(rows.is_unknown_symbol() && rows != unknown) << rows.text();
  EXPECT_EQ(beginning(128, s), rows);
  EXPECT_NE(beginning(64, s), rows);
  EXPECT_NE(beginning(128, b), rows);
  const primitives::Binary add{primitives::Binary::add};
  EXPECT_THAT(shape_of(add, f32({b, s, 64}), f32({1, rows, 64})), ElementsAre(b, s, 64));
  EXPECT_THAT(shape_of(add, f32({rows, 64}), f32({b, s, 64})), ElementsAre(b, s, 64));
  EXPECT_THAT(shape_of(add, f32({b, 64}), f32({rows, 64})), ElementsAre(unknown, 64));
  EXPECT_THAT(shape_of(add, f32({rows, 64}), f32({beginning(64, s), 64})), ElementsAre(unknown, 64));
}

TEST(LayoutTypes, SlicesOfSymbolicExtents) {
  const auto slice = [](const Dim& extent, const Dim& start, const Dim& end, int64_t step = 1) {
    return shape_of(primitives::Slice{}, f32({2, extent}), known({start}), known({end}), known({1}), known({step}))[1];
  };
  EXPECT_EQ(slice(s, 0, INT64_MAX), s);
  EXPECT_EQ(slice(s, 0, INT32_MAX), s);
  EXPECT_EQ(slice(s + 1, 1, INT64_MAX), s);
  EXPECT_EQ(slice(s, 1, INT64_MAX), unknown);  // 0 where S is 0
  EXPECT_EQ(slice(s + 2, 0, -1), s + 1);
  EXPECT_EQ(slice(s + 2, -1, INT64_MAX), Dim(1));
  EXPECT_EQ(slice(past + s, past, past + s), s);
  EXPECT_EQ(slice(past + s, 0, past), past);
  EXPECT_EQ(slice(past + s + 4, 0, past + s), past + s);
  EXPECT_EQ(slice(s, 0, past), unknown);
  EXPECT_EQ(slice(128, 0, past + s), unknown);
  EXPECT_EQ(slice(past + s, 0, Dim(0) - s), unknown);  // nothing where S is 0
  EXPECT_EQ(slice(past + s + 1, 0, Dim(0) - s - 1), past);
  EXPECT_EQ(slice(s, s, 0), Dim(0));
  EXPECT_EQ(slice(s * 2, 0, INT64_MAX, 2), s);
  EXPECT_EQ(slice(s * 2 + 1, 1, INT64_MAX, 2), s);
  EXPECT_EQ(slice(s, 0, INT64_MAX, 2), unknown);
  EXPECT_EQ(slice(s, -1, INT64_MIN, -1), s);
  EXPECT_EQ(slice(s, Dim::symbol("?1v0"), INT64_MAX), unknown);
  EXPECT_EQ(slice(s, 0, Dim::symbol("?1v0")), unknown);
  EXPECT_EQ(slice(10, 2, -3, 2), Dim(3));
  EXPECT_THROW(slice(s, 0, 1, 0), Error);
  EXPECT_THAT(shape_of(primitives::Slice{}, f32({s, 4}), some(1), some(1), known({-1})), ElementsAre(s, unknown));
  EXPECT_THAT(shape_of(primitives::Slice{}, f32({s, 4}), known({0}), known({1}), some(1)),
              ElementsAre(unknown, unknown));
}

TEST(LayoutTypes, OthersOfSymbolicExtents) {
  EXPECT_THAT(shape_of(primitives::Expand{}, f32({b, 1}), known({1, s})), ElementsAre(b, s));
  EXPECT_THAT(shape_of(primitives::Expand{}, f32({b, 8}), known({3, 1, 1})), ElementsAre(3, b, 8));
  EXPECT_THAT(shape_of(primitives::Expand{}, f32({b}), known({s})), ElementsAre(unknown));
  EXPECT_THAT(shape_of(primitives::Expand{}, f32({b, 8}), some(3)), ElementsAre(unknown, unknown, 8));
  EXPECT_THAT(shape_of(primitives::Tile{}, f32({b, 8}), known({2, s})), ElementsAre(b * 2, s * 8));
  EXPECT_THAT(shape_of(primitives::Pad{}, f32({s, 4}), known({0, 1, 2, 1})), ElementsAre(s + 2, 6));
  EXPECT_THAT(shape_of(primitives::Pad{}, f32({s, 4}), known({-1, 0, 0, 0})), ElementsAre(unknown, 4));
  EXPECT_THAT(shape_of(primitives::Range{}, known_scalar(past), known_scalar(past + s), known_scalar(1)),
              ElementsAre(s));
  EXPECT_THAT(contents_of(primitives::Range{}, known_scalar(past), known_scalar(past + 2), known_scalar(1)),
              ElementsAre(past, past + 1));
  EXPECT_THAT(shape_of(primitives::Range{}, known_scalar(0), known_scalar(s - past), known_scalar(1)),
              ElementsAre(unknown));
  EXPECT_THAT(shape_of(primitives::Flatten{2}, f32({b, s, 4})), ElementsAre(b * s, 4));
  EXPECT_THAT(shape_of(primitives::Squeeze{}, f32({1, s, 1}), known({0})), ElementsAre(s, 1));
  EXPECT_THAT(shape_of(primitives::Squeeze{}, f32({1, s})), ElementsAre(s));
  EXPECT_THAT(shape_of(primitives::Split{0, 2}, f32({s * 2, 3})), ElementsAre(s, 3));
  EXPECT_THAT(shape_of(primitives::Split{0, 2}, f32({s, 3})), ElementsAre(unknown, 3));
  EXPECT_THROW(infer(primitives::Split{0, 2}, f32({5, 3}), known({3, 3})), Error);
  EXPECT_THAT(shape_of(primitives::TopK{}, f32({b, 8}), known({2})), ElementsAre(b, 2));
  EXPECT_THROW(infer(primitives::TopK{}, f32({b, 8}), known({9})), Error);
  EXPECT_THAT(shape_of(primitives::OneHot{}, f32({b}), known_scalar(s), f32({2})), ElementsAre(b, s));
  EXPECT_THAT(shape_of(primitives::NonZero{}, f32({b, 2})), ElementsAre(2, unknown));
  EXPECT_THAT(shape_of(primitives::GatherND{1}, f32({b, s, 4}), ValueType{DType::i64, {b, 1}}), ElementsAre(b, 4));
  EXPECT_THAT(shape_of(primitives::Reduce{primitives::Reduce::sum, true}, f32({b, s, 4}), known({-1})),
              ElementsAre(b, s, 1));
  EXPECT_THAT(shape_of(primitives::Reduce{primitives::Reduce::sum, false}, f32({b, s, 4}), some(2)),
              ElementsAre(unknown));
}

// Whatever the rules say of extents holds for the tensors that come out, or they say that it is not known.
class RandomGraph {
 public:
  explicit RandomGraph(uint32_t seed) : engine_(seed) {}

  void build() {
    for (const char* name : {"x", "y"}) {
      std::vector<Dim> shape;
      for (int64_t axis = number(0, 3); axis >= 0; --axis) {
        shape.push_back(number(0, 2) == 0 ? Dim(number(0, 4)) : Dim::symbol(number(0, 1) == 0 ? "N" : "M"));
      }
      data_.push_back(graph_.add_input(name, {DType::f32, shape}));
    }
    lists_.push_back(graph_.add_input("list", {DType::i64, {number(0, 3)}}));
    for (int i = 0; i < 12; ++i) {
      try {
        add_one("n" + std::to_string(i));
      } catch (const Error&) {  // the rule refused it
      }
    }
    std::vector<ValueId> outputs = data_;
    outputs.insert(outputs.end(), lists_.begin(), lists_.end());
    graph_.set_outputs(outputs);
    verify(graph_);
  }

  // Runs it for small extents; returns how it failed, if it did.
  std::string run() {
    const std::map<std::string, int64_t> symbols{{"N", number(0, 3)}, {"M", number(0, 3)}};
    std::vector<Tensor> tensors;
    std::vector<const Tensor*> inputs;
    for (const ValueId id : graph_.inputs()) {
      Shape shape;
      for (const Dim& dim : graph_.value(id).type.shape) shape.push_back(dim.evaluate(symbols));
      tensors.emplace_back(graph_.value(id).type.dtype, shape);
      if (tensors.back().dtype() == DType::i64) {
        for (int64_t& value : tensors.back().as<int64_t>()) value = number(-1, 4);
      }
    }
    for (const Tensor& tensor : tensors) inputs.push_back(&tensor);
    ReferenceCache cache;
    try {
      interpret(graph_, inputs, cache);
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  }

  std::string text() const { return to_text(graph_); }

 private:
  int64_t number(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(engine_); }
  ValueId any(const std::vector<ValueId>& from) {
    return from[static_cast<size_t>(number(0, static_cast<int64_t>(from.size()) - 1))];
  }
  ValueId constant(int64_t low, int64_t high, int64_t length) {
    Tensor values(DType::i64, {length});
    for (int64_t& value : values.as<int64_t>()) value = number(0, 9) == 0 ? INT64_MAX : number(low, high);
    return graph_.add_constant("c", make_constant(std::move(values)));
  }
  // Lists are mostly computed, of constants and extents.
  ValueId list(int64_t low, int64_t high) {
    return number(0, 1) == 0 ? constant(low, high, number(0, 3)) : any(lists_);
  }

  void add_one(const std::string& name) {
    const ValueId x = any(data_), axes = constant(-2, 2, number(0, 2));
    const auto count = static_cast<int64_t>(graph_.value(axes).type.contents->size());
    switch (number(0, 16)) {
      case 0: lists_.push_back(graph_.add(name, ops::ShapeOf({number(-2, 2), number(0, 4)}), {x})); break;
      case 1: lists_.push_back(graph_.add(name, ops::Concat(), {any(lists_), list(-1, 4)})); break;
      case 2: lists_.push_back(graph_.add(name, ops::Gather(), {any(lists_), constant(-2, 2, number(1, 3))})); break;
      case 3: {
        const ValueId total = graph_.add(name, ops::Reduce({primitives::Reduce::prod}), {any(lists_)});
        lists_.push_back(total);
        break;
      }
      case 4:
        lists_.push_back(graph_.add(name, ops::Slice(), {any(lists_), constant(-2, 2, 1), constant(-2, 4, 1)}));
        break;
      case 5:
      case 6: {
        // An extent that happens to be 0 must not turn into a copied one.
        const ValueId target = list(-1, 4);
        const bool is_constant = graph_.value(target).constant != nullptr;
        data_.push_back(graph_.add(name, ops::Reshape({!is_constant || number(0, 1) == 0}), {x, target}));
        break;
      }
      case 7:
      case 8: data_.push_back(graph_.add(name, ops::Expand(), {x, list(0, 4)})); break;
      case 9: {
        const auto bound = [&] { return number(0, 1) == 0 ? constant(-4, 4, count) : any(lists_); };
        data_.push_back(graph_.add(name, ops::Slice(), {x, bound(), bound(), axes, constant(-2, 2, count)}));
        break;
      }
      case 10: data_.push_back(graph_.add(name, ops::Tile(), {x, list(0, 3)})); break;
      case 11: data_.push_back(graph_.add(name, ops::Pad({primitives::Pad::constant}), {x, list(-1, 2)})); break;
      case 12:
        data_.push_back(graph_.add(name, ops::Reduce({primitives::Reduce::sum, number(0, 1) == 0}), {x, axes}));
        break;
      case 13: data_.push_back(graph_.add(name, ops::Concat({number(-2, 2)}), {x, any(data_)})); break;
      case 14: {
        const std::vector<ValueId> parts =
            graph_.add_node(name, std::make_unique<ops::Split>(primitives::Split{number(-2, 2), number(1, 3)}), {x});
        data_.insert(data_.end(), parts.begin(), parts.end());
        break;
      }
      case 15: data_.push_back(graph_.add(name, ops::Unsqueeze(), {x, axes})); break;
      default: data_.push_back(graph_.add(name, ops::Flatten({number(-2, 2)}), {x})); break;
    }
  }

  std::mt19937 engine_;
  Graph graph_;
  std::vector<ValueId> data_, lists_;
};

TEST(LayoutTypes, AreNeverWrong) {
  constexpr uint32_t graphs = sanitized ? 500 : 2000;
  uint32_t ran = 0;
  for (uint32_t seed = 0; seed < graphs; ++seed) {
    RandomGraph graph(seed);
    graph.build();
    for (int round = 0; round < 3; ++round) {
      const std::string failure = graph.run();
      ASSERT_THAT(failure, Not(HasSubstr("promises"))) << graph.text();
      ran += failure.empty() ? 1 : 0;
    }
  }
  EXPECT_GT(ran, graphs / 4);
}

}  // namespace
}  // namespace incipit
