#include <map>
#include <set>

#include "graph/graph.h"
#include "graph/ops/attention.h"
#include "graph/ops/kv_write.h"

namespace incipit {
namespace {

[[noreturn]] void invalid(const std::string& thing, const std::string& fault) {
  throw Error("graph, " + thing, fault, "this is a fault of the importer or pass that made it");
}

// Rule: every live value has a name of its own.
void check_name(const Value& value, std::set<std::string_view>& names) {
  if (value.name.empty()) invalid("a value", "has no name");
  if (!names.insert(value.name).second) invalid("value " + value.name, "has the name of another value");
}

// Rule: a cache is written once a layer, and read as it was written.
void check_caches(const Graph& graph) {
  std::map<int64_t, const ops::KvWrite*> writers;
  for (const NodeId n : graph.order()) {
    const Node& node = graph.node(n);
    if (const auto* write = graph.op_as<ops::KvWrite>(n)) {
      if (!writers.emplace(write->layer, write).second) {
        invalid("node " + node.name, "writes the cache of layer " + std::to_string(write->layer) + " a second time");
      }
    }
    if (const auto* read = graph.op_as<ops::Attention>(n)) {
      const auto* write = graph.producer_as<ops::KvWrite>(node.inputs.at(2));
      if (write == nullptr) invalid("node " + node.name, "reads a cache that no KvWrite made");
      if (write->layer != read->layer || write->kv_heads != read->kv_heads || write->head_dim != read->head_dim ||
          write->window != read->window || write->cache != read->cache) {
        invalid("node " + node.name, "reads a cache that was written with another layer, geometry, window or dtype");
      }
    }
  }
}

}  // namespace

void verify(const Graph& graph) {
  std::set<std::string_view> names;
  std::set<ValueId> defined;
  for (const ValueId input : graph.inputs()) {
    const Value& value = graph.value(input);
    if (value.producer != none || value.constant) invalid("input " + value.name, "is produced inside the graph");
    check_name(value, names);
    defined.insert(input);
  }
  for (const ValueId id : graph.constants()) {
    const Value& value = graph.value(id);
    const ValueType type = type_of(*value.constant);
    if (value.type != type) invalid("constant " + value.name, "is " + type.text() + ", not " + value.type.text());
    if (value.producer != none || defined.contains(id)) invalid("constant " + value.name, "is not only a constant");
    check_name(value, names);
    defined.insert(id);
  }
  for (const NodeId n : graph.order()) {
    const Node& node = graph.node(n);
    if (node.op == nullptr) invalid("node " + node.name, "was removed but is still in the order");
    std::vector<ValueType> types;
    for (const ValueId input : node.inputs) {
      if (input == none) {
        types.push_back(ValueType::absent());
        continue;
      }
      if (!defined.contains(input))
        invalid("node " + node.name, "uses " + graph.value(input).name + " before it is made");
      types.push_back(graph.value(input).type);
    }
    std::vector<ValueType> inferred;
    try {
      inferred = node.op->infer(types);
    } catch (const Error& error) {
      invalid("node " + node.name, std::string(node.op->name()) + " " + error.fault());
    }
    if (inferred.size() != node.outputs.size()) {
      invalid("node " + node.name,
              "has " + std::to_string(node.outputs.size()) + " outputs, its op " + std::to_string(inferred.size()));
    }
    for (const auto& [name, body] : node.op->bodies()) verify(*body);
    for (size_t i = 0; i < inferred.size(); ++i) {
      const Value& output = graph.value(node.outputs[i]);
      if (output.producer != n || output.producer_output != static_cast<int32_t>(i) ||
          !defined.insert(node.outputs[i]).second) {
        invalid("value " + output.name, "has more than one producer");
      }
      if (!follows(output.type, inferred[i])) {
        invalid("value " + output.name,
                "is " + output.type.text() + ", but " + std::string(node.op->name()) + " makes " + inferred[i].text());
      }
      check_name(output, names);
    }
  }
  if (graph.outputs().empty()) invalid("outputs", "there are none");
  for (const ValueId output : graph.outputs()) {
    if (!defined.contains(output)) invalid("outputs", "value " + std::to_string(output) + " is made by no node");
  }
  check_caches(graph);
}

}  // namespace incipit
