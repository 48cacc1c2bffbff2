#include "import/onnx/importer.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "import/onnx/import_onnx.h"
#include "import/onnx/node_order.h"

namespace incipit::onnx {
namespace {

constexpr std::string_view again = "export it again";
// A model of a hundred layers has some ten thousand; functions that call functions could make any number.
constexpr size_t most_nodes = 100'000;
constexpr size_t deepest_body = 8;
constexpr size_t deepest_call = 64;

bool is_number(const std::vector<Dim>& dims) {
  return std::all_of(dims.begin(), dims.end(), [](const Dim& dim) { return dim.is_constant(); });
}

// What a tensor of known contents holds, as a constant.
Tensor known_tensor(const ValueType& type) {
  Shape shape;
  for (const Dim& dim : type.shape) shape.push_back(dim.constant());
  Tensor tensor(type.dtype, shape);
  for (size_t i = 0; i < type.contents->size(); ++i) {
    const int64_t value = (*type.contents)[i].constant();
    switch (type.dtype) {
      case DType::i64: tensor.as<int64_t>()[i] = value; break;
      case DType::i32: tensor.as<int32_t>()[i] = static_cast<int32_t>(value); break;
      case DType::boolean: tensor.as<uint8_t>()[i] = value != 0 ? 1 : 0; break;
      default: INCIPIT_ASSERT(!"contents are of i32, i64 and bool");
    }
  }
  return tensor;
}

// The type of a body's input: what is no number is unknown, so that the body is the same for every step of a loop.
ValueType general(const ValueType& type) {
  ValueType result{type.dtype, type.shape};
  for (Dim& dim : result.shape) {
    if (!dim.is_constant()) dim = Dim::unknown();
  }
  return result;
}

// A symbol for a free extent that the model gives no name: its input's name and the axis.
Dim extent_symbol(const std::string& input, size_t axis, std::set<std::string>& taken) {
  std::string symbol = input.substr(0, 100) + "_" + std::to_string(axis);
  for (char& c : symbol) {
    const bool is_legal = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!is_legal) c = '_';
  }
  if (symbol.front() >= '0' && symbol.front() <= '9') symbol.insert(symbol.begin(), '_');
  while (!taken.insert(symbol).second) symbol += '_';
  return Dim::symbol(symbol);
}

ConstantPtr known_constant(const std::string& thing, const ValueType& type, const Tensor& tensor) {
  bool fits = tensor.dtype() == type.dtype && tensor.shape().size() == type.shape.size();
  for (size_t axis = 0; fits && axis < type.shape.size(); ++axis) {
    fits = !type.shape[axis].is_constant() || type.shape[axis] == Dim(tensor.shape()[axis]);
  }
  if (!fits) throw Error(thing, "is " + type.text() + ", which the value given for it is not", "give one that fits");
  return make_constant(primitives::copy_of(tensor));
}

}  // namespace

/// Makes the bodies of one node's graphs, whose names are looked for in its scope.
class Importer::ScopeBodies : public Bodies {
 public:
  ScopeBodies(Importer& importer, Scope& scope) : importer_(importer), scope_(scope) {}

  Body make_body(const Graph& body, std::span<const ValueType> inputs) override {
    const Level level(importer_);
    check_count(body, inputs.size());
    auto graph = std::make_shared<incipit::Graph>();
    Scope inner{*graph, {}, &scope_, &body.initializers, scope_.function, scope_.given};
    importer_.declare(inner, body);
    for (size_t i = 0; i < inputs.size(); ++i) {
      const std::string& name = body.inputs[i].name;
      inner.values.insert_or_assign(name, graph->add_input(name, general(inputs[i])));
    }
    importer_.add_nodes(inner, body.nodes);
    graph->set_outputs(importer_.outputs_of(inner, body));
    graph->remove_unused();
    return {std::move(graph), std::move(inner.captured)};
  }

  std::vector<ValueId> inline_body(const Graph& body, std::span<const ValueId> inputs) override {
    const Level level(importer_);
    check_count(body, inputs.size());
    Scope inner{scope_.graph, scope_.prefix, &scope_, &body.initializers, scope_.function, scope_.given};
    for (size_t i = 0; i < inputs.size(); ++i) inner.values.insert_or_assign(body.inputs[i].name, inputs[i]);
    importer_.declare(inner, body);
    importer_.add_nodes(inner, body.nodes);
    return importer_.outputs_of(inner, body);
  }

