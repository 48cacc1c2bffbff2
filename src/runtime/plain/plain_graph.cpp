#include "runtime/plain/plain_graph.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "engine/plan_items.h"
#include "runtime/plain/operation.h"

namespace incipit {
namespace {

std::vector<PlainGraph::Port> ports(const flatbuffers::Vector<flatbuffers::Offset<plan::Port>>* list) {
  std::vector<PlainGraph::Port> made;
  for (const plan::Port* one : items(list)) {
    PlainGraph::Port& port = made.emplace_back();
    port.name = text(one->name());
    port.dtype = dtype_from_name(text(one->dtype()));
    for (const flatbuffers::String* extent : items(one->extents())) port.extents.emplace_back(text(extent));
  }
  return made;
}

std::string text_of(const Tensor& tensor) {
  return fmt::format("{}[{}]", name_of(tensor.dtype()), fmt::join(tensor.shape(), ", "));
}

std::string text_of(const PlainGraph::Port& port) {
  return fmt::format("{}[{}]", name_of(port.dtype), fmt::join(port.extents, ", "));
}

/// Holds inputs against what the graph says of them.
class InputCheck {
 public:
  void check(const PlainGraph::Port& port, const Tensor& tensor) {
    bool fits = tensor.dtype() == port.dtype && tensor.shape().size() == port.extents.size();
    for (size_t axis = 0; fits && axis < port.extents.size(); ++axis) {
      int64_t wanted = 0;
      const std::string& extent = port.extents[axis];
      const auto [end, error] = std::from_chars(extent.data(), extent.data() + extent.size(), wanted);
      const bool is_number = error == std::errc() && end == extent.data() + extent.size();
      if (is_number) fits = tensor.shape()[axis] == wanted;
      if (!is_number) bind(port, extent, tensor.shape()[axis]);
    }
    if (!fits) throw Error("input " + port.name, "is " + text_of(tensor) + ", but the graph takes " + text_of(port));
  }

 private:
  struct Bound {
    int64_t extent = 0;
    const std::string* input = nullptr;
  };

  void bind(const PlainGraph::Port& port, const std::string& symbol, int64_t extent) {
    const auto [bound, is_new] = symbols_.try_emplace(symbol, Bound{extent, &port.name});
    if (is_new || bound->second.extent == extent) return;
    throw Error("input " + port.name, fmt::format("has '{}' = {}, but it is {} in input {}", symbol, extent,
                                                  bound->second.extent, *bound->second.input));
  }

  std::map<std::string, Bound> symbols_;
};

}  // namespace

struct PlainGraph::State {
  struct Resolved {
    std::string name;
    std::unique_ptr<PlainOperation> operation;
    std::vector<int32_t> inputs;  // values; -1: absent
    int32_t first_output = 0;
    int32_t outputs = 0;
    std::vector<int32_t> done_with;  // values that nothing reads afterwards
  };

  /// Errors of what `body` does are told with the operation's name.
  template <typename F>
  auto naming(const std::string& operation, F&& body) const {
    try {
      return body();
    } catch (const Error& error) {
      throw Error(name + ": " + operation, error.thing() + ": " + error.fault(), error.remedy());
    }
  }

  State(std::shared_ptr<const Engine> opened, int threads)
      : engine(std::move(opened)),
        name(engine->path().string()),
        graph(graph_of(*engine)),
        device(make_device(engine->target(), threads)) {
    inputs = ports(graph.inputs());
    outputs = ports(graph.outputs());
    for (const plan::GraphConstant* constant : items(graph.constants())) {
      const auto extents = items(constant->shape());
      constants.push_back(
          Tensor::borrowed({dtype_from_name(text(constant->dtype())), Shape(extents.begin(), extents.end()),
                            engine->body().data() + constant->offset()}));
    }
    auto next = static_cast<int32_t>(inputs.size() + constants.size());
    for (const plan::Operation* operation : items(graph.operations())) {
      Resolved& resolved = operations.emplace_back();
      resolved.name = text(operation->name());
      resolved.operation = naming(resolved.name, [&] { return resolve(*operation); });
      const auto values = items(operation->inputs());
      resolved.inputs.assign(values.begin(), values.end());
      resolved.first_output = next;
      resolved.outputs = static_cast<int32_t>(operation->outputs());
      next += resolved.outputs;
    }
    values = static_cast<size_t>(next);
    find_last_uses();
  }

  static const plan::PlainGraph& graph_of(const Engine& engine) {
    if (engine.plan().graph() != nullptr) return *engine.plan().graph();
    throw Error(engine.path().string(), "holds a decoder, and no plain graph", "use: incipit run");
  }

