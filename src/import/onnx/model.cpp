#include "import/onnx/model.h"

#include <onnx.pb.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <functional>
#include <utility>

#include "base/file.h"
#include "import/onnx/dimension_names.h"
#include "import/onnx/external_data.h"
#include "import/onnx/wire.h"

namespace incipit::onnx {
namespace {

namespace pb = ::onnx;
using wire::Bytes;

constexpr std::string_view damaged = "the file is damaged or no ONNX model: fetch or export it again";
constexpr size_t most_axes = 64;
// Smaller tensors are copied, so that their pages of the file need not stay.
constexpr size_t least_mapped_bytes = 4096;

// Numbers of fields that are taken apart by hand: large ones, and those that protobuf's classes do not have.
namespace field {
constexpr uint32_t model_graph = 7, graph_initializer = 5, tensor_raw_data = 9;
constexpr uint32_t node_overload = 8, function_attribute = 11, function_overload = 13;
}  // namespace field

Bytes bytes_of(const std::string& text) { return std::as_bytes(std::span(text.data(), text.size())); }
std::string text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

std::string domain_of(const std::string& domain) { return domain == "ai.onnx" ? std::string() : domain; }

class Reader {
 public:
  Reader(std::string name, std::shared_ptr<const MappedFile> file, ExternalFiles* external)
      : name_(std::move(name)), file_(std::move(file)), external_(external) {}

  Model model(Bytes bytes) {
    std::string rest, graph_rest;
    std::vector<Bytes> initializers;
    for_each_field(bytes, [&](const wire::Field& part) {
      if (part.number != field::model_graph || part.type != wire::Type::bytes) {
        append(rest, part.whole);
        return;
      }
      for_each_field(part.payload, [&](const wire::Field& inner) {
        const bool is_initializer = inner.number == field::graph_initializer && inner.type == wire::Type::bytes;
        is_initializer ? initializers.push_back(inner.payload) : append(graph_rest, inner.whole);
      });
    });
    pb::ModelProto message;
    parse(message, rest, "the model");
    pb::GraphProto graph_message;
    parse(graph_message, graph_rest, "the graph");

    Model model;
    model.ir_version = message.ir_version();
    model.producer = message.producer_name();
    if (!message.producer_version().empty()) model.producer += " " + message.producer_version();
    model.opsets = opsets(message.opset_import());
    model.graph = graph(graph_message, &initializers);
    for (const pb::FunctionProto& one : message.functions()) model.functions.push_back(function(one));
    if (model.graph.nodes.empty() && model.graph.outputs.empty()) refuse("has no graph", damaged);
    return model;
  }

  /// A whole TensorProto.
  ConstantPtr tensor(Bytes bytes) {
    std::string rest;
    std::optional<Bytes> raw;
    for_each_field(bytes, [&](const wire::Field& part) {
      if (part.number == field::tensor_raw_data && part.type == wire::Type::bytes) {
        raw = part.payload;
      } else {
        append(rest, part.whole);
      }
    });
    pb::TensorProto message;
    parse(message, rest, "a tensor");
    tensor_name_ = message.name();
    return tensor(message, raw);
  }
  /// … and the name that it had.
  const std::string& tensor_name() const { return tensor_name_; }

 private:
  [[noreturn]] void refuse(const std::string& fault, std::string_view remedy) const {
    throw Error(name_, fault, remedy);
  }

  void for_each_field(Bytes message, const std::function<void(const wire::Field&)>& take) const {
    if (!wire::for_each_field(message, take)) refuse("ends within a field, or is no ONNX model at all", damaged);
  }