 private:
  struct Level {
    explicit Level(Importer& importer) : depth(importer.depth_) {
      if (depth == deepest_body) {
        throw Error(importer.thing_, "has graphs in graphs, more than " + std::to_string(deepest_body) + " deep",
                    "export it without branches and loops");
      }
      ++depth;
    }
    ~Level() { --depth; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    size_t& depth;
  };
  static void check_count(const Graph& body, size_t inputs) {
    if (body.inputs.size() == inputs) return;
    throw Error("graph '" + shown(body.name) + "'",
                "takes " + std::to_string(body.inputs.size()) + " inputs, but gets " + std::to_string(inputs), again);
  }
  Importer& importer_;
  Scope& scope_;
};

Importer::Importer(const Model& model, const std::map<std::string, Tensor>& known)
    : model_(model),
      known_(known),
      thing_(model.files.empty() ? std::string("ONNX model") : model.files.front().string()),
      functions_(model, thing_) {}

incipit::Graph Importer::import_model() {
  refuse_unsupported(model_.graph, functions_, thing_);
  incipit::Graph graph;
  Scope scope{graph, {}, nullptr, &model_.graph.initializers};
  declare(scope, model_.graph);
  add_inputs(scope, model_.graph.inputs);
  add_nodes(scope, model_.graph.nodes);
  give_outputs(scope, model_.graph);
  warn_of_misdeclared();
  graph.remove_unused();
  return graph;
}

void Importer::declare(Scope& scope, const Graph& graph) const {
  for (const std::vector<ValueInfo>* list : {&graph.values, &graph.outputs}) {
    for (const ValueInfo& one : *list) scope.declared.insert_or_assign(one.name, &one);
  }
}

void Importer::add_inputs(Scope& scope, const std::vector<ValueInfo>& inputs) const {
  std::set<std::string> symbols;
  for (const ValueInfo& input : inputs) {
    if (!input.shape) continue;
    for (const Dim& dim : *input.shape) {
      for (const std::string& symbol : dim.symbols()) symbols.insert(symbol);
    }
  }
  for (const ValueInfo& input : inputs) {
    const std::string thing = thing_ + ": input '" + shown(input.name) + "'";
    if (input.name.empty()) throw Error(thing_, "has an input without a name", again);
    if (!input.is_tensor) {
      throw UnsupportedType(thing, "is no tensor", "export the model with tensors alone");
    }
    ValueType type{dtype_of(input.element_type, thing), {}};
    if (!input.shape) throw Error(thing, "has no shape", "export it with shapes, whose extents may be names");
    for (size_t axis = 0; axis < input.shape->size(); ++axis) {
      const Dim& dim = (*input.shape)[axis];
      type.shape.push_back(dim.is_unknown() ? extent_symbol(input.name, axis, symbols) : dim);
    }
    if (!scope.values.emplace(input.name, none).second) throw Error(thing, "is there twice", again);
    const auto known = known_.find(input.name);
    scope.values[input.name] = known == known_.end()
                                   ? scope.graph.add_input(input.name, std::move(type))
                                   : scope.graph.add_constant(input.name, known_constant(thing, type, known->second));
  }
}

bool Importer::knows(const Scope* scope, const std::string& name) {
  for (; scope != nullptr; scope = scope->around) {
    if (scope->values.contains(name)) return true;
    if (scope->initializers != nullptr && scope->initializers->contains(name)) return true;
  }
  return false;
}

ValueId Importer::find(Scope& scope, const std::string& name) {
  if (const auto known = scope.values.find(name); known != scope.values.end()) return known->second;
  ValueId id = none;
  const bool is_initializer = scope.initializers != nullptr && scope.initializers->contains(name);
  if (is_initializer) {
    id = scope.graph.add_constant(scope.prefix + name, scope.initializers->at(name));
  } else if (scope.around != nullptr) {
    id = find(*scope.around, name);
    if (id != none && &scope.around->graph != &scope.graph) id = capture(scope, id);
  }
  if (id != none) scope.values.emplace(name, id);
  return id;
}

ValueId Importer::capture(Scope& scope, ValueId outer) {
  const auto [place, is_new] = scope.capture_inputs.emplace(outer, none);
  if (!is_new) return place->second;
  const Value& value = scope.around->graph.value(outer);
  if (value.constant) {
    place->second = scope.graph.add_constant(value.name, value.constant);
  } else if (value.type.contents && is_number(*value.type.contents) && is_number(value.type.shape)) {
    place->second = scope.graph.add_constant(value.name, make_constant(known_tensor(value.type)));
  } else {
    place->second = scope.graph.add_input(value.name, general(value.type));
    scope.captured.push_back(outer);
  }
  return place->second;
}

void Importer::add_nodes(Scope& scope, const std::vector<Node>& nodes) {
  const Scope* const own = &scope;
  const auto is_given = [&](const std::string& name) {
    return own->values.contains(name) || (own->initializers != nullptr && own->initializers->contains(name));
  };
  const auto is_around = [&](const std::string& name) { return knows(own->around, name); };
  for (const Node* node : ordered_nodes(nodes, thing_, is_given, is_around)) add_node(scope, *node);
}

void Importer::add_node(Scope& scope, const Node& node) {
  if (++nodes_ > most_nodes) {
    throw Error(thing_, "has more than " + std::to_string(most_nodes) + " nodes, functions in their places", again);
  }
  const auto retold = [&](const Error& error) {
    const bool is_ours = error.thing().starts_with(thing_);
    const std::string label = node.name.empty() ? std::string() : scope.prefix + node.name;
    const bool names_node = error.thing() == label || (!node.outputs.empty() && error.thing() == node.outputs[0]);
    const std::string thing = is_ours ? error.thing() : thing_ + ": " + text_of(node);
    const std::string fault = is_ours || names_node ? error.fault() : error.thing() + " " + error.fault();
    return std::pair(thing, fault);
  };
  try {
    const Function* function = functions_.find(node);
    function != nullptr ? call(scope, node, *function) : translate(scope, node);
  } catch (const UnsupportedType& error) {
    const auto [thing, fault] = retold(error);
    throw UnsupportedType(thing, fault, error.remedy());
  } catch (const Error& error) {
    const auto [thing, fault] = retold(error);
    throw Error(thing, fault, error.remedy());
  }
}

std::vector<ValueId> Importer::inputs_of(Scope& scope, const Node& node) {
  std::vector<ValueId> inputs;
  for (const std::string& name : node.inputs) inputs.push_back(name.empty() ? none : find(scope, name));
  return inputs;
}

Node Importer::resolved(const Scope& scope, const Node& node) const {
  Node result = node;
  if (!scope.prefix.empty()) {
    result.name = scope.prefix + (node.name.empty() && !node.outputs.empty() ? node.outputs[0] : node.name);
  }
  for (auto one = result.attributes.begin(); one != result.attributes.end();) {
    if (one->second.kind != Attribute::Kind::reference) {
      ++one;
      continue;
    }
    if (scope.function == nullptr) {
      throw Error(thing_, text_of(node) + " has an attribute of a function's, but stands in none", again);
    }
    const std::string name = one->second.text;
    const auto given = scope.given->find(name);
    const auto usual = scope.function->defaults.find(name);
    if (given != scope.given->end()) {
      (one++)->second = given->second;
    } else if (usual != scope.function->defaults.end()) {
      (one++)->second = usual->second;
    } else {
      one = result.attributes.erase(one);  // then the node has its own default
    }
  }
  return result;
}

int64_t Importer::opset(const Scope& scope, const std::string& domain) const {
  if (scope.function != nullptr) {
    const auto version = scope.function->opsets.find(domain);
    if (version != scope.function->opsets.end()) return version->second;
  }
  const auto version = model_.opsets.find(domain);
  return version == model_.opsets.end() ? 1 : version->second;
}

void Importer::translate(Scope& scope, const Node& node) {
  const Translation* translation = find_translation(node.domain, node.op_type);
  INCIPIT_ASSERT(translation != nullptr);  // refuse_unsupported has looked
  const Node own = resolved(scope, node);
  ScopeBodies bodies(*this, scope);
  Call call(scope.graph, own, opset(scope, node.domain), inputs_of(scope, node), &bodies);
  const std::vector<ValueId> made = translation->translate(call);
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i].empty()) continue;
    if (i >= made.size() || made[i] == none) {
      call.refuse("is asked for output " + std::to_string(i) + ", which it does not make");
    }
    name_output(scope, node.outputs[i], made[i]);
  }
}

