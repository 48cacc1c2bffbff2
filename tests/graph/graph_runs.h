// Running graphs that are written as text.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "graph/text_form.h"

namespace incipit {

/// Runs a graph whose text is given on f32 or i32 inputs.
inline std::vector<Tensor> run(const std::string& text, std::vector<Tensor> inputs, ReferenceCache* cache = nullptr) {
  const Graph graph = parse_graph(text);
  verify(graph);
  std::vector<const Tensor*> pointers;
  for (const Tensor& input : inputs) pointers.push_back(&input);
  ReferenceCache fresh;
  return interpret(graph, pointers, cache ? *cache : fresh);
}

inline std::vector<float> floats(const Tensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.elements()));
  convert_to_float(tensor.dtype(), tensor.data(), values.data(), values.size());
  return values;
}

inline Tensor f32(Shape shape, std::vector<float> values) {
  return Tensor::of(std::move(shape), std::span<const float>(values));
}
inline Tensor i32(std::vector<int32_t> values) {
  return Tensor::of({static_cast<int64_t>(values.size())}, std::span<const int32_t>(values));
}
inline std::vector<Tensor> list(Tensor a) {
  std::vector<Tensor> tensors;
  tensors.push_back(std::move(a));
  return tensors;
}
inline std::vector<Tensor> list(Tensor a, Tensor b) {
  std::vector<Tensor> tensors = list(std::move(a));
  tensors.push_back(std::move(b));
  return tensors;
}

}  // namespace incipit
