#include "import/onnx/node_order.h"

#include <algorithm>
#include <functional>
#include <queue>
#include <set>
#include <unordered_map>

namespace incipit::onnx {
namespace {

constexpr size_t longest_name = 120;
constexpr size_t longest_cycle = 8;  // nodes of it that are named

void collect_free_names(const Graph& graph, std::set<std::string>& names);

void collect_names(const Node& node, std::set<std::string>& names) {
  for (const auto& [key, attribute] : node.attributes) {
    if (attribute.graph) collect_free_names(*attribute.graph, names);
  }
}

void collect_free_names(const Graph& graph, std::set<std::string>& names) {
  std::set<std::string> used, made;
  for (const ValueInfo& input : graph.inputs) made.insert(input.name);
  for (const auto& [name, constant] : graph.initializers) made.insert(name);
  for (const Node& node : graph.nodes) {
    made.insert(node.outputs.begin(), node.outputs.end());
    used.insert(node.inputs.begin(), node.inputs.end());
    collect_names(node, used);
  }
  for (const ValueInfo& output : graph.outputs) used.insert(output.name);
  for (const std::string& name : used) {
    if (!name.empty() && !made.contains(name)) names.insert(name);
  }
}

struct Edges {
  std::vector<std::vector<size_t>> producers, users;  // by node
};

// Follows producers among the nodes that could not be put in order until one comes again.
[[noreturn]] void refuse_cycle(const std::vector<Node>& nodes, const Edges& edges, const std::vector<size_t>& waiting,
                               const std::string& thing) {
  const auto is_waiting = [&](size_t n) { return waiting[n] > 0; };
  size_t at = 0;
  while (!is_waiting(at)) ++at;
  std::vector<size_t> path;
  while (std::find(path.begin(), path.end(), at) == path.end()) {
    path.push_back(at);
    at = *std::find_if(edges.producers[at].begin(), edges.producers[at].end(), is_waiting);
  }
  path.erase(path.begin(), std::find(path.begin(), path.end(), at));
  std::string text;
  for (size_t i = 0; i < std::min(path.size(), longest_cycle); ++i) text += text_of(nodes[path[i]]) + " needs ";
  if (path.size() > longest_cycle)
    text += std::to_string(path.size() - longest_cycle) + " more, the last of which needs ";
  throw Error(thing, "has a cycle: " + text + text_of(nodes[at]), "export it again");
}

}  // namespace

std::string shown(std::string_view name) {
  std::string text(name.substr(0, longest_name));
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return name.size() > longest_name ? text + "…" : text;
}

std::string text_of(const Node& node) {
  std::string label = node.name;
  for (const std::string& output : node.outputs) {
    if (label.empty()) label = output;
  }
  return "node '" + shown(label) + "' (" + shown(node.op_type) + ")";
}

std::vector<std::string> captured_names(const Node& node) {
  std::set<std::string> names;
  collect_names(node, names);
  return {names.begin(), names.end()};
}

std::vector<const Node*> ordered_nodes(const std::vector<Node>& nodes, const std::string& thing, const Knows& is_given,
                                       const Knows& is_around) {
  std::unordered_map<std::string, size_t> producer;
  for (size_t n = 0; n < nodes.size(); ++n) {
    for (const std::string& output : nodes[n].outputs) {
      if (output.empty()) continue;
      if (!producer.emplace(output, n).second || is_given(output)) {
        throw Error(thing, text_of(nodes[n]) + " makes '" + shown(output) + "', which is made elsewhere too",
                    "export it again");
      }
    }
  }
  Edges edges{std::vector<std::vector<size_t>>(nodes.size()), std::vector<std::vector<size_t>>(nodes.size())};
  std::vector<size_t> waiting(nodes.size());
  const auto need = [&](size_t n, const std::string& name) {
    if (name.empty()) return;
    if (const auto found = producer.find(name); found != producer.end()) {
      edges.producers[n].push_back(found->second);
      edges.users[found->second].push_back(n);
      ++waiting[n];
    } else if (!is_given(name) && !is_around(name)) {
      throw Error(
          thing,
          text_of(nodes[n]) + " uses '" + shown(name) + "', which is no initializer or input and made by no node",
          "export it again");
    }
  };
  for (size_t n = 0; n < nodes.size(); ++n) {
    for (const std::string& name : nodes[n].inputs) need(n, name);
    for (const std::string& name : captured_names(nodes[n])) need(n, name);
  }
  std::priority_queue<size_t, std::vector<size_t>, std::greater<>> ready;
  for (size_t n = 0; n < nodes.size(); ++n) {
    if (waiting[n] == 0) ready.push(n);
  }
  std::vector<const Node*> order;
  while (!ready.empty()) {
    const size_t n = ready.top();
    ready.pop();
    order.push_back(&nodes[n]);
    for (const size_t user : edges.users[n]) {
      if (--waiting[user] == 0) ready.push(user);
    }
  }
  if (order.size() != nodes.size()) refuse_cycle(nodes, edges, waiting, thing);
  return order;
}

}  // namespace incipit::onnx