bool Importer::is_named(const Scope& scope, ValueId id) {
  if (scope.graph.value(id).producer == none) return true;
  for (const Scope* one = &scope; one != nullptr && &one->graph == &scope.graph; one = one->around) {
    if (one->named.contains(id)) return true;
  }
  return false;
}

// Values that a translation made are named after its node, which may be called as one of the file's values; those that
// the file names get their names. One that has its name already is only meant once more.
void Importer::name_output(Scope& scope, const std::string& name, ValueId id) {
  check_declaration(scope, name, scope.graph.value(id).type);
  if (!is_named(scope, id)) {
    const std::string whole = scope.prefix + name;
    const ValueId holder = scope.graph.find(whole);
    if (holder != none && holder != id && !is_named(scope, holder)) scope.graph.rename(holder, whole + "/part");
    scope.graph.rename(id, whole);
  }
  scope.named.insert(id);
  scope.values.insert_or_assign(name, id);
}

void Importer::check_declaration(const Scope& scope, const std::string& name, const ValueType& type) {
  const auto found = scope.declared.find(name);
  if (found == scope.declared.end() || !found->second->is_tensor) return;
  const ValueInfo& declared = *found->second;
  const std::string thing = thing_ + ": value '" + shown(name) + "'";
  if (declared.element_type != 0) {
    const DType dtype = dtype_of(declared.element_type, thing);
    if (dtype != type.dtype) {
      throw Error(thing,
                  "is declared as " + std::string(incipit::name_of(dtype)) + ", but its operator makes " + type.text(),
                  again);
    }
  }
  if (!declared.shape) return;
  bool fits = declared.shape->size() == type.shape.size();
  for (size_t axis = 0; fits && axis < type.shape.size(); ++axis) {
    const std::optional<int64_t> theirs = (*declared.shape)[axis].try_constant(),
                                 ours = type.shape[axis].try_constant();
    fits = !theirs || !ours || *theirs == *ours;
  }
  if (fits || !misdeclared_.insert(name).second || misdeclared_.size() > 1) return;
  first_misdeclared_ = thing + " is declared as " + ValueType{type.dtype, *declared.shape}.text() +
                       ", but its operator makes " + type.text();
}

