// What holds for every primitive, whoever wrote the model: it refuses what does not fit and never breaks, and its shape
// rule agrees with what it computes.
#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "graph/graph.h"
#include "graph/ops/primitive.h"
#include "support/sanitized.h"

namespace incipit {
namespace {

class Chooser {
 public:
  explicit Chooser(uint32_t seed) : engine_(seed) {}
  int64_t number(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(engine_); }
  bool one_in(int64_t n) { return number(1, n) == 1; }
  template <typename T>
  T any(std::initializer_list<T> from) {
    return from.begin()[number(0, static_cast<int64_t>(from.size()) - 1)];
  }
  // Small numbers, and those at the ends. What lies between would only ask for more memory than there is.
  int64_t integer() { return one_in(12) ? any({INT64_MIN, INT64_MIN + 1, INT64_MAX, INT64_MAX - 1}) : number(-3, 5); }

 private:
  std::mt19937 engine_;
};

// Gives some attributes another value, sensible or not.
class Scramble final : public AttributeVisitor {
 public:
  explicit Scramble(Chooser& choose) : choose_(choose) {}
  void visit(std::string_view, int64_t& value) override {
    if (choose_.one_in(2)) value = choose_.integer();
  }
  void visit(std::string_view, float& value) override {
    if (choose_.one_in(3)) value = choose_.any({0.0F, -1.0F, 0.5F, std::numeric_limits<float>::quiet_NaN()});
  }
  void visit(std::string_view, bool& value) override { value = choose_.one_in(2); }
  void visit(std::string_view, std::string& value) override {
    if (choose_.one_in(3)) value = choose_.any<const char*>({"", "ij,jk->ik", "i->", "nothing of the kind"});
  }
  void visit(std::string_view, std::span<const std::string_view> words, size_t& chosen) override {
    if (choose_.one_in(3)) chosen = static_cast<size_t>(choose_.number(0, std::ssize(words) - 1));
  }
  void visit(std::string_view, std::vector<int64_t>& value) override {
    if (!choose_.one_in(2)) return;
    value.clear();
    for (int64_t i = choose_.number(0, 4); i > 0; --i) value.push_back(choose_.integer());
  }

