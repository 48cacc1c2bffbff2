#include "primitives/einsum.h"

#include <algorithm>
#include <map>

#include "primitives/carrier.h"
#include "primitives/product.h"
#include "primitives/rule.h"
#include "primitives/strided.h"

namespace incipit::primitives {
namespace {

constexpr std::string_view op = Einsum::op_name;

/// A term's letters, with 0 for "...".
std::vector<int> letters_of(std::string_view term) {
  std::vector<int> letters;
  for (size_t i = 0; i < term.size(); ++i) {
    const char c = term[i];
    if (term.substr(i).starts_with("...") && std::count(letters.begin(), letters.end(), 0) == 0) {
      letters.push_back(0);
      i += 2;
    } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      letters.push_back(c);
    } else {
      throw Error(op, "its equation has '" + std::string(1, c) + "' where an axis is named");
    }
  }
  return letters;
}

std::vector<std::string> terms_of(const std::string& list) {
  std::vector<std::string> terms(1);
  for (const char c : list) {
    if (c == ',') {
      terms.emplace_back();
    } else {
      terms.back().push_back(c);
    }
  }
  return terms;
}

/// Replaces 0 by the names of `count` broadcast axes.
std::vector<int> with_broadcast_axes(const std::vector<int>& letters, size_t count) {
  std::vector<int> axes;
  for (const int letter : letters) {
    if (letter != 0) axes.push_back(letter);
    for (size_t i = count; letter == 0 && i > 0; --i)
      axes.push_back(EinsumAxes::first_broadcast + static_cast<int>(i) - 1);
  }
  return axes;
}

bool has(const std::vector<int>& axes, int axis) { return std::find(axes.begin(), axes.end(), axis) != axes.end(); }

/// A wide tensor, the names of its axes, each once.
struct Operand {
  Tensor tensor;
  std::vector<int> axes;
};
using Extents = std::map<int, int64_t>;

/// The operand with its axes in that order; those that it has not, or of extent 1, are repeated to `extents`.
Tensor arranged(const Operand& operand, const std::vector<int>& axes, const Extents& extents) {
  const std::vector<int64_t> own = dense_strides(operand.tensor.shape());
  Shape shape;
  std::vector<int64_t> strides;
  for (const int axis : axes) {
    const auto place =
        static_cast<size_t>(std::find(operand.axes.begin(), operand.axes.end(), axis) - operand.axes.begin());
    shape.push_back(extents.at(axis));
    const bool is_repeated = place == own.size() || operand.tensor.shape()[place] == 1;
    strides.push_back(is_repeated ? 0 : own[place]);
  }
  Tensor tensor(operand.tensor.dtype(), shape);
  if (tensor.elements() > 0) {
    copy_strided(operand.tensor.data(), shape, strides, size_of(tensor.dtype()), tensor.data());
  }
  return tensor;
}

/// Diagonals of axes that are named twice.
Operand without_repetition(const Tensor& tensor, const std::vector<int>& names) {
  const std::vector<int64_t> own = dense_strides(tensor.shape());
  std::vector<int> axes;
  Shape shape;
  std::vector<int64_t> strides;
  for (size_t i = 0; i < names.size(); ++i) {
    const auto place = static_cast<size_t>(std::find(axes.begin(), axes.end(), names[i]) - axes.begin());
    if (place == axes.size()) {
      axes.push_back(names[i]);
      shape.push_back(tensor.shape()[i]);
      strides.push_back(own[i]);
    } else {
      if (shape[place] != tensor.shape()[i]) throw Error(op, "axes that have one name differ in their extents");
      strides[place] += own[i];
    }
  }
  Tensor copy(tensor.dtype(), shape);
  if (copy.elements() > 0) copy_strided(tensor.data(), shape, strides, size_of(copy.dtype()), copy.data());
  return {std::move(copy), std::move(axes)};
}

/// The product of two operands, with the axes of either that are in `kept`; the others are summed.
Operand contracted(const Operand& a, const Operand& b, const std::vector<int>& kept, const Extents& extents) {
  // Axes by where they stand and whether they stay: batch and sum in both, left in a alone, right in b alone.
  std::vector<int> batch, left, right, sum;
  const auto extent_of = [](const Operand& operand, int axis) {
    const auto place = std::find(operand.axes.begin(), operand.axes.end(), axis) - operand.axes.begin();
    return place == std::ssize(operand.axes) ? 1 : operand.tensor.shape()[static_cast<size_t>(place)];
  };
  Extents own;
  for (const Operand* operand : {&a, &b}) {
    for (const int axis : operand->axes) {
      if (own.contains(axis)) continue;
      // An axis that only later operands stretch stays 1 until then.
      const int64_t in_a = extent_of(a, axis), in_b = extent_of(b, axis);
      own[axis] = in_a == 1 ? in_b : in_a;
      if (!has(kept, axis)) {
        // One that is summed here although one operand repeats it.
        own[axis] = extents.at(axis);
        sum.push_back(axis);
      } else if (has(a.axes, axis) && has(b.axes, axis)) {
        batch.push_back(axis);
      } else {
        (has(a.axes, axis) ? left : right).push_back(axis);
      }
    }
  }
  const auto joined = [](std::vector<int> first, const std::vector<int>& second, const std::vector<int>& third) {
    first.insert(first.end(), second.begin(), second.end());
    first.insert(first.end(), third.begin(), third.end());
    return first;
  };
  const auto count = [&](const std::vector<int>& axes) {
    Shape shape;
    for (const int axis : axes) shape.push_back(own.at(axis));
    return element_count(shape);
  };
  const Tensor lefts = arranged(a, joined(batch, left, sum), own), rights = arranged(b, joined(batch, sum, right), own);
  Operand result;
  result.axes = joined(batch, left, right);
  Shape shape;
  for (const int axis : result.axes) shape.push_back(own.at(axis));
  result.tensor = Tensor(lefts.dtype(), shape);
  const int64_t products = count(batch), m = count(left), k = count(sum), n = count(right);
  if (result.tensor.elements() == 0) return result;
  with_carrier(lefts.dtype(), [&]<typename T>(ElementTag<T>) {
    using F = std::conditional_t<std::is_integral_v<T>, uint64_t, T>;
    const auto* const from_a = reinterpret_cast<const F*>(lefts.data());
    const auto* const from_b = reinterpret_cast<const F*>(rights.data());
    auto* const to = reinterpret_cast<F*>(result.tensor.data());
    for (int64_t i = 0; i < products; ++i) add_product(from_a + i * m * k, from_b + i * k * n, to + i * m * n, m, k, n);
  });
  return result;
}

Operand one(DType dtype) {
  Tensor tensor(dtype, {});
  with_carrier(dtype, [&]<typename T>(ElementTag<T>) { tensor.as<T>()[0] = T{1}; });
  return {std::move(tensor), {}};
}

}  // namespace

