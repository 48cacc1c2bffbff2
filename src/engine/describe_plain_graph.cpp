#include "engine/describe_plain_graph.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

#include "engine/plan_items.h"

namespace incipit {
namespace {

std::string attribute_text(const plan::Attribute& attribute) {
  switch (attribute.kind()) {
    case plan::AttributeKind::integer: return fmt::to_string(attribute.integer());
    case plan::AttributeKind::number: return fmt::to_string(attribute.number());
    case plan::AttributeKind::flag: return attribute.integer() != 0 ? "true" : "false";
    case plan::AttributeKind::text: return fmt::format("\"{}\"", text(attribute.text()));
    case plan::AttributeKind::integers: {
      const auto numbers = items(attribute.integers());
      return fmt::format("[{}]", fmt::join(std::vector<int64_t>(numbers.begin(), numbers.end()), ", "));
    }
  }
  return "?";
}

std::string operation_text(const plan::Operation& operation) {
  const std::string_view op = text(operation.op());
  const std::string line = op.empty() ? fmt::format("s{}", operation.step()) : std::string(op);
  std::string inputs, attributes;
  for (const int32_t input : items(operation.inputs())) {
    inputs += (inputs.empty() ? "" : ", ") + (input < 0 ? "_" : fmt::format("v{}", input));
  }
  for (const plan::Attribute* attribute : items(operation.attributes())) {
    attributes +=
        fmt::format("{}{} = {}", attributes.empty() ? " {" : ", ", text(attribute->name()), attribute_text(*attribute));
  }
  return fmt::format("{}({}){}{}  # {}", line, inputs, attributes, attributes.empty() ? "" : "}",
                     text(operation.name()));
}

}  // namespace

std::string type_text(const plan::Port& port) {
  std::string extents;
  for (const flatbuffers::String* extent : items(port.extents())) {
    extents += fmt::format("{}{}", extents.empty() ? "" : ", ", text(extent).starts_with('?') ? "?" : text(extent));
  }
  return fmt::format("{}[{}]", text(port.dtype()), extents);
}

std::string describe_plain_graph(const plan::PlainGraph& graph) {
  std::string description;
  const auto line = [&](const std::string& one) { description += one + '\n'; };
  line(fmt::format("graph of {} operations", count(graph.operations())));
  for (const plan::Port* port : items(graph.inputs())) {
    line(fmt::format("  v{} : {} = input {}", port->value(), type_text(*port), text(port->name())));
  }
  uint64_t value = count(graph.inputs());
  for (const plan::GraphConstant* constant : items(graph.constants())) {
    const auto extents = items(constant->shape());
    line(fmt::format("  v{} : {}[{}] = constant {} @{}", value++, text(constant->dtype()),
                     fmt::join(std::vector<uint64_t>(extents.begin(), extents.end()), ", "), text(constant->name()),
                     constant->offset()));
  }
  for (const plan::Operation* operation : items(graph.operations())) {
    std::string made;
    for (uint32_t i = 0; i < operation->outputs(); ++i) made += fmt::format("{}v{}", i == 0 ? "" : ", ", value++);
    line(fmt::format("  {} = {}", made, operation_text(*operation)));
  }
  for (const plan::Port* port : items(graph.outputs())) {
    line(fmt::format("  output {} : {} = v{}", text(port->name()), type_text(*port), port->value()));
  }
  return description;
}

}  // namespace incipit