 private:
  Chooser& choose_;
};

template <typename T>
void fill(Tensor& tensor, Chooser& choose) {
  // Where there are no signs, the ends are numbers of elements that could be had.
  for (T& element : tensor.as<T>())
    element = static_cast<T>(std::is_signed_v<T> ? choose.integer() : choose.number(0, 5));
}

Tensor random_tensor(Chooser& choose, const Shape& like, DType usual) {
  Shape shape = like;
  if (choose.one_in(3)) {
    shape.clear();
    for (int64_t axis = choose.number(0, 3); axis > 0; --axis) shape.push_back(choose.number(choose.number(0, 1), 4));
  }
  const DType dtype =
      choose.one_in(3) ? choose.any({DType::f32, DType::f64, DType::f16, DType::bf16, DType::i8, DType::u8, DType::i16,
                                     DType::u16, DType::i32, DType::u32, DType::i64, DType::u64, DType::boolean})
                       : usual;
  Tensor tensor(dtype, shape);
  switch (dtype) {
    case DType::i8: fill<int8_t>(tensor, choose); break;
    case DType::u8: fill<uint8_t>(tensor, choose); break;
    case DType::i16: fill<int16_t>(tensor, choose); break;
    case DType::u16: fill<uint16_t>(tensor, choose); break;
    case DType::i32: fill<int32_t>(tensor, choose); break;
    case DType::u32: fill<uint32_t>(tensor, choose); break;
    case DType::i64: fill<int64_t>(tensor, choose); break;
    case DType::u64: fill<uint64_t>(tensor, choose); break;
    case DType::boolean:
      for (bool& element : tensor.as<bool>()) element = choose.one_in(2);
      break;
    default: {
      std::vector<float> values(static_cast<size_t>(tensor.elements()));
      for (float& value : values) value = static_cast<float>(choose.number(-6, 6)) / 2;
      if (dtype == DType::f64) {
        std::copy(values.begin(), values.end(), tensor.as<double>().begin());
      } else {
        convert_from_float(values.data(), dtype, tensor.data(), values.size());
      }
    }
  }
  return tensor;
}

bool has_contents(const Tensor& tensor) {
  const DType dtype = tensor.dtype();
  return tensor.shape().size() <= 1 && tensor.elements() <= ValueType::max_contents &&
         (dtype == DType::i64 || dtype == DType::i32);
}

std::vector<Dim> contents_of(const Tensor& tensor) {
  std::vector<Dim> contents;
  for (const int64_t value : primitives::integers(tensor)) contents.emplace_back(value);
  return contents;
}

ValueType type_of(Chooser& choose, const Tensor& tensor) {
  ValueType type{tensor.dtype(), {}};
  type.shape.assign(tensor.shape().begin(), tensor.shape().end());
  if (has_contents(tensor) && !choose.one_in(4)) type.contents = contents_of(tensor);
  return type;
}

void expect_agrees(const ValueType& type, const Tensor& tensor) {
  EXPECT_EQ(name_of(type.dtype), name_of(tensor.dtype()));
  ASSERT_EQ(type.shape.size(), tensor.shape().size());
  for (size_t axis = 0; axis < type.shape.size(); ++axis) {
    if (type.shape[axis].is_constant()) {
      EXPECT_EQ(type.shape[axis].constant(), tensor.shape()[axis]);
    }
  }
  if (!type.contents) return;
  const std::vector<int64_t> values = primitives::integers(tensor);
  ASSERT_EQ(type.contents->size(), values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const Dim& known = (*type.contents)[i];
    if (known.is_constant()) {
      EXPECT_EQ(known.constant(), values[i]);
    }
  }
}

class EveryPrimitive : public testing::TestWithParam<std::string_view> {};

TEST_P(EveryPrimitive, RefusesOrComputesWhatItsRulePromises) {
  Chooser choose(static_cast<uint32_t>(std::hash<std::string_view>()(GetParam())));
  for (int round = 0; round < (sanitized ? 600 : 2000); ++round) {
    const std::unique_ptr<Op> op = ops::make_primitive(GetParam());
    const std::unique_ptr<primitives::AnyPrimitive> primitive = primitives::make_primitive(GetParam());
    if (!choose.one_in(3)) {
      Chooser again = choose;
      Scramble scramble(choose), scramble_again(again);
      op->attributes(scramble);
      primitive->attributes(scramble_again);
    }
    Shape like;
    for (int64_t axis = choose.number(0, 3); axis > 0; --axis) like.push_back(choose.number(choose.number(0, 1), 3));
    std::vector<Tensor> tensors;
    std::vector<const Tensor*> inputs;
    std::vector<ValueType> types;
    const DType usual = choose.any({DType::f32, DType::i64, DType::f32, DType::i32, DType::boolean, DType::u8});
    for (int64_t i = choose.number(0, 5); i > 0; --i) {
      // Indices, axes and sizes often follow what they are for.
      const bool is_list = !tensors.empty() && choose.one_in(2);
      tensors.push_back(is_list ? random_tensor(choose, {choose.number(0, 3)}, DType::i64)
                                : random_tensor(choose, like, usual));
    }
    for (const Tensor& tensor : tensors) {
      const bool is_absent = choose.one_in(12);
      inputs.push_back(is_absent ? nullptr : &tensor);
      types.push_back(is_absent ? ValueType::absent() : type_of(choose, tensor));
    }
    std::vector<ValueType> promised;
    try {
      promised = op->infer(types);
    } catch (const Error&) {
    }
    std::vector<Tensor> made;
    try {
      made = primitive->compute(inputs);
    } catch (const Error&) {
      continue;
    } catch (const std::bad_alloc&) {
      continue;
    }
    if (promised.empty()) continue;  // the rank does not follow from what is known
    ASSERT_EQ(made.size(), promised.size());
    for (size_t i = 0; i < promised.size(); ++i) expect_agrees(promised[i], made[i]);
    ASSERT_FALSE(HasFailure()) << "round " << round;
  }
}

INSTANTIATE_TEST_SUITE_P(Primitives, EveryPrimitive, testing::ValuesIn(ops::primitive_names()),
                         [](const auto& tested) { return std::string(tested.param); });

}  // namespace
}  // namespace incipit
