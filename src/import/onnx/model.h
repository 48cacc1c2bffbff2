// An ONNX model as it stands in its file: messages turned into plain structs, nothing interpreted. Only model.cpp sees
// protobuf. Source: onnx.proto of ONNX (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "graph/constant.h"
#include "primitives/dim.h"

namespace incipit::onnx {

struct Graph;

struct Attribute {
  /// `other`: lists of tensors and graphs, sparse tensors and types, which no supported operator has.
  enum class Kind : uint8_t { number, integer, text, tensor, graph, numbers, integers, texts, reference, other };
  Kind kind = Kind::other;
  float number = 0;
  int64_t integer = 0;
  std::string text;  // of a reference: the function's attribute that it stands for
  ConstantPtr tensor;
  std::shared_ptr<const Graph> graph;
  std::vector<float> numbers;
  std::vector<int64_t> integers;
  std::vector<std::string> texts;
};

struct Node {
  std::string name;    // may be empty
  std::string domain;  // "" is ai.onnx
  std::string op_type;
  std::string overload;             // which of a function's
  std::vector<std::string> inputs;  // an empty name: absent
  std::vector<std::string> outputs;
  std::map<std::string, Attribute> attributes;
};

/// What is declared of a value. An element type that this project does not have is kept by its number.
struct ValueInfo {
  std::string name;
  int32_t element_type = 0;  // TensorProto.DataType; 0: not declared, or no tensor
  bool is_tensor = true;     // else a sequence, optional, map or sparse tensor
  std::optional<std::vector<Dim>> shape;
};

struct Graph {
  std::string name;
  std::vector<Node> nodes;
  std::map<std::string, ConstantPtr> initializers;
  std::vector<ValueInfo> inputs;  // those that are initializers too are left out
  std::vector<ValueInfo> outputs;
  std::vector<ValueInfo> values;  // what is declared of those in between
};

struct Function {
  std::string domain, name, overload;
  std::vector<std::string> inputs, outputs;
  std::vector<std::string> attributes;        // without a default
  std::map<std::string, Attribute> defaults;  // attributes with one
  std::map<std::string, int64_t> opsets;      // by domain
  std::vector<Node> nodes;
};

struct Model {
  int64_t ir_version = 0;
  std::string producer;
  std::map<std::string, int64_t> opsets;  // by domain; "" is ai.onnx
  Graph graph;
  std::vector<Function> functions;
  /// The model's own first (of a parsed model: its name), then those of external data.
  std::vector<std::filesystem::path> files;
};

/// Reads a model and maps its external data, whose files must lie in the model's directory. Initializers stay where
/// they are mapped. Throws Error naming the file and what is wrong with it.
Model read_model(const std::filesystem::path& file);
/// The same from bytes; a model with external data is refused.
Model parse_model(std::span<const std::byte> bytes, const std::string& name);
/// A TensorProto of its own, as ONNX's test data has them.
Tensor read_tensor(const std::filesystem::path& file);

/// An element type that is none of this project's (strings, complex numbers, the types of fewer than 8 bits, fp8): a
/// model that needs it is refused by name, a test of it is skipped.
class UnsupportedType : public Error {
 public:
  using Error::Error;
};
/// Throws UnsupportedType naming `thing`.
DType dtype_of(int32_t element_type, const std::string& thing);

}  // namespace incipit::onnx