  void append(std::string& rest, Bytes bytes) const {
    if (bytes.size() > static_cast<size_t>(INT32_MAX) - rest.size()) {
      refuse("has more than 2 GB beside its initializers", "export it with external data");
    }
    rest.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

  template <typename M>
  void parse(M& message, const std::string& bytes, const std::string& what) const {
    if (!message.ParseFromString(bytes)) refuse(what + " is no message of ONNX's", damaged);
  }

  // Fields that are newer than protobuf's classes: every one with that number.
  std::vector<Bytes> newer_fields(const std::string& unknown, uint32_t number) const {
    std::vector<Bytes> found;
    for_each_field(bytes_of(unknown), [&](const wire::Field& part) {
      if (part.number == number && part.type == wire::Type::bytes) found.push_back(part.payload);
    });
    return found;
  }
  std::string newer_text(const std::string& unknown, uint32_t number) const {
    const std::vector<Bytes> found = newer_fields(unknown, number);
    return found.empty() ? std::string() : text_of(found.back());
  }

  template <typename List>
  std::map<std::string, int64_t> opsets(const List& list) const {
    std::map<std::string, int64_t> versions;
    for (const auto& one : list) {
      int64_t& version = versions[domain_of(one.domain())];
      version = std::max<int64_t>(version, one.version());
    }
    return versions;
  }

  Graph graph(const pb::GraphProto& message, const std::vector<Bytes>* initializers) {
    Graph graph;
    graph.name = message.name();
    const auto add_initializer = [&](const std::string& name, ConstantPtr constant) {
      if (name.empty()) refuse("has an initializer without a name", damaged);
      if (!graph.initializers.emplace(name, std::move(constant)).second) {
        refuse("has the initializer '" + name + "' twice", damaged);
      }
    };
    if (initializers != nullptr) {
      for (const Bytes bytes : *initializers) {
        ConstantPtr constant = tensor(bytes);
        add_initializer(tensor_name_, std::move(constant));
      }
    }
    for (const pb::TensorProto& one : message.initializer()) add_initializer(one.name(), tensor(one, std::nullopt));
    if (message.sparse_initializer_size() > 0) {
      throw UnsupportedType(name_, "has sparse initializers", "export it with dense ones");
    }
    for (const pb::NodeProto& one : message.node()) graph.nodes.push_back(node(one));
    for (const pb::ValueInfoProto& one : message.input()) {
      if (!graph.initializers.contains(one.name())) graph.inputs.push_back(value(one));
    }
    for (const pb::ValueInfoProto& one : message.output()) graph.outputs.push_back(value(one));
    for (const pb::ValueInfoProto& one : message.value_info()) graph.values.push_back(value(one));
    return graph;
  }

  Function function(const pb::FunctionProto& message) {
    Function function;
    function.domain = domain_of(message.domain());
    function.name = message.name();
    function.overload = newer_text(message.unknown_fields(), field::function_overload);
    function.inputs.assign(message.input().begin(), message.input().end());
    function.outputs.assign(message.output().begin(), message.output().end());
    function.attributes.assign(message.attribute().begin(), message.attribute().end());
    for (const Bytes bytes : newer_fields(message.unknown_fields(), field::function_attribute)) {
      pb::AttributeProto one;
      parse(one, text_of(bytes), "a default attribute of function " + function.name);
      function.defaults.insert_or_assign(one.name(), attribute(one));
    }
    function.opsets = opsets(message.opset_import());
    for (const pb::NodeProto& one : message.node()) function.nodes.push_back(node(one));
    return function;
  }

  Node node(const pb::NodeProto& message) {
    Node node;
    node.name = message.name();
    node.domain = domain_of(message.domain());
    node.op_type = message.op_type();
    node.overload = newer_text(message.unknown_fields(), field::node_overload);
    node.inputs.assign(message.input().begin(), message.input().end());
    node.outputs.assign(message.output().begin(), message.output().end());
    for (const pb::AttributeProto& one : message.attribute()) {
      if (!node.attributes.emplace(one.name(), attribute(one)).second) {
        refuse("has the attribute '" + one.name() + "' twice in node '" + node.name + "' (" + node.op_type + ")",
               damaged);
      }
    }
    return node;
  }

  // Old files do not say of what kind an attribute is: it is of that whose field it has.
  static pb::AttributeProto::AttributeType kind_of(const pb::AttributeProto& message) {
    if (message.type() != pb::AttributeProto::UNDEFINED) return message.type();
    if (message.has_f()) return pb::AttributeProto::FLOAT;
    if (message.has_i()) return pb::AttributeProto::INT;
    if (message.has_s()) return pb::AttributeProto::STRING;
    if (message.has_t()) return pb::AttributeProto::TENSOR;
    if (message.has_g()) return pb::AttributeProto::GRAPH;
    if (message.floats_size() > 0) return pb::AttributeProto::FLOATS;
    if (message.ints_size() > 0) return pb::AttributeProto::INTS;
    if (message.strings_size() > 0) return pb::AttributeProto::STRINGS;
    return pb::AttributeProto::UNDEFINED;
  }

  Attribute attribute(const pb::AttributeProto& message) {
    using Kind = Attribute::Kind;
    Attribute attribute;
    if (!message.ref_attr_name().empty()) {
      attribute.kind = Kind::reference;
      attribute.text = message.ref_attr_name();
      return attribute;
    }
    switch (kind_of(message)) {
      case pb::AttributeProto::FLOAT:
        attribute.kind = Kind::number;
        attribute.number = message.f();
        break;
      case pb::AttributeProto::INT:
        attribute.kind = Kind::integer;
        attribute.integer = message.i();
        break;
      case pb::AttributeProto::STRING:
        attribute.kind = Kind::text;
        attribute.text = message.s();
        break;
      case pb::AttributeProto::TENSOR:
        attribute.kind = Kind::tensor;
        attribute.tensor = tensor(message.t(), std::nullopt);
        break;
      case pb::AttributeProto::GRAPH:
        attribute.kind = Kind::graph;
        attribute.graph = std::make_shared<Graph>(graph(message.g(), nullptr));
        break;
      case pb::AttributeProto::FLOATS:
        attribute.kind = Kind::numbers;
        attribute.numbers.assign(message.floats().begin(), message.floats().end());
        break;
      case pb::AttributeProto::INTS:
        attribute.kind = Kind::integers;
        attribute.integers.assign(message.ints().begin(), message.ints().end());
        break;
      case pb::AttributeProto::STRINGS:
        attribute.kind = Kind::texts;
        attribute.texts.assign(message.strings().begin(), message.strings().end());
        break;
      default: break;
    }
    return attribute;
  }

  ValueInfo value(const pb::ValueInfoProto& message) {
    ValueInfo info;
    info.name = message.name();
    if (!message.has_type() || message.type().value_case() == pb::TypeProto::VALUE_NOT_SET) return info;
    info.is_tensor = message.type().has_tensor_type();
    if (!info.is_tensor) return info;
    const pb::TypeProto::Tensor& tensor = message.type().tensor_type();
    info.element_type = tensor.elem_type();
    if (!tensor.has_shape()) return info;
    if (static_cast<size_t>(tensor.shape().dim_size()) > most_axes) {
      refuse("declares '" + info.name + "' with " + std::to_string(tensor.shape().dim_size()) + " axes", damaged);
    }
    info.shape.emplace();
    for (const pb::TensorShapeProto::Dimension& one : tensor.shape().dim()) {
      Dim extent = Dim::unknown();
      if (one.has_dim_value() && one.dim_value() >= 0) extent = one.dim_value();
      if (one.has_dim_param() && !one.dim_param().empty()) extent = dimensions_.dimension(one.dim_param());
      info.shape->push_back(std::move(extent));
    }
    return info;
  }

  /// `raw`, where it is given, stands in the file; else it is the message's own.
  ConstantPtr tensor(const pb::TensorProto& message, std::optional<Bytes> raw) {
    const std::string thing = name_ + ": tensor '" + message.name() + "'";
    if (static_cast<size_t>(message.dims_size()) > most_axes) {
      throw Error(thing, "has " + std::to_string(message.dims_size()) + " axes", damaged);
    }
    if (message.has_segment()) throw Error(thing, "is cut into segments", "export it again");
    const DType dtype = dtype_of(message.data_type(), thing);
    const Shape shape(message.dims().begin(), message.dims().end());
    const size_t bytes = checked_bytes(thing, dtype, shape);
    if (message.data_location() == pb::TensorProto::EXTERNAL) return external(thing, message, dtype, shape);
    const bool is_mapped = raw.has_value() && file_ != nullptr;
    if (!raw && message.has_raw_data()) raw = bytes_of(message.raw_data());
    if (!raw) return typed(thing, message, dtype, shape);
    if (raw->size() != bytes) wrong_size(thing, bytes / size_of(dtype), raw->size() / size_of(dtype), raw->size());
    if (is_mapped && bytes >= least_mapped_bytes && dtype != DType::boolean) {
      return make_file_constant(dtype, shape, file_, static_cast<size_t>(raw->data() - file_->bytes().data()));
    }
    Tensor tensor(dtype, shape);
    if (bytes > 0) std::memcpy(tensor.data(), raw->data(), bytes);
    if (dtype == DType::boolean) {
      for (uint8_t& value : tensor.as<uint8_t>()) value = value != 0 ? 1 : 0;
    }
    return make_constant(std::move(tensor));
  }

  size_t checked_bytes(const std::string& thing, DType dtype, const Shape& shape) const {
    int64_t bytes = static_cast<int64_t>(size_of(dtype));
    bool fits = true;
    for (const int64_t extent : shape) {
      if (extent < 0) throw Error(thing, "has the extent " + std::to_string(extent), damaged);
    }
    const bool is_empty = std::find(shape.begin(), shape.end(), 0) != shape.end();
    for (const int64_t extent : shape) fits = fits && !__builtin_mul_overflow(bytes, extent, &bytes);
    // The elements of an empty tensor are counted from the left elsewhere, so that its other extents matter too.
    if (!fits) throw Error(thing, "has a shape whose bytes overflow 64 bits", damaged);
    return is_empty ? 0 : static_cast<size_t>(bytes);
  }

  [[noreturn]] static void wrong_size(const std::string& thing, size_t wanted, size_t found, size_t bytes) {
    throw Error(thing,
                "has a shape of " + std::to_string(wanted) + " elements, but data of " + std::to_string(found) + " (" +
                    std::to_string(bytes) + " bytes)",
                damaged);
  }

  ConstantPtr external(const std::string& thing, const pb::TensorProto& message, DType dtype, const Shape& shape) {
    if (external_ == nullptr) {
      throw Error(thing, "has its data in another file", "give the model's path, beside which that file lies");
    }
    ExternalLocation where;
    for (const pb::StringStringEntryProto& entry : message.external_data()) {
      const auto number = [&] {
        uint64_t value = 0;
        const char* end = entry.value().data() + entry.value().size();
        const auto [stop, error] = std::from_chars(entry.value().data(), end, value);
        if (error != std::errc() || stop != end) {
          throw Error(thing, "has '" + entry.value() + "' as its data's " + entry.key(), damaged);
        }
        return value;
      };
      if (entry.key() == "location") where.location = entry.value();
      if (entry.key() == "offset") where.offset = number();
      if (entry.key() == "length") where.length = number();
    }
    return external_->constant(thing, where, dtype, shape);
  }

  // Elements in a field of their own kind. Halves lie in int32_data as their bits.
  ConstantPtr typed(const std::string& thing, const pb::TensorProto& message, DType dtype, const Shape& shape) const {
    const auto wanted = static_cast<size_t>(element_count(shape));
    const auto take = [&]<typename T>(T, const auto& values) {
      if (static_cast<size_t>(values.size()) != wanted) {
        const auto found = static_cast<size_t>(values.size());
        wrong_size(thing, wanted, found, found * sizeof(T));
      }
      Tensor tensor(dtype, shape);
      const std::span<T> elements = tensor.as<T>();
      for (int i = 0; i < values.size(); ++i) elements[static_cast<size_t>(i)] = static_cast<T>(values.Get(i));
      return make_constant(std::move(tensor));
    };
    switch (dtype) {
      case DType::f32: return take(float{}, message.float_data());
      case DType::f64: return take(double{}, message.double_data());
      case DType::i64: return take(int64_t{}, message.int64_data());
      case DType::u64: return take(uint64_t{}, message.uint64_data());
      case DType::u32: return take(uint32_t{}, message.uint64_data());
      case DType::i32: return take(int32_t{}, message.int32_data());
      case DType::i16: return take(int16_t{}, message.int32_data());
      case DType::u16:
      case DType::f16:
      case DType::bf16: return take(uint16_t{}, message.int32_data());
      case DType::i8: return take(int8_t{}, message.int32_data());
      case DType::u8: return take(uint8_t{}, message.int32_data());
      case DType::boolean: return take_booleans(take(uint8_t{}, message.int32_data()));
    }
    INCIPIT_ASSERT(!"dtype");
  }
  static ConstantPtr take_booleans(const ConstantPtr& stored) {
    Tensor tensor = stored->materialise();
    for (uint8_t& value : tensor.as<uint8_t>()) value = value != 0 ? 1 : 0;
    return make_constant(std::move(tensor));
  }

  std::string name_;
  std::shared_ptr<const MappedFile> file_;  // what the bytes are mapped from; null: they are in memory
  ExternalFiles* external_;                 // null: none are allowed
  DimensionNames dimensions_;
  std::string tensor_name_;
};

}  // namespace

Model read_model(const std::filesystem::path& path) {
  const std::shared_ptr<const MappedFile> file = MappedFile::open(path);
  ExternalFiles external(path);
  Model model = Reader(path.string(), file, &external).model(file->bytes());
  model.files = {path};
  model.files.insert(model.files.end(), external.paths().begin(), external.paths().end());
  return model;
}

Model parse_model(std::span<const std::byte> bytes, const std::string& name) {
  Model model = Reader(name, nullptr, nullptr).model(bytes);
  model.files = {name};
  return model;
}

Tensor read_tensor(const std::filesystem::path& path) {
  const std::shared_ptr<const MappedFile> file = MappedFile::open(path);
  return Reader(path.string(), file, nullptr).tensor(file->bytes())->materialise();
}

}  // namespace incipit::onnx
