// Random graphs that spell out what passes raise: shapes that broadcast, symbols of one value, numbers and vectors with
// more axes than they need, halves among singles.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "graph/graph.h"
#include "graph/ops/primitive.h"

namespace incipit {

class Variant {
 public:
  explicit Variant(uint32_t seed) : random_(seed) {}

  Graph graph;
  /// What the symbols are.
  std::map<std::string, int64_t> extents;

  bool chance(double probability) { return std::uniform_real_distribution<>(0, 1)(random_) < probability; }
  template <typename T>
  T one_of(const std::vector<T>& choices) {
    return choices[random_() % choices.size()];
  }
  /// An extent: the number, the symbol that means it, mostly; another symbol for it; or what broadcasts.
  Dim extent(const std::string& symbol, int64_t number) {
    const double draw = std::uniform_real_distribution<>(0, 1)(random_);
    if (draw < 0.04) return number;
    if (draw < 0.06) return 1;
    const auto of = [&](const std::string& name, int64_t value) {
      extents[name] = value;
      return Dim::symbol(name);
    };
    if (draw < 0.08) return of(symbol + "_other", number);
    if (draw < 0.1) return of(symbol + "_one", 1);
    return of(symbol, number);
  }
  DType dtype() { return chance(0.7) ? DType::f32 : one_of<DType>({DType::f16, DType::bf16, DType::f64, DType::f32}); }

  ValueId input(DType dtype, std::vector<Dim> shape) {
    return graph.add_input("input" + std::to_string(graph.inputs().size()), {dtype, std::move(shape)});
  }
  ValueId constant(DType dtype, Shape shape, const std::vector<float>& values) {
    Tensor tensor(dtype, std::move(shape));
    if (dtype == DType::f64) {
      std::copy(values.begin(), values.end(), tensor.as<double>().begin());
    } else {
      convert_from_float(values.data(), dtype, tensor.data(), values.size());
    }
    return graph.add_constant("constant", make_constant(std::move(tensor)));
  }
  /// A constant of one element, of any rank up to 5.
  ValueId number(DType dtype, float value) {
    return constant(dtype, Shape(chance(0.8) ? 0 : random_() % 6, 1), {value});
  }
  ValueId integers(const std::vector<int64_t>& values) {
    const std::span<const int64_t> span(values);
    return graph.add_constant("integers", make_constant(Tensor::of({std::ssize(values)}, span)));
  }
  /// Random numbers for `count` elements.
  std::vector<float> numbers(int64_t count) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = std::normal_distribution<float>()(random_);
    return values;
  }

  template <typename O>
  ValueId add(O op, std::vector<ValueId> inputs) {
    return graph.add("node", ops::Primitive<O>(std::move(op)), std::move(inputs));
  }
  ValueId binary(primitives::Binary::Function function, ValueId a, ValueId b) {
    return chance(0.3) && (function == primitives::Binary::add || function == primitives::Binary::mul)
               ? add(primitives::Binary{function}, {b, a})
               : add(primitives::Binary{function}, {a, b});
  }
  ValueId unary(primitives::Unary::Function function, ValueId x) { return add(primitives::Unary{function}, {x}); }
  DType dtype_of(ValueId value) const { return graph.value(value).type.dtype; }
  ValueId cast(ValueId value, DType dtype) {
    return dtype_of(value) == dtype ? value : add(primitives::Cast{dtype}, {value});
  }
  /// As they are multiplied: of one type.
  void unite(ValueId& a, ValueId& b) {
    if (dtype_of(a) == dtype_of(b)) return;
    const DType common = dtype_of(a) == DType::f64 || dtype_of(b) == DType::f64 ? DType::f64 : DType::f32;
    a = cast(a, common), b = cast(b, common);
  }
  /// Converted somewhere, as exporters do around norms and softmax.
  ValueId wander(ValueId value) {
    return chance(0.15) ? cast(value, one_of<DType>({DType::f32, DType::f16, DType::f64})) : value;
  }
  /// Scaled by a number, sometimes.
  ValueId scaled(ValueId value) {
    if (chance(0.6)) return value;
    const bool is_product = chance(0.5);
    return binary(is_product ? primitives::Binary::mul : primitives::Binary::div, value,
                  number(dtype_of(value), is_product ? 0.5F : 2.0F));
  }

  /// The inputs' tensors.
  std::vector<Tensor> tensors() {
    std::vector<Tensor> made;
    for (const ValueId id : graph.inputs()) {
      const ValueType& type = graph.value(id).type;
      Shape shape;
      for (const Dim& dim : type.shape) shape.push_back(dim.evaluate(extents));
      Tensor& tensor = made.emplace_back(type.dtype, std::move(shape));
      const std::vector<float> values = numbers(tensor.elements());
      if (type.dtype == DType::boolean) {
        for (size_t i = 0; i < values.size(); ++i) tensor.as<bool>()[i] = values[i] > 0;
      } else if (type.dtype == DType::f64) {
        std::copy(values.begin(), values.end(), tensor.as<double>().begin());
      } else {
        convert_from_float(values.data(), type.dtype, tensor.data(), values.size());
      }
    }
    return made;
  }

 private:
  std::mt19937 random_;
};

/// Each puts the outputs into the graph. They throw what shape rules throw where a draw makes no graph.
void spell_attention(Variant& variant);
void spell_rotation(Variant& variant);
void spell_norm(Variant& variant);
void spell_activation(Variant& variant);
void spell_rows(Variant& variant);

}  // namespace incipit