  std::unique_ptr<PlainOperation> resolve(const plan::Operation& operation) {
    if (!text(operation.op()).empty()) {
      std::unique_ptr<PlainOperation> primitive = resolve_primitive(operation);
      const bool is_attention = text(operation.op()) == "Sdpa" && operation.outputs() == 1;
      return is_attention ? spread_heads(std::move(primitive), *device) : std::move(primitive);
    }
    const plan::Plan& plan = engine->plan();
    const plan::Step& step = *plan.steps()->Get(operation.step());
    return resolve_launch({plan, step, name, engine->weights().data(), this_machine(engine->target().backend)},
                          *device);
  }

  void find_last_uses() {
    std::vector<bool> needed(values, false);
    for (const plan::Port* output : items(graph.outputs())) needed[output->value()] = true;
    for (auto one = operations.rbegin(); one != operations.rend(); ++one) {
      const auto see = [&](int32_t value) {
        if (value < 0 || needed[static_cast<size_t>(value)]) return;
        needed[static_cast<size_t>(value)] = true;
        one->done_with.push_back(value);
      };
      for (const int32_t input : one->inputs) see(input);
      for (int32_t i = 0; i < one->outputs; ++i) see(one->first_output + i);
    }
  }

  /// The given inputs, then the constants, in their order; those that are to be made are null.
  std::vector<const Tensor*> known_values(const std::map<std::string, Tensor>& given) const {
    for (const auto& [input, tensor] : given) {
      const bool known =
          std::any_of(inputs.begin(), inputs.end(), [&](const Port& port) { return port.name == input; });
      if (!known) throw Error("input " + input, "is none of the graph's", takes());
    }
    std::vector<const Tensor*> known(values, nullptr);
    size_t value = 0;
    InputCheck checker;
    for (const Port& port : inputs) {
      const auto found = given.find(port.name);
      if (found == given.end()) throw Error("input " + port.name, "is missing", takes());
      checker.check(port, found->second);
      known[value++] = &found->second;
    }
    for (const Tensor& constant : constants) known[value++] = &constant;
    return known;
  }

  std::string takes() const {
    std::vector<std::string> all;
    for (const Port& port : inputs) all.push_back(port.name + " " + text_of(port));
    return fmt::format("give {}", fmt::join(all, ", "));
  }

  std::map<std::string, Tensor> run(const std::map<std::string, Tensor>& given) {
    std::vector<const Tensor*> known = known_values(given);
    std::vector<Tensor> made(values);
    std::vector<const Tensor*> operands;
    for (Resolved& step : operations) {
      operands.clear();
      for (const int32_t input : step.inputs) {
        operands.push_back(input < 0 ? nullptr : known[static_cast<size_t>(input)]);
      }
      primitives::Outputs results = naming(step.name, [&] { return step.operation->compute(operands); });
      if (results.size() != static_cast<size_t>(step.outputs)) {
        throw Error(name + ": " + step.name, fmt::format("makes {} values, not {}", results.size(), step.outputs),
                    "build the engine again");
      }
      for (size_t i = 0; i < results.size(); ++i) {
        const size_t value = static_cast<size_t>(step.first_output) + i;
        made[value] = std::move(results[i]);
        known[value] = &made[value];
      }
      for (const int32_t value : step.done_with) made[static_cast<size_t>(value)] = Tensor();
    }
    std::map<std::string, Tensor> results;
    for (size_t i = 0; i < outputs.size(); ++i) {
      const uint32_t value = graph.outputs()->Get(static_cast<uint32_t>(i))->value();
      results.emplace(outputs[i].name, primitives::copy_of(*known[value]));
    }
    return results;
  }

  std::shared_ptr<const Engine> engine;
  std::string name;  // of the engine, in messages
  const plan::PlainGraph& graph;
  std::unique_ptr<Device> device;
  std::vector<Port> inputs, outputs;
  std::vector<Tensor> constants;
  std::vector<Resolved> operations;
  size_t values = 0;
};

PlainGraph::PlainGraph(std::shared_ptr<const Engine> engine, int threads)
    : state_(std::make_unique<State>(std::move(engine), threads)) {}
PlainGraph::~PlainGraph() = default;

const std::vector<PlainGraph::Port>& PlainGraph::inputs() const { return state_->inputs; }
const std::vector<PlainGraph::Port>& PlainGraph::outputs() const { return state_->outputs; }
std::map<std::string, Tensor> PlainGraph::run(const std::map<std::string, Tensor>& inputs) {
  return state_->run(inputs);
}

void require_decoder(const Engine& engine) {
  if (engine.plan().graph() == nullptr) return;
  throw Error(engine.path().string(), "holds a plain graph, which generates no text", "use: incipit run-graph");
}

}  // namespace incipit
