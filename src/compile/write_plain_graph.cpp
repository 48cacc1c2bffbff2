#include "compile/write_plain_graph.h"

namespace incipit {
namespace {

using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;

Offset<flatbuffers::String> text(FlatBufferBuilder& builder, std::string_view value) {
  return builder.CreateSharedString(value.data(), value.size());
}

/// Writes every attribute of an op.
class AttributeWriter final : public AttributeVisitor {
 public:
  explicit AttributeWriter(FlatBufferBuilder& builder) : builder_(builder) {}
  void visit(std::string_view name, int64_t& value) override { add(name, plan::AttributeKind::integer, value); }
  void visit(std::string_view name, float& value) override { add(name, plan::AttributeKind::number, 0, value); }
  void visit(std::string_view name, bool& value) override { add(name, plan::AttributeKind::flag, value ? 1 : 0); }
  void visit(std::string_view name, std::string& value) override {
    add(name, plan::AttributeKind::text, 0, 0, text(builder_, value));
  }
  void visit(std::string_view name, std::vector<int64_t>& value) override {
    add(name, plan::AttributeKind::integers, 0, 0, {}, builder_.CreateVector(value));
  }
  void visit(std::string_view name, std::span<const std::string_view> words, size_t& chosen) override {
    add(name, plan::AttributeKind::text, 0, 0, text(builder_, words[chosen]));
  }
  std::vector<Offset<plan::Attribute>> attributes;

 private:
  void add(std::string_view name, plan::AttributeKind kind, int64_t integer, float number = 0,
           Offset<flatbuffers::String> words = {}, Offset<flatbuffers::Vector<int64_t>> integers = {}) {
    attributes.push_back(plan::CreateAttribute(builder_, text(builder_, name), kind, integer, number, words, integers));
  }
  FlatBufferBuilder& builder_;
};

Offset<plan::Port> port(FlatBufferBuilder& builder, const DraftPort& draft) {
  std::vector<Offset<flatbuffers::String>> extents;
  for (const Dim& extent : draft.type.shape) extents.push_back(text(builder, extent.text()));
  return plan::CreatePort(builder, text(builder, draft.name), text(builder, name_of(draft.type.dtype)),
                          builder.CreateVector(extents), static_cast<uint32_t>(draft.value));
}

Offset<plan::Operation> operation(FlatBufferBuilder& builder, const DraftOperation& draft) {
  AttributeWriter writer(builder);
  if (draft.primitive) draft.primitive->attributes(writer);
  const auto name = text(builder, draft.name);
  const auto op = draft.primitive ? text(builder, draft.primitive->name()) : Offset<flatbuffers::String>();
  return plan::CreateOperation(builder, name, op, builder.CreateVector(writer.attributes),
                               static_cast<uint32_t>(draft.step), builder.CreateVector(draft.inputs),
                               static_cast<uint32_t>(draft.outputs));
}

}  // namespace

Offset<plan::PlainGraph> write_plain_graph(FlatBufferBuilder& builder, const PlanDraft& draft,
                                           const std::vector<WrittenPlane>& written) {
  const DraftGraph& graph = *draft.graph;
  std::vector<Offset<plan::Port>> inputs, outputs;
  for (const DraftPort& input : graph.inputs) inputs.push_back(port(builder, input));
  for (const DraftPort& output : graph.outputs) outputs.push_back(port(builder, output));
  std::vector<Offset<plan::GraphConstant>> constants;
  for (size_t i = 0; i < draft.constants.size(); ++i) {
    const DraftWeight& constant = draft.constants[i];
    const Shape& extents = constant.values->shape();
    const std::vector<uint64_t> shape(extents.begin(), extents.end());
    constants.push_back(plan::CreateGraphConstant(builder, text(builder, constant.name),
                                                  text(builder, name_of(constant.values->dtype())),
                                                  builder.CreateVector(shape), written.at(i).offset));
  }
  std::vector<Offset<plan::Operation>> operations;
  for (const DraftOperation& one : graph.operations) operations.push_back(operation(builder, one));
  return plan::CreatePlainGraph(builder, builder.CreateVector(inputs), builder.CreateVector(constants),
                                builder.CreateVector(operations), builder.CreateVector(outputs));
}

}  // namespace incipit
