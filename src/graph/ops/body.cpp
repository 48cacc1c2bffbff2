#include "graph/ops/body.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <string>

#include "primitives/primitive.h"

namespace incipit::ops {
namespace {

/// Gives unknown extents of one inference symbols of their own, and takes those back from what comes out of it.
class Unknowns {
 public:
  explicit Unknowns(std::span<const ValueType> inputs) {
    for (const ValueType& input : inputs) {
      take(input.shape);
      if (input.contents) take(*input.contents);
    }
  }

  ValueType named(ValueType type) {
    name(type.shape, "?_");
    if (type.contents) name(*type.contents, "?v");
    return type;
  }

  ValueType forgotten(ValueType type) const {
    forget(type.shape);
    if (type.contents) forget(*type.contents);
    return type;
  }

 private:
  void take(const std::vector<Dim>& dims) {
    for (const Dim& dim : dims) {
      for (const std::string& symbol : dim.symbols()) taken_.insert(symbol);
    }
  }
  // As the graph calls them: those of extents have no letter in their names.
  void name(std::vector<Dim>& dims, const std::string& kind) {
    for (Dim& dim : dims) {
      if (!dim.is_unknown()) continue;
      std::string symbol;
      do {
        symbol = kind + std::to_string(next_++);
      } while (!taken_.insert(symbol).second);
      own_.insert(symbol);
      dim = Dim::symbol(symbol);
    }
  }
  void forget(std::vector<Dim>& dims) const {
    for (Dim& dim : dims) {
      const std::vector<std::string> symbols = dim.symbols();
      const bool is_own =
          std::any_of(symbols.begin(), symbols.end(), [&](const std::string& one) { return own_.contains(one); });
      if (is_own) dim = Dim::unknown();
    }
  }
  std::set<std::string> taken_, own_;
  size_t next_ = 0;
};

// Whether a value of the body's input type can be of this one.
bool fits(const ValueType& declared, const ValueType& given) {
  if (given.is_absent || given.is_cache || declared.dtype != given.dtype) return false;
  return std::equal(declared.shape.begin(), declared.shape.end(), given.shape.begin(), given.shape.end(),
                    [](const Dim& a, const Dim& b) { return !a.is_constant() || !b.is_constant() || a == b; });
}

}  // namespace

void BodyRule::require(bool ok, const std::string& fault) const {
  if (!ok) throw Error(op_, fault);
}

std::vector<ValueType> infer_body(std::string_view op, const Graph& body, std::span<const ValueType> inputs) {
  BodyRule(op).require(inputs.size() == body.inputs().size(), "has a body of " + std::to_string(body.inputs().size()) +
                                                                  " inputs, but " + std::to_string(inputs.size()) +
                                                                  " for it");
  Unknowns unknowns(inputs);
  std::map<ValueId, ValueType> types;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Value& input = body.value(body.inputs()[i]);
    BodyRule(op).require(fits(input.type, inputs[i]), "gives its body's " + input.name + " " + inputs[i].text() +
                                                          " instead of " + input.type.text());
    types.emplace(body.inputs()[i], unknowns.named(inputs[i]));
  }
  const auto type_of_value = [&](ValueId id) {
    if (id == none) return ValueType::absent();
    return body.value(id).constant ? body.value(id).type : types.at(id);
  };
  for (const NodeId n : body.order()) {
    const Node& node = body.node(n);
    std::vector<ValueType> given;
    for (const ValueId input : node.inputs) given.push_back(type_of_value(input));
    std::vector<ValueType> made;
    try {
      made = node.op->infer(given);
    } catch (const Error& error) {
      throw Error(
          op, "has a body whose " + node.name + " does not fit: " + std::string(node.op->name()) + " " + error.fault(),
          error.remedy());
    }
    INCIPIT_ASSERT(made.size() == node.outputs.size());
    for (size_t i = 0; i < made.size(); ++i)
      types.insert_or_assign(node.outputs[i], unknowns.named(std::move(made[i])));
  }
  std::vector<ValueType> outputs;
  for (const ValueId output : body.outputs()) outputs.push_back(unknowns.forgotten(type_of_value(output)));
  return outputs;
}

