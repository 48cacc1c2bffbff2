// Operators that make constants, read shapes and move elements. https://onnx.ai/onnx/operators
#include "import/onnx/call.h"

namespace incipit::onnx {
namespace {

using Values = std::vector<ValueId>;
namespace p = primitives;

Values constant(Call& call) {
  const auto has = [&](std::string_view name) { return call.attribute(name) != nullptr; };
  if (has("value")) {
    const Attribute& value = *call.attribute("value");
    if (value.kind != Attribute::Kind::tensor || value.tensor == nullptr) call.refuse("attribute value is no tensor");
    return {call.graph().add_constant(call.node().outputs.empty() ? "" : call.node().outputs[0], value.tensor)};
  }
  if (has("value_float")) {
    const float number = call.number("value_float", 0);
    return {call.constant(Tensor::of({}, std::span(&number, 1)))};
  }
  if (has("value_floats")) {
    const Attribute& value = *call.attribute("value_floats");
    // An empty list without a type cannot be told from another kind.
    const bool is_list = value.kind == Attribute::Kind::numbers || value.kind == Attribute::Kind::other;
    if (!is_list) call.refuse("attribute value_floats is no list of numbers");
    return {call.constant(Tensor::of({static_cast<int64_t>(value.numbers.size())}, std::span(value.numbers)))};
  }
  if (has("value_int")) return {call.scalar(call.integer("value_int", 0))};
  if (has("value_ints")) return {call.list(*call.integers("value_ints"))};
  if (has("value_string") || has("value_strings")) {
    throw UnsupportedType("node " + call.node().name, "its constant is of strings");
  }
  call.refuse(has("sparse_value") ? "its constant is sparse" : "it has no value");
}

Values constant_of_shape(Call& call) {
  ValueId value = none;
  if (const Attribute* given = call.attribute("value")) {
    if (given->kind != Attribute::Kind::tensor || given->tensor == nullptr ||
        element_count(given->tensor->shape()) != 1) {
      call.refuse("attribute value is not one element");
    }
    value = call.constant(p::reshaped(given->tensor->materialise(), {}));
  } else {
    value = call.scalar(DType::f32, 0);
  }
  return {call.add(p::Expand{}, {value, call.input(0)})};
}

Values shape(Call& call) {
  return {call.add(p::ShapeOf{call.integer("start", 0), call.integer("end", INT64_MAX)}, {call.input(0)})};
}

Values size(Call& call) { return {call.add(p::Size{}, {call.input(0)})}; }

// A list that older versions have as an attribute and newer ones as input i; none where it is not given.
ValueId list_of(Call& call, size_t i, std::string_view attribute) {
  if (call.has(i)) return call.input(i);
  const std::optional<std::vector<int64_t>> values = call.integers(attribute);
  return values ? call.list(*values) : none;
}

ValueId required_list(Call& call, size_t i, std::string_view attribute) {
  const ValueId list = list_of(call, i, attribute);
  if (list == none) call.refuse("its " + std::string(attribute) + " are missing");
  return list;
}

Values reshape(Call& call) {
  return {call.add(p::Reshape{call.integer("allowzero", 0) != 0}, {call.input(0), required_list(call, 1, "shape")})};
}

Values flatten(Call& call) { return {call.add(p::Flatten{call.integer("axis", 1)}, {call.input(0)})}; }

Values squeeze(Call& call) { return {call.add(p::Squeeze{}, {call.input(0), list_of(call, 1, "axes")})}; }

Values unsqueeze(Call& call) {
  ValueId axes = required_list(call, 1, "axes");
  // One axis may stand without a list around it, which ONNX's own functions make use of.
  if (call.graph().value(axes).type.shape.empty()) axes = call.add(p::Reshape{}, {axes, call.list({1})});
  return {call.add(p::Unsqueeze{}, {call.input(0), axes})};
}

Values transpose(Call& call) {
  return {call.add(p::Transpose{call.integers("perm").value_or(std::vector<int64_t>())}, {call.input(0)})};
}

Values expand(Call& call) { return {call.add(p::Expand{}, {call.input(0), call.input(1)})}; }

Values tile(Call& call) {
  if (call.opset() < 6)
    call.refuse("it is of opset " + std::to_string(call.opset()), "convert the model to opset 6 or later");
  return {call.add(p::Tile{}, {call.input(0), call.input(1)})};
}

Values concat(Call& call) {
  const int64_t axis = call.opset() < 4 ? call.integer("axis", 1) : call.required_integer("axis");
  return {call.add(p::Concat{axis}, call.inputs())};
}

Values split(Call& call) {
  p::Split split{call.integer("axis", 0), static_cast<int64_t>(call.output_count())};
  if (call.integer("num_outputs", split.num_outputs) != split.num_outputs) {
    call.refuse("it has another number of outputs than its num_outputs");
  }
  return call.add_all(split, {call.input(0), list_of(call, 1, "split")});
}

Values slice(Call& call) {
  if (call.opset() >= 10) {
    return {call.add(p::Slice{}, {call.input(0), call.input(1), call.input(2), call.optional(3), call.optional(4)})};
  }
  return {call.add(p::Slice{}, {call.input(0), required_list(call, 1, "starts"), required_list(call, 2, "ends"),
                                list_of(call, 3, "axes")})};
}

Values pad(Call& call) {
  p::Pad pad{call.word("mode", p::Pad::constant)};
  if (call.opset() >= 11) {
    return {call.add(pad, {call.input(0), call.input(1), call.optional(2), call.optional(3)})};
  }
  const ValueId pads = required_list(call, 1, call.opset() < 2 ? "paddings" : "pads");
  return {call.add(pad, {call.input(0), pads, call.scalar(call.type(0).dtype, call.number("value", 0))})};
}

Values trilu(Call& call) {
  return {call.add(p::Trilu{call.integer("upper", 1) != 0}, {call.input(0), call.optional(1)})};
}

Values eye_like(Call& call) {
  p::EyeLike eye{call.type(0).dtype, call.integer("k", 0)};
  if (call.attribute("dtype") != nullptr) {
    const int64_t type = call.required_integer("dtype");
    const int32_t known = type < 0 || type > INT32_MAX ? -1 : static_cast<int32_t>(type);
    eye.dtype = dtype_of(known, "attribute dtype of node " + call.node().name);
  }
  return {call.add(eye, {call.input(0)})};
}

constexpr Translation layout_table[] = {
    {"", "Concat", concat},   {"", "Constant", constant},   {"", "ConstantOfShape", constant_of_shape},
    {"", "Expand", expand},   {"", "EyeLike", eye_like},    {"", "Flatten", flatten},
    {"", "Pad", pad},         {"", "Reshape", reshape},     {"", "Shape", shape},
    {"", "Size", size},       {"", "Slice", slice},         {"", "Split", split},
    {"", "Squeeze", squeeze}, {"", "Tile", tile},           {"", "Transpose", transpose},
    {"", "Trilu", trilu},     {"", "Unsqueeze", unsqueeze},
};

}  // namespace

std::span<const Translation> layout_translations() { return layout_table; }

}  // namespace incipit::onnx
