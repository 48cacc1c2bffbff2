// What older versions of elementwise operators, and those that become several primitives, come to; ONNX's own tests
// cover the rest.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "import/onnx/call.h"
#include "primitives/carrier.h"

namespace incipit {
namespace {

using onnx::Attribute;
using ::testing::ElementsAre;

Tensor tensor(DType dtype, Shape shape, const std::vector<double>& values) {
  Tensor made(dtype, std::move(shape));
  INCIPIT_ASSERT(static_cast<size_t>(made.elements()) == values.size());
  primitives::store_elements(values.data(), dtype, made.data(), values.size());
  return made;
}

std::vector<double> widened(const Tensor& tensor) {
  std::vector<float> floats(static_cast<size_t>(tensor.elements()));
  convert_to_float(tensor.dtype(), tensor.data(), floats.data(), floats.size());
  return {floats.begin(), floats.end()};
}

Attribute integer(int64_t value) {
  Attribute made;
  made.kind = Attribute::Kind::integer, made.integer = value;
  return made;
}
Attribute number(float value) {
  Attribute made;
  made.kind = Attribute::Kind::number, made.number = value;
  return made;
}
Attribute text(std::string value) {
  Attribute made;
  made.kind = Attribute::Kind::text, made.text = std::move(value);
  return made;
}

struct Case {
  std::string op_type;
  int64_t opset = 13;
  std::map<std::string, Attribute> attributes = {};
  std::vector<std::string> outputs = {"y"};