ValueType common_type(std::string_view op, const ValueType& a, const ValueType& b) {
  BodyRule(op).require(a.dtype == b.dtype && a.shape.size() == b.shape.size() && !a.is_cache && !b.is_cache,
                       "makes " + a.text() + " or " + b.text() + ", which are of different types or ranks");
  ValueType common{a.dtype, a.shape};
  for (size_t axis = 0; axis < common.shape.size(); ++axis) {
    if (a.shape[axis] != b.shape[axis]) common.shape[axis] = Dim::unknown();
  }
  if (common.shape == a.shape && common.shape == b.shape && a.contents && a.contents == b.contents) {
    common.contents = a.contents;
  }
  return common;
}

std::span<const ValueType> from(std::string_view op, std::span<const ValueType> inputs, size_t first) {
  BodyRule(op).require(inputs.size() >= first, "has too few inputs");
  return inputs.subspan(first);
}

ValueType type_of(const Tensor& tensor) {
  ValueType type{tensor.dtype(), {}};
  type.shape.assign(tensor.shape().begin(), tensor.shape().end());
  return type;
}

namespace {

// A tensor as [outer, extent, inner] around an axis.
struct Around {
  size_t outer = 1, inner = 1;  // inner in bytes
  Around(const Shape& shape, size_t axis, size_t element) : inner(element) {
    for (size_t i = 0; i < shape.size(); ++i) {
      if (i < axis) outer *= static_cast<size_t>(shape[i]);
      if (i >= axis) inner *= static_cast<size_t>(shape[i]);
    }
  }
};

}  // namespace

Tensor slice_at(const Tensor& tensor, size_t axis, int64_t index) {
  Shape shape = tensor.shape();
  const auto extent = static_cast<size_t>(shape.at(axis));
  shape.erase(shape.begin() + static_cast<ptrdiff_t>(axis));
  Tensor slice(tensor.dtype(), shape);
  if (slice.bytes() == 0) return slice;
  const Around around(shape, axis, size_of(tensor.dtype()));
  for (size_t o = 0; o < around.outer; ++o) {
    std::memcpy(slice.data() + o * around.inner,
                tensor.data() + (o * extent + static_cast<size_t>(index)) * around.inner, around.inner);
  }
  return slice;
}

Tensor stacked(std::string_view op, const std::vector<Tensor>& parts, size_t axis) {
  const Tensor& first = parts.at(0);
  Shape shape = first.shape();
  for (const Tensor& part : parts) {
    BodyRule(op).require(part.dtype() == first.dtype() && part.shape() == shape,
                         "collects tensors of different shapes");
  }
  const Around around(shape, axis, size_of(first.dtype()));
  shape.insert(shape.begin() + static_cast<ptrdiff_t>(axis), static_cast<int64_t>(parts.size()));
  Tensor all(first.dtype(), shape);
  if (all.bytes() == 0) return all;
  for (size_t i = 0; i < parts.size(); ++i) {
    for (size_t o = 0; o < around.outer; ++o) {
      std::memcpy(all.data() + (o * parts.size() + i) * around.inner, parts[i].data() + o * around.inner, around.inner);
    }
  }
  return all;
}

Tensor stacked_nothing(const ValueType& part, size_t axis) {
  Shape shape;
  for (const Dim& dim : part.shape) shape.push_back(dim.try_constant().value_or(0));
  shape.insert(shape.begin() + static_cast<ptrdiff_t>(std::min(axis, shape.size())), 0);
  return {part.dtype, shape};
}

int64_t single(std::string_view op, const Tensor& tensor) {
  const std::vector<int64_t> values = primitives::integers(tensor);
  BodyRule(op).require(values.size() == 1, "takes one number where it gets " + std::to_string(values.size()));
  return values.front();
}

void require_single(std::string_view op, const ValueType& type, DType dtype, std::string_view what) {
  const bool is_single = std::all_of(type.shape.begin(), type.shape.end(),
                                     [](const Dim& extent) { return !extent.is_constant() || extent == Dim(1); });
  BodyRule(op).require(
      type.dtype == dtype && is_single && !type.is_absent && !type.is_cache,
      "takes " + std::string(what) + " as one " + std::string(name_of(dtype)) + ", not as " + type.text());
}

}  // namespace incipit::ops
