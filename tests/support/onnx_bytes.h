// ONNX models written byte by byte, whole or broken, by the numbers of onnx.proto's fields.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace incipit::onnx_bytes {

inline std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>((value & 0x7f) | 0x80);
  return bytes + static_cast<char>(value);
}
inline std::string number(uint32_t field, int64_t value) {
  return varint(uint64_t{field} << 3) + varint(static_cast<uint64_t>(value));
}
inline std::string bytes(uint32_t field, std::string_view content) {
  return varint(uint64_t{field} << 3 | 2) + varint(content.size()) + std::string(content);
}

template <typename T>
std::string raw(std::initializer_list<T> values) {
  std::string text;
  for (const T& value : values) text.append(reinterpret_cast<const char*>(&value), sizeof(T));
  return text;
}

/// Numbers of TensorProto.DataType.
enum Element : int { f32 = 1, u8 = 2, i8 = 3, i32 = 6, i64 = 7, string = 8, boolean = 9, half = 10, f8 = 17 };

inline std::string tensor_head(std::string_view name, int element, std::initializer_list<int64_t> shape) {
  std::string text;
  for (const int64_t extent : shape) text += number(1, extent);
  return text + number(2, element) + bytes(8, name);
}
inline std::string tensor(std::string_view name, int element, std::initializer_list<int64_t> shape,
                          std::string_view raw_data) {
  return tensor_head(name, element, shape) + bytes(9, raw_data);
}
inline std::string floats(std::string_view name, std::initializer_list<int64_t> shape,
                          std::initializer_list<float> values) {
  return tensor(name, f32, shape, raw(values));
}
inline std::string integers(std::string_view name, std::initializer_list<int64_t> shape,
                            std::initializer_list<int64_t> values) {
  return tensor(name, i64, shape, raw(values));
}

/// An extent is a number, or a name where it is none.
inline std::string value(std::string_view name, int element, std::initializer_list<std::string_view> shape) {
  std::string dims;
  for (const std::string_view extent : shape) {
    const bool is_number = !extent.empty() && extent.find_first_not_of("0123456789") == std::string_view::npos;
    dims += bytes(1, is_number ? number(1, std::stoll(std::string(extent))) : bytes(2, extent));
  }
  return bytes(1, name) + bytes(2, bytes(1, number(1, element) + bytes(2, dims)));
}

using Names = std::initializer_list<std::string_view>;
/// `attributes` are AttributeProtos.
inline std::string node(std::string_view op, Names inputs, Names outputs,
                        std::initializer_list<std::string> attributes = {}, std::string_view name = {},
                        std::string_view domain = {}) {
  std::string text;
  for (const std::string_view input : inputs) text += bytes(1, input);
  for (const std::string_view output : outputs) text += bytes(2, output);
  if (!name.empty()) text += bytes(3, name);
  text += bytes(4, op);
  for (const std::string& attribute : attributes) text += bytes(5, attribute);
  if (!domain.empty()) text += bytes(7, domain);
  return text;
}
inline std::string integer_attribute(std::string_view name, int64_t value) {
  return bytes(1, name) + number(3, value) + number(20, 2);
}
inline std::string integers_attribute(std::string_view name, std::initializer_list<int64_t> values) {
  std::string text = bytes(1, name);
  for (const int64_t value : values) text += number(8, value);
  return text + number(20, 7);
}
inline std::string float_attribute(std::string_view name, float value) {
  return bytes(1, name) + varint(2 << 3 | 5) + raw({value}) + number(20, 1);
}
inline std::string graph_attribute(std::string_view name, std::string_view graph) {
  return bytes(1, name) + bytes(6, graph) + number(20, 5);
}
/// Stands for an attribute of the function around it.
inline std::string reference(std::string_view name, std::string_view of) {
  return bytes(1, name) + bytes(21, of) + number(20, 2);
}

struct OnnxGraph {
  std::vector<std::string> nodes, initializers, inputs, outputs, values;
  std::string text() const {
    std::string text;
    for (const std::string& one : nodes) text += bytes(1, one);
    for (const std::string& one : initializers) text += bytes(5, one);
    for (const std::string& one : inputs) text += bytes(11, one);
    for (const std::string& one : outputs) text += bytes(12, one);
    for (const std::string& one : values) text += bytes(13, one);
    return text;
  }
};

inline std::string model(const OnnxGraph& graph, int64_t opset = 18, const std::vector<std::string>& functions = {}) {
  std::string text = number(1, 8) + bytes(7, graph.text()) + bytes(8, number(2, opset));
  for (const std::string& one : functions) text += bytes(25, one);
  return text;
}

inline std::span<const std::byte> span_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// y = x · w + b
inline OnnxGraph small_graph() {
  return {{node("MatMul", {"x", "w"}, {"product"}, {}, "multiply"), node("Add", {"product", "b"}, {"y"}, {}, "add")},
          {floats("w", {2, 3}, {1, 2, 3, 4, 5, 6}), floats("b", {3}, {7, 8, 9})},
          {value("x", f32, {"rows", "2"})},
          {value("y", f32, {"rows", "3"})},
          {}};
}

}  // namespace incipit::onnx_bytes