  std::vector<Tensor> run(const std::vector<const Tensor*>& inputs) const {
    Graph graph;
    std::vector<ValueId> ids;
    for (const Tensor* input : inputs) {
      ValueType type{input->dtype(), {}};
      type.shape.assign(input->shape().begin(), input->shape().end());
      ids.push_back(graph.add_input("x", std::move(type)));
    }
    onnx::Node node;
    node.name = "node", node.op_type = op_type, node.outputs = outputs, node.attributes = attributes;
    onnx::Call call(graph, node, opset, ids);
    std::vector<ValueId> made = onnx::find_translation("", op_type)->translate(call);
    made.resize(outputs.size());
    graph.set_outputs(made);
    ReferenceCache cache;
    return interpret(graph, inputs, cache);
  }
  std::vector<double> first(const std::vector<const Tensor*>& inputs) const { return widened(run(inputs).at(0)); }
};

TEST(OnnxElementwise, BroadcastingFromAnAxis) {
  const Tensor x = tensor(DType::f32, {2, 3, 1}, {1, 2, 3, 4, 5, 6}), rows = tensor(DType::f32, {2}, {10, 20});
  const Case add{"Add", 6, {{"broadcast", integer(1)}, {"axis", integer(0)}}};
  EXPECT_THAT(add.first({&x, &rows}), ElementsAre(11, 12, 13, 24, 25, 26));
  const Tensor columns = tensor(DType::f32, {3, 1}, {10, 20, 30});
  const Case from_end{"Mul", 6, {{"broadcast", integer(1)}, {"axis", integer(-2)}}};
  EXPECT_THAT(from_end.first({&x, &columns}), ElementsAre(10, 40, 90, 40, 100, 180));
  const Case outside{"Add", 6, {{"broadcast", integer(1)}, {"axis", integer(7)}}};
  EXPECT_THROW(outside.run({&x, &rows}), Error);
  const Case past_end{"Add", 6, {{"broadcast", integer(1)}, {"axis", integer(2)}}};
  EXPECT_THROW(past_end.run({&x, &columns}), Error);
  const Tensor slopes = tensor(DType::f32, {3}, {1, 2, 3}),
               negative = tensor(DType::f32, {1, 3, 2}, {-1, 1, -1, 1, -1, 1});
  EXPECT_THAT((Case{"PRelu", 6}.first({&negative, &slopes})), ElementsAre(-1, 1, -2, 1, -3, 1));
}

TEST(OnnxElementwise, LimitsAsAttributes) {
  const Tensor x = tensor(DType::f16, {3}, {-9, 0, 9});
  EXPECT_THAT((Case{"Clip", 6, {{"min", number(-1)}, {"max", number(2)}}}.first({&x})), ElementsAre(-1, 0, 2));
  EXPECT_THAT((Case{"Clip", 6, {{"min", number(-1)}}}.first({&x})), ElementsAre(-1, 0, 9));
}

TEST(OnnxElementwise, TypesByNumberAndByName) {
  const Tensor x = tensor(DType::f32, {2}, {1.5, -2.5});
  const Tensor made = std::move(Case{"Cast", 1, {{"to", text("INT32")}}}.run({&x})[0]);
  EXPECT_EQ(made.dtype(), DType::i32);
  EXPECT_THAT(widened(made), ElementsAre(1, -2));
  EXPECT_THAT((Case{"Cast", 13, {{"to", integer(9)}}}.first({&x})), ElementsAre(1, 1));
  EXPECT_THROW((Case{"Cast", 13, {{"to", integer(int64_t{1} << 40)}}}.run({&x})), Error);
  EXPECT_THROW((Case{"Cast", 1, {{"to", text("COMPLEX64")}}}.run({&x})), Error);
  EXPECT_THROW(Case{"Cast"}.run({&x}), Error);
}

TEST(OnnxElementwise, WordsByName) {
  const Tensor x = tensor(DType::f32, {2}, {1, 2}), pads = tensor(DType::i64, {2}, {1, 0});
  EXPECT_THAT((Case{"Pad", 13, {{"mode", text("edge")}}}.first({&x, &pads})), ElementsAre(1, 1, 2));
  try {
    Case{"Pad", 13, {{"mode", text("spiral")}}}.run({&x, &pads});
    ADD_FAILURE() << "a mode that is none was taken";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("mode that cannot be 'spiral'"));
  }
}

TEST(OnnxElementwise, PowersOfMixedTypes) {
  const Tensor base = tensor(DType::i8, {3}, {1, -1, 2}), exponent = tensor(DType::i64, {3}, {300, 301, 256});
  EXPECT_THAT(Case{"Pow"}.first({&base, &exponent}), ElementsAre(1, -1, 0));
  const Tensor half = tensor(DType::f32, {}, {0.5}), four = tensor(DType::i32, {1}, {4});
  EXPECT_THAT(Case{"Pow"}.first({&four, &half}), ElementsAre(2));
  EXPECT_THAT(Case{"Pow"}.first({&half, &four}), ElementsAre(0.0625));
}

TEST(OnnxElementwise, SeveralOperands) {
  const Tensor a = tensor(DType::f32, {2}, {1, 2}), b = tensor(DType::f32, {2, 1}, {3, 4}),
               c = tensor(DType::f32, {}, {5});
  EXPECT_THAT(Case{"Mean"}.first({&a, &c, &c}), ElementsAre(11.0F / 3, 4));
  EXPECT_THAT(Case{"Max"}.first({&a, &b}), ElementsAre(3, 3, 4, 4));
  EXPECT_THAT(Case{"Sum"}.first({&a}), ElementsAre(1, 2));
}

TEST(OnnxElementwise, InfinitiesOfNoSign) {
  const Tensor x = tensor(DType::f32, {2}, {INFINITY, -INFINITY});
  EXPECT_THAT((Case{"IsInf", 20, {{"detect_negative", integer(0)}, {"detect_positive", integer(0)}}}.first({&x})),
              ElementsAre(0, 0));
}

TEST(OnnxElementwise, MasksOfDropout) {
  const Tensor x = tensor(DType::f32, {2}, {1, 2});
  for (const auto& [opset, dtype] : {std::pair{7, DType::f32}, {10, DType::boolean}, {13, DType::boolean}}) {
    const std::vector<Tensor> made = Case{"Dropout", opset, {}, {"y", "mask"}}.run({&x});
    EXPECT_THAT(widened(made[0]), ElementsAre(1, 2));
    EXPECT_EQ(made[1].dtype(), dtype);
    EXPECT_THAT(widened(made[1]), ElementsAre(1, 1));
  }
}

TEST(OnnxQuantization, ProductsWithAScaleForEachRow) {
  const Tensor a = tensor(DType::u8, {2, 2}, {1, 2, 3, 4}), b = tensor(DType::i8, {2, 2}, {1, 2, 3, 4});
  const Tensor zero = tensor(DType::u8, {}, {0}), b_zero = tensor(DType::i8, {}, {1});
  const Tensor rows = tensor(DType::f32, {2}, {1, 2}), columns = tensor(DType::f32, {2}, {1, 3});
  const Tensor one = tensor(DType::f32, {}, {1}), ten = tensor(DType::u8, {}, {10});
  // a·(b − 1) is [[4, 7], [8, 15]].
  EXPECT_THAT(Case{"QLinearMatMul"}.first({&a, &rows, &zero, &b, &columns, &b_zero, &one, &ten}),
              ElementsAre(14, 31, 26, 100));
  EXPECT_THAT(Case{"MatMulInteger"}.first({&a, &b, &zero, &b_zero}), ElementsAre(4, 7, 8, 15));
}

TEST(OnnxQuantization, TypesOfCodesAndOfNumbers) {
  const Tensor x = tensor(DType::f32, {2}, {1, -2}), scale = tensor(DType::f32, {}, {0.5});
  EXPECT_EQ((Case{"QuantizeLinear", 21, {{"output_dtype", integer(5)}}}.run({&x, &scale})[0].dtype()), DType::i16);
  EXPECT_THROW((Case{"QuantizeLinear", 21, {{"output_dtype", integer(-5)}}}.run({&x, &scale})), Error);
  EXPECT_THROW((Case{"QuantizeLinear", 21, {{"output_dtype", integer(17)}}}.run({&x, &scale})), Error);
  const Tensor codes = tensor(DType::i8, {2}, {1, -2}), half = tensor(DType::f16, {}, {0.5});
  const Tensor made = std::move(Case{"DequantizeLinear", 21}.run({&codes, &half})[0]);
  EXPECT_EQ(made.dtype(), DType::f16);
  EXPECT_THAT(widened(made), ElementsAre(0.5, -1));
}

}  // namespace
}  // namespace incipit