// Tools that cut or change a graph leave declarations behind that were true before; nothing is computed from them.
void Importer::warn_of_misdeclared() const {
  if (misdeclared_.empty()) return;
  const std::string more =
      misdeclared_.size() == 1 ? "" : " (" + std::to_string(misdeclared_.size() - 1) + " more values are as this one)";
  log_warning("{}{}; what follows from the inputs counts", first_misdeclared_, more);
}

void Importer::call(Scope& scope, const Node& node, const Function& function) {
  if (calls_.size() == deepest_call || std::find(calls_.begin(), calls_.end(), &function) != calls_.end()) {
    throw Error(thing_, "has the function '" + shown(function.name) + "', which calls itself or lies too deep", again);
  }
  if (node.inputs.size() > function.inputs.size() || node.outputs.size() > function.outputs.size()) {
    throw Error(thing_, text_of(node) + " gives its function more inputs or outputs than that has", again);
  }
  const Node own = resolved(scope, node);
  const std::string label = !own.name.empty()       ? own.name
                            : !node.outputs.empty() ? scope.prefix + node.outputs[0]
                                                    : scope.prefix + node.op_type;
  Scope inner{scope.graph, label + "/", nullptr, nullptr, &function, &own.attributes};
  const std::vector<ValueId> inputs = inputs_of(scope, node);
  for (size_t i = 0; i < function.inputs.size(); ++i) {
    const ValueId given = i < inputs.size() ? inputs[i] : none;
    inner.values.insert_or_assign(function.inputs[i], given);
    inner.named.insert(given);
  }
  calls_.push_back(&function);
  add_nodes(inner, function.nodes);
  calls_.pop_back();
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i].empty()) continue;
    const ValueId made = find(inner, function.outputs[i]);
    if (made == none) {
      throw Error(thing_,
                  "has a function '" + shown(function.name) + "' that does not make its output '" +
                      shown(function.outputs[i]) + "'",
                  again);
    }
    name_output(scope, node.outputs[i], made);
  }
}

std::vector<ValueId> Importer::outputs_of(Scope& scope, const Graph& graph) {
  std::vector<ValueId> outputs;
  if (graph.outputs.empty()) throw Error(thing_, "has a graph without outputs", again);
  for (const ValueInfo& output : graph.outputs) {
    outputs.push_back(find(scope, output.name));
    if (outputs.back() == none) {
      throw Error(thing_, "has the output '" + shown(output.name) + "', which no node makes", again);
    }
    check_declaration(scope, output.name, scope.graph.value(outputs.back()).type);
  }
  return outputs;
}

// Outputs have values of their own, under their names where those are free: an output may be called as the input that
// it is.
void Importer::give_outputs(Scope& scope, const Graph& graph) {
  std::vector<ValueId> outputs = outputs_of(scope, graph);
  std::set<std::string> names;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!names.insert(graph.outputs[i].name).second) {
      throw Error(thing_, "has the output '" + shown(graph.outputs[i].name) + "' twice", again);
    }
    if (!graph.outputs[i].is_tensor) {
      throw UnsupportedType(thing_ + ": output '" + shown(graph.outputs[i].name) + "'", "is no tensor",
                            "export the model with tensors alone");
    }
    const bool is_taken = std::find(outputs.begin(), outputs.begin() + static_cast<ptrdiff_t>(i), outputs[i]) !=
                          outputs.begin() + static_cast<ptrdiff_t>(i);
    const Value& value = scope.graph.value(outputs[i]);
    if (is_taken || value.producer == none) {
      const ops::Cast same(primitives::Cast{value.type.dtype});
      outputs[i] = scope.graph.add(scope.prefix + graph.outputs[i].name, same, {outputs[i]});
    }
    scope.graph.rename(outputs[i], graph.outputs[i].name);
  }
  scope.graph.set_outputs(std::move(outputs));
}

}  // namespace incipit::onnx

namespace incipit {

Graph import_onnx_graph(const onnx::Model& model, const std::map<std::string, Tensor>& known) {
  return onnx::Importer(model, known).import_model();
}

}  // namespace incipit
