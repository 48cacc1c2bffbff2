// Operators that go element by element.
#include <algorithm>
#include <array>

#include "import/onnx/call.h"

namespace incipit::onnx {
namespace {

using primitives::Binary;
using primitives::Unary;
using Values = std::vector<ValueId>;

template <typename Function>
struct Renamed {
  std::string_view op_type;
  Function function;
};

/// Operators that are a function without attributes.
constexpr Renamed<Unary::Function> unary_functions[] = {
    {"Abs", Unary::abs},
    {"Acos", Unary::acos},
    {"Acosh", Unary::acosh},
    {"Asin", Unary::asin},
    {"Asinh", Unary::asinh},
    {"Atan", Unary::atan},
    {"Atanh", Unary::atanh},
    {"BitwiseNot", Unary::bitwise_not},
    {"Ceil", Unary::ceil},
    {"Cos", Unary::cos},
    {"Cosh", Unary::cosh},
    {"Erf", Unary::erf},
    {"Exp", Unary::exp},
    {"Floor", Unary::floor},
    {"HardSwish", Unary::hard_swish},
    {"IsNaN", Unary::is_nan},
    {"Log", Unary::log},
    {"Mish", Unary::mish},
    {"Neg", Unary::neg},
    {"Not", Unary::not_},
    {"Reciprocal", Unary::reciprocal},
    {"Relu", Unary::relu},
    {"Round", Unary::round},
    {"Sigmoid", Unary::sigmoid},
    {"Sign", Unary::sign},
    {"Sin", Unary::sin},
    {"Sinh", Unary::sinh},
    {"Softplus", Unary::softplus},
    {"Softsign", Unary::softsign},
    {"Sqrt", Unary::sqrt},
    {"Tan", Unary::tan},
    {"Tanh", Unary::tanh},
};

constexpr Renamed<Binary::Function> binary_functions[] = {
    {"Add", Binary::add},
    {"And", Binary::and_},
    {"BitwiseAnd", Binary::and_},
    {"BitwiseOr", Binary::or_},
    {"BitwiseXor", Binary::xor_},
    {"Div", Binary::div},
    {"Equal", Binary::equal},
    {"Greater", Binary::greater},
    {"GreaterOrEqual", Binary::greater_equal},
    {"Less", Binary::less},
    {"LessOrEqual", Binary::less_equal},
    {"Mul", Binary::mul},
    {"Or", Binary::or_},
    {"Sub", Binary::sub},
    {"Xor", Binary::xor_},
};

constexpr Renamed<Binary::Function> variadic_functions[] = {
    {"Max", Binary::max}, {"Min", Binary::min}, {"Sum", Binary::add}, {"Mean", Binary::add}};

template <typename Function, size_t n>
Function function_of(const Call& call, const Renamed<Function> (&functions)[n]) {
  const auto* const found = std::find_if(std::begin(functions), std::end(functions),
                                         [&](const auto& renamed) { return renamed.op_type == call.node().op_type; });
  INCIPIT_ASSERT(found != std::end(functions));
  return found->function;
}

ValueId cast(Call& call, ValueId value, DType dtype) {
  if (call.graph().value(value).type.dtype == dtype) return value;
  return call.add(primitives::Cast{dtype}, {value});
}

/// y with axes of extent 1 at its end, so that its first axis stands at axis `first` of a tensor of `rank` axes.
ValueId aligned_at(Call& call, ValueId y, size_t first, size_t rank) {
  const size_t own = call.graph().value(y).type.shape.size();
  if (first + own > rank) call.refuse("broadcasts from an axis where its second input does not fit");
  std::vector<int64_t> axes;
  for (size_t axis = own; first + axis < rank; ++axis) axes.push_back(static_cast<int64_t>(axis));
  return axes.empty() ? y : call.add(primitives::Unsqueeze{}, {y, call.list(axes)});
}

/// The second operand as today's broadcasting has it. Before opset 7 attribute `axis` said where it stood in the first.
ValueId second_operand(Call& call) {
  if (call.opset() >= 7 || call.integer("broadcast", 0) == 0 || call.attribute("axis") == nullptr) return call.input(1);
  const auto rank = static_cast<int64_t>(call.rank(0));
  const int64_t axis = call.required_integer("axis");
  if (axis < -rank || axis >= rank) call.refuse("broadcasts from an axis that its first input does not have");
  return aligned_at(call, call.input(1), static_cast<size_t>(axis < 0 ? axis + rank : axis), call.rank(0));
}

Values unary(Call& call) { return {call.add(Unary{function_of(call, unary_functions)}, {call.input(0)})}; }

Values binary(Call& call) {
  return {call.add(Binary{function_of(call, binary_functions)}, {call.input(0), second_operand(call)})};
}

Values variadic(Call& call) {
  ValueId total = call.input(0);
  for (size_t i = 1; i < call.input_count(); ++i) {
    total = call.add(Binary{function_of(call, variadic_functions)}, {total, call.input(i)});
  }
  if (call.node().op_type == "Mean") {
    const auto count = static_cast<double>(call.input_count());
    total = call.add(Binary{Binary::div}, {total, call.scalar(call.type(0).dtype, count)});
  }
  return {total};
}

/// A function whose alpha, and beta, are attributes.
template <size_t n>
Values with_attributes(Call& call, Unary::Function function,
                       const std::array<std::pair<std::string_view, float>, n>& given) {
  Unary op{function};
  if constexpr (n > 0) op.alpha = call.number(given[0].first, given[0].second);
  if constexpr (n > 1) op.beta = call.number(given[1].first, given[1].second);
  return {call.add(op, {call.input(0)})};
}
template <size_t n>
using Given = std::array<std::pair<std::string_view, float>, n>;

Values leaky_relu(Call& call) { return with_attributes(call, Unary::leaky_relu, Given<1>{{{"alpha", 0.01F}}}); }
Values elu(Call& call) { return with_attributes(call, Unary::elu, Given<1>{{{"alpha", 1.0F}}}); }
Values celu(Call& call) { return with_attributes(call, Unary::celu, Given<1>{{{"alpha", 1.0F}}}); }
Values swish(Call& call) { return with_attributes(call, Unary::swish, Given<1>{{{"alpha", 1.0F}}}); }
Values thresholded_relu(Call& call) {
  return with_attributes(call, Unary::thresholded_relu, Given<1>{{{"alpha", 1.0F}}});
}
Values hard_sigmoid(Call& call) {
  return with_attributes(call, Unary::hard_sigmoid, Given<2>{{{"alpha", 0.2F}, {"beta", 0.5F}}});
}
Values selu(Call& call) {
  const bool is_first = call.opset() < 6;
  return with_attributes(
      call, Unary::selu,
      Given<2>{{{"alpha", is_first ? 1.6732F : 1.67326319F}, {"gamma", is_first ? 1.0507F : 1.05070102F}}});
}

Values gelu(Call& call) {
  const std::string approximate = call.text("approximate", "none");
  if (approximate != "none" && approximate != "tanh")
    call.refuse("has the unknown approximation '" + approximate + "'");
  return {call.add(Unary{approximate == "tanh" ? Unary::gelu_tanh : Unary::gelu_erf}, {call.input(0)})};
}

Values is_inf(Call& call) {
  const bool negative = call.integer("detect_negative", 1) != 0, positive = call.integer("detect_positive", 1) != 0;
  const ValueId x = call.input(0);
  if (negative && positive) return {call.add(Unary{Unary::is_inf}, {x})};
  if (negative || positive) return {call.add(Unary{negative ? Unary::is_negative_inf : Unary::is_positive_inf}, {x})};
  // Nothing is both.
  return {call.add(Binary{Binary::and_},
                   {call.add(Unary{Unary::is_negative_inf}, {x}), call.add(Unary{Unary::is_positive_inf}, {x})})};
}

// The result has the base's type. What the exponent's type adds in range or fraction must not be lost before.
Values pow(Call& call) {
  const DType base = call.type(0).dtype, exponent = call.type(1).dtype;
  const DType wide = base == exponent || is_floating(base) ? base : is_floating(exponent) ? DType::f64 : DType::i64;
  const ValueId power =
      call.add(Binary{Binary::power}, {cast(call, call.input(0), wide), cast(call, second_operand(call), wide)});
  return {cast(call, power, base)};
}

Values mod(Call& call) {
  return {call.add(Binary{call.integer("fmod", 0) != 0 ? Binary::fmod : Binary::mod}, {call.input(0), call.input(1)})};
}

Values bit_shift(Call& call) {
  const std::string direction = call.text("direction", "");
  if (direction != "LEFT" && direction != "RIGHT") call.refuse("shifts neither LEFT nor RIGHT");
  return {
      call.add(Binary{direction == "LEFT" ? Binary::shift_left : Binary::shift_right}, {call.input(0), call.input(1)})};
}

Values prelu(Call& call) {
  ValueId slope = call.input(1);
  // Before opset 7 a slope for each channel was a vector.
  const std::vector<Dim>& shape = call.type(1).shape;
  if (call.opset() < 7 && shape.size() == 1 && shape[0] != Dim(1) && call.rank(0) > 1) {
    slope = aligned_at(call, slope, 1, call.rank(0));
  }
  return {call.add(Binary{Binary::prelu}, {call.input(0), slope})};
}

Values where(Call& call) { return {call.add(primitives::Where{}, {call.input(0), call.input(1), call.input(2)})}; }

Values clip(Call& call) {
  if (call.opset() >= 11) return {call.add(primitives::Clip{}, {call.input(0), call.optional(1), call.optional(2)})};
  const auto limit = [&](std::string_view name) {
    return call.attribute(name) == nullptr ? none : call.scalar(call.type(0).dtype, call.number(name, 0));
  };
  return {call.add(primitives::Clip{}, {call.input(0), limit("min"), limit("max")})};
}

/// The types that `to` named by letters before opset 6.
int64_t element_type_named(const Call& call, std::string_view name) {
  constexpr std::pair<std::string_view, int64_t> types[] = {
      {"FLOAT", 1}, {"UINT8", 2}, {"INT8", 3},     {"UINT16", 4},  {"INT16", 5},   {"INT32", 6},
      {"INT64", 7}, {"BOOL", 9},  {"FLOAT16", 10}, {"DOUBLE", 11}, {"UINT32", 12}, {"UINT64", 13}};
  for (const auto& [known, number] : types) {
    if (known == name) return number;
  }
  call.refuse("casts to the unknown type '" + std::string(name) + "'");
}

DType target_type(const Call& call) {
  const Attribute* to = call.attribute("to");
  const bool is_named = to != nullptr && to->kind == Attribute::Kind::text;
  const int64_t type = is_named ? element_type_named(call, to->text) : call.required_integer("to");
  return dtype_of(static_cast<int32_t>(std::clamp<int64_t>(type, INT32_MIN, INT32_MAX)), call.node().op_type);
}

Values cast_to(Call& call) { return {cast(call, call.input(0), target_type(call))}; }
Values cast_like(Call& call) { return {cast(call, call.input(0), call.type(1).dtype)}; }
Values bit_cast(Call& call) { return {call.add(primitives::BitCast{target_type(call)}, {call.input(0)})}; }

Values cumulate(Call& call) {
  const primitives::Cumulate op{
      call.node().op_type == "CumSum" ? primitives::Cumulate::sum : primitives::Cumulate::product,
      call.integer("exclusive", 0) != 0, call.integer("reverse", 0) != 0};
  return {call.add(op, {call.input(0), call.input(1)})};
}

Values identity(Call& call) { return {call.input(0)}; }

Values dropout(Call& call) {
  // Before opset 12 a model was either for training or not; those that come here are not.
  const bool has_mode = call.opset() >= 12 && call.has(2);
  const std::optional<std::vector<int64_t>> mode = has_mode ? call.known_integers(2) : std::nullopt;
  const bool may_train = has_mode && (!mode || mode->size() != 1 || mode->front() != 0);
  if (!may_train && !call.wants(1)) return {call.input(0)};
  const primitives::Dropout op{call.integer("seed", 0)};
  Values made = may_train ? call.add_all(op, {call.input(0), call.optional(1), call.input(2)})
                          : call.add_all(op, {call.input(0)});
  if (!may_train) made[0] = call.input(0);
  if (call.opset() < 10) made[1] = cast(call, made[1], call.type(0).dtype);  // the mask was of x's type
  return made;
}

std::vector<Translation> all() {
  std::vector<Translation> table{
      {"", "BitCast", bit_cast},
      {"", "BitShift", bit_shift},
      {"", "Cast", cast_to},
      {"", "CastLike", cast_like},
      {"", "Celu", celu},
      {"", "Clip", clip},
      {"", "CumProd", cumulate},
      {"", "CumSum", cumulate},
      {"", "Dropout", dropout},
      {"", "Elu", elu},
      {"", "Gelu", gelu},
      {"", "HardSigmoid", hard_sigmoid},
      {"", "Identity", identity},
      {"", "IsInf", is_inf},
      {"", "LeakyRelu", leaky_relu},
      {"", "Mod", mod},
      {"", "PRelu", prelu},
      {"", "Pow", pow},
      {"", "Selu", selu},
      {"", "Swish", swish},
      {"", "ThresholdedRelu", thresholded_relu},
      {"", "Where", where},
  };
  for (const auto& renamed : unary_functions) table.push_back({"", renamed.op_type, unary});
  for (const auto& renamed : binary_functions) table.push_back({"", renamed.op_type, binary});
  for (const auto& renamed : variadic_functions) table.push_back({"", renamed.op_type, variadic});
  return table;
}

}  // namespace

std::span<const Translation> elementwise_translations() {
  static const std::vector<Translation> table = all();
  return table;
}

}  // namespace incipit::onnx
