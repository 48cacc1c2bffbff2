#include "import/onnx/call.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace incipit::onnx {
namespace {

/// What a node is called in the graph.
const std::string& name_of(const Node& node) {
  if (!node.name.empty()) return node.name;
  const auto named =
      std::find_if(node.outputs.begin(), node.outputs.end(), [](const auto& name) { return !name.empty(); });
  return named == node.outputs.end() ? node.op_type : *named;
}

}  // namespace

Call::Call(incipit::Graph& graph, const Node& node, int64_t opset, std::vector<ValueId> inputs, Bodies* bodies)
    : graph_(graph), node_(node), opset_(opset), inputs_(std::move(inputs)), bodies_(bodies) {}

ValueId Call::input(size_t i) const {
  if (!has(i)) refuse("lacks input " + std::to_string(i));
  return inputs_[i];
}

std::optional<std::vector<int64_t>> Call::known_integers(size_t i) const {
  return has(i) ? incipit::known_integers(graph_.value(inputs_[i]).type) : std::nullopt;
}

const Attribute* Call::attribute(std::string_view name) const {
  const auto found = node_.attributes.find(std::string(name));
  return found == node_.attributes.end() ? nullptr : &found->second;
}

const Attribute* Call::attribute(std::string_view name, Attribute::Kind kind, std::string_view what) const {
  const Attribute* found = attribute(name);
  if (found != nullptr && found->kind != kind) {
    refuse("has an attribute '" + std::string(name) + "' that is not " + std::string(what));
  }
  return found;
}

int64_t Call::integer(std::string_view name, int64_t otherwise) const {
  const Attribute* found = attribute(name, Attribute::Kind::integer, "an integer");
  return found == nullptr ? otherwise : found->integer;
}

int64_t Call::required_integer(std::string_view name) const {
  if (attribute(name) == nullptr) refuse("lacks its attribute '" + std::string(name) + "'");
  return integer(name, 0);
}

float Call::number(std::string_view name, float otherwise) const {
  const Attribute* found = attribute(name, Attribute::Kind::number, "a number");
  return found == nullptr ? otherwise : found->number;
}

std::string Call::text(std::string_view name, std::string_view otherwise) const {
  const Attribute* found = attribute(name, Attribute::Kind::text, "a text");
  return found == nullptr ? std::string(otherwise) : found->text;
}

std::optional<std::vector<int64_t>> Call::integers(std::string_view name) const {
  const Attribute* found = attribute(name);
  if (found == nullptr) return std::nullopt;
  // An empty list without a type cannot be told from another kind.
  if (found->kind == Attribute::Kind::other) return std::vector<int64_t>();
  return attribute(name, Attribute::Kind::integers, "a list of integers")->integers;
}

const Graph& Call::body(std::string_view name) const {
  const Attribute* found = attribute(name, Attribute::Kind::graph, "a graph");
  if (found == nullptr) refuse("lacks its graph '" + std::string(name) + "'");
  return *found->graph;
}

Bodies& Call::bodies() const {
  INCIPIT_ASSERT(bodies_ != nullptr);
  return *bodies_;
}

std::vector<ValueId> Call::add_op(std::unique_ptr<Op> op, std::vector<ValueId> inputs) {
  return graph_.add_node(name_of(node_), std::move(op), std::move(inputs));
}

ValueId Call::constant(Tensor tensor) {
  return graph_.add_constant(name_of(node_) + "/constant", make_constant(std::move(tensor)));
}

ValueId Call::scalar(int64_t value) { return constant(Tensor::of({}, std::span<const int64_t>(&value, 1))); }

ValueId Call::scalar(DType dtype, double value) {
  Tensor tensor(dtype, {});
  const auto store = [&]<typename T>(T) {
    if constexpr (std::is_integral_v<T>) {
      // What is out of range would be undefined; a translation asks for what its operator's text says.
      const bool fits = std::isfinite(value) && value >= static_cast<double>(std::numeric_limits<T>::min()) &&
                        value <= static_cast<double>(std::numeric_limits<T>::max());
      if (!fits)
        refuse("has the number " + std::to_string(value) + ", which is no " + std::string(incipit::name_of(dtype)));
    }
    tensor.as<T>()[0] = static_cast<T>(value);
  };
  switch (dtype) {
    case DType::f32: store(float{}); break;
    case DType::f64: store(double{}); break;
    case DType::f16:
    case DType::bf16: {
      const auto narrow = static_cast<float>(value);
      convert_from_float(&narrow, dtype, tensor.data(), 1);
      break;
    }
    case DType::i8: store(int8_t{}); break;
    case DType::u8: store(uint8_t{}); break;
    case DType::boolean: tensor.as<uint8_t>()[0] = value != 0 ? 1 : 0; break;
    case DType::i16: store(int16_t{}); break;
    case DType::u16: store(uint16_t{}); break;
    case DType::i32: store(int32_t{}); break;
    case DType::u32: store(uint32_t{}); break;
    case DType::i64: store(int64_t{}); break;
    case DType::u64: store(uint64_t{}); break;
  }
  return constant(std::move(tensor));
}

void Call::refuse(const std::string& fault, const std::string& remedy) const {
  throw Error(name_of(node_), fault, remedy);
}

}  // namespace incipit::onnx
