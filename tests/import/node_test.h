// A node of an ONNX model, translated and computed.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "graph/graph.h"
#include "import/onnx/call.h"

namespace incipit {

/// Numbers of −1 … 1 that differ from seed to seed.
inline Tensor numbers(Shape shape, uint32_t seed) {
  Tensor tensor(DType::f32, std::move(shape));
  uint32_t state = seed * 2654435761u + 1;
  for (float& value : tensor.as<float>()) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(state >> 8) / static_cast<float>(1u << 23) - 1;
  }
  return tensor;
}
inline Tensor i32(Shape shape, std::vector<int32_t> values) {
  return Tensor::of(std::move(shape), std::span<const int32_t>(values));
}
inline Tensor i64(Shape shape, std::vector<int64_t> values) {
  return Tensor::of(std::move(shape), std::span<const int64_t>(values));
}
inline Tensor bytes(Shape shape, const std::vector<int>& values) {
  Tensor tensor(DType::u8, std::move(shape));
  for (size_t i = 0; i < values.size(); ++i) tensor.as<uint8_t>()[i] = static_cast<uint8_t>(values[i]);
  return tensor;
}

inline onnx::Attribute attribute(int64_t value) {
  onnx::Attribute made;
  made.kind = onnx::Attribute::Kind::integer, made.integer = value;
  return made;
}
inline onnx::Attribute attribute(float value) {
  onnx::Attribute made;
  made.kind = onnx::Attribute::Kind::number, made.number = value;
  return made;
}
inline onnx::Attribute attribute(std::vector<int64_t> values) {
  onnx::Attribute made;
  made.kind = onnx::Attribute::Kind::integers, made.integers = std::move(values);
  return made;
}

struct NodeTest {
  std::string op_type;
  std::map<std::string, onnx::Attribute> attributes;
  std::vector<const Tensor*> inputs;  // null: absent
  size_t outputs = 1;
  bool inputs_are_constants = false;
  std::string domain = "com.microsoft";
  int64_t opset = 1;

  /// What the node makes, translated into a graph whose extents are symbols where `symbolic`.
  std::vector<Tensor> run(bool symbolic = false) const {
    onnx::Node node;
    node.name = "node", node.domain = domain, node.op_type = op_type, node.attributes = attributes;
    Graph graph;
    std::vector<ValueId> values;
    std::vector<const Tensor*> given;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i] == nullptr) {
        values.push_back(none);
      } else if (inputs_are_constants && i > 0) {
        values.push_back(graph.add_constant("c" + std::to_string(i), make_constant(primitives::copy_of(*inputs[i]))));
      } else {
        ValueType type{inputs[i]->dtype(), {}};
        for (size_t axis = 0; axis < inputs[i]->shape().size(); ++axis) {
          // A row's width stays a number, as in any model.
          const bool is_last = axis + 1 == inputs[i]->shape().size() || axis == 1;
          type.shape.push_back(symbolic && !is_last ? Dim::symbol("n" + std::to_string(i) + "_" + std::to_string(axis))
                                                    : Dim(inputs[i]->shape()[axis]));
        }
        values.push_back(graph.add_input("x" + std::to_string(i), type));
        given.push_back(inputs[i]);
      }
    }
    for (size_t i = 0; i < outputs; ++i) node.outputs.push_back("y" + std::to_string(i));
    const onnx::Translation* translation = onnx::find_translation(domain, op_type);
    INCIPIT_ASSERT(translation != nullptr);
    onnx::Call call(graph, node, opset, values);
    const std::vector<ValueId> made = translation->translate(call);
    std::vector<ValueId> results;
    std::copy_if(made.begin(), made.begin() + static_cast<ptrdiff_t>(outputs), std::back_inserter(results),
                 [](ValueId id) { return id != none; });
    graph.set_outputs(results);
    graph.remove_unused();
    ReferenceCache cache;
    return interpret(graph, given, cache);
  }
};

inline void expect_near(const Tensor& found, const std::vector<double>& expected, double tolerance = 1e-5) {
  ASSERT_EQ(static_cast<size_t>(found.elements()), expected.size());
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(found.as<float>()[i], expected[i], tolerance) << "element " << i;
}
inline std::vector<double> values(const Tensor& tensor) {
  return {tensor.as<float>().begin(), tensor.as<float>().end()};
}

/// An element of [B, H, S, D], given as rows [B, S, H·D] or as it is.
using Element = std::function<double(int64_t b, int64_t h, int64_t s, int64_t d)>;
inline Element in_rows(const Tensor& rows, int64_t heads, int64_t width, int64_t column = 0) {
  return [&rows, heads, width, column](int64_t b, int64_t h, int64_t s, int64_t d) {
    const int64_t row = rows.shape()[2];
    INCIPIT_ASSERT(column + heads * width <= row);
    return static_cast<double>(
        rows.as<float>()[static_cast<size_t>((b * rows.shape()[1] + s) * row + column + h * width + d)]);
  };
}
inline Element by_head(const Tensor& x) {
  return [&x](int64_t b, int64_t h, int64_t s, int64_t d) {
    const Shape& n = x.shape();
    return static_cast<double>(x.as<float>()[static_cast<size_t>(((b * n[1] + h) * n[2] + s) * n[3] + d)]);
  };
}
inline Element after(const Tensor& past, Element x) {
  return [&past, x = std::move(x)](int64_t b, int64_t h, int64_t s, int64_t d) {
    const int64_t length = past.shape()[2];
    return s < length ? by_head(past)(b, h, s, d) : x(b, h, s - length, d);
  };
}

}  // namespace incipit