EinsumAxes einsum_axes(const std::string& equation, std::span<const size_t> ranks) {
  std::string plain = equation;
  std::erase(plain, ' ');
  const size_t arrow = plain.find("->");
  const std::vector<std::string> terms = terms_of(plain.substr(0, arrow));
  if (terms.size() != ranks.size()) {
    throw Error(op, "its equation names " + std::to_string(terms.size()) + " inputs, and it has " +
                        std::to_string(ranks.size()));
  }
  EinsumAxes axes;
  std::map<int, int> times;
  size_t most_broadcast = 0;
  for (size_t i = 0; i < terms.size(); ++i) {
    const std::vector<int> letters = letters_of(terms[i]);
    const bool is_broadcast = has(letters, 0);
    const size_t named = letters.size() - (is_broadcast ? 1 : 0);
    if (is_broadcast ? named > ranks[i] : named != ranks[i]) {
      throw Error(op,
                  "its equation does not name the " + std::to_string(ranks[i]) + " axes of input " + std::to_string(i));
    }
    most_broadcast = std::max(most_broadcast, ranks[i] - named);
    axes.inputs.push_back(with_broadcast_axes(letters, ranks[i] - named));
    for (const int letter : letters) ++times[letter];
  }
  std::vector<int> output;
  if (arrow != std::string::npos) {
    output = letters_of(plain.substr(arrow + 2));
    for (const int letter : output) {
      if (letter != 0 && !times.contains(letter)) throw Error(op, "its result has an axis that no input has");
      if (std::count(output.begin(), output.end(), letter) > 1) throw Error(op, "its result names an axis twice");
    }
  } else {
    output.push_back(0);
    for (const auto& [letter, count] : times) {
      if (letter != 0 && count == 1) output.push_back(letter);
    }
  }
  axes.output = with_broadcast_axes(output, most_broadcast);
  return axes;
}

Outputs Einsum::compute(Inputs inputs) const {
  std::vector<size_t> ranks;
  for (size_t i = 0; i < inputs.size(); ++i) ranks.push_back(required_input(op_name, inputs, i).shape().size());
  const EinsumAxes axes = einsum_axes(equation, ranks);
  const DType dtype = required_input(op_name, inputs, 0).dtype();
  if (dtype == DType::boolean) refuse_dtype(op_name, dtype);
  std::vector<Operand> operands;
  Extents extents;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i]->dtype() != dtype) throw Error(op_name, "takes inputs of one type");
    Tensor storage;
    operands.push_back(without_repetition(widened(*inputs[i], storage), axes.inputs[i]));
    const Operand& operand = operands.back();
    for (size_t axis = 0; axis < operand.axes.size(); ++axis) {
      const int64_t extent = operand.tensor.shape()[axis];
      int64_t& known = extents.try_emplace(operand.axes[axis], extent).first->second;
      if (known == 1) known = extent;
      if (extent != known && extent != 1) throw Error(op_name, "axes that have one name differ in their extents");
    }
  }
  // What is neither in the result nor in a later operand is summed as soon as it can be.
  Operand total = operands.size() == 1 ? one(carrier_of(dtype)) : std::move(operands.front());
  for (size_t i = operands.size() == 1 ? 0 : 1; i < operands.size(); ++i) {
    std::vector<int> kept = axes.output;
    for (size_t later = i + 1; later < operands.size(); ++later) {
      kept.insert(kept.end(), operands[later].axes.begin(), operands[later].axes.end());
    }
    total = contracted(total, operands[i], kept, extents);
  }
  return one_output(narrowed(arranged(total, axes.output, extents), dtype));
}

OutputTypes Einsum::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, std::max<size_t>(1, inputs.size()));
  std::vector<size_t> ranks;
  for (size_t i = 0; i < rule.count(); ++i) {
    rule.same_dtype(i, 0);
    ranks.push_back(rule.type(i).shape.size());
  }
  rule.require(rule.type(0).dtype != DType::boolean, "multiplies no elements of type bool");
  const EinsumAxes axes = einsum_axes(equation, ranks);
  std::map<int, Dim> extents;
  for (size_t i = 0; i < rule.count(); ++i) {
    for (size_t axis = 0; axis < ranks[i]; ++axis) {
      const Dim& extent = rule.type(i).shape[axis];
      Dim& known = extents.try_emplace(axes.inputs[i][axis], extent).first->second;
      known = broadcast(rule, {known}, {extent}).front();
    }
  }
  ValueType result{rule.type(0).dtype, {}};
  for (const int axis : axes.output) result.shape.push_back(extents.at(axis));
  return {result};
}

}  // namespace incipit::primitives
