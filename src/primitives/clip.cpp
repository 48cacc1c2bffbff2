#include "primitives/clip.h"

#include <algorithm>
#include <limits>

#include "primitives/carrier.h"
#include "primitives/extremes.h"
#include "primitives/known_values.h"
#include "primitives/rule.h"

namespace incipit::primitives {

Outputs Clip::compute(Inputs inputs) const {
  const Tensor& x = required_input(op_name, inputs, 0);
  if (x.dtype() == DType::boolean) refuse_dtype(op_name, x.dtype());
  Outputs outputs;
  Tensor& y = outputs.emplace_back(x.dtype(), x.shape());
  const auto count = static_cast<size_t>(x.elements());
  with_carrier(x.dtype(), [&]<typename T>(ElementTag<T>) {
    const auto limit = [&](size_t i, T otherwise) {
      const Tensor* input = optional_input(inputs, i);
      if (input == nullptr) return otherwise;
      if (input->dtype() != x.dtype() || input->elements() != 1) throw Error(op_name, "takes limits of one element");
      T value{};
      load_elements(x.dtype(), input->data(), &value, 1);
      return value;
    };
    // Where there is no limit, the type's largest finite number is one: infinities do not pass.
    const T most = x.dtype() == DType::f16    ? static_cast<T>(65504)
                   : x.dtype() == DType::bf16 ? static_cast<T>(0x1.FEp127)
                                              : std::numeric_limits<T>::max();
    const T least = std::numeric_limits<T>::is_integer ? std::numeric_limits<T>::lowest() : static_cast<T>(-most);
    const T low = limit(1, least), high = limit(2, most);
    const auto clip = [&](T value) { return clipped(value, low, high); };
    if (x.dtype() == dtype_of_carrier<T>) {
      const auto from = x.as<T>();
      std::transform(from.begin(), from.end(), y.as<T>().begin(), clip);
      return;
    }
    std::vector<T> chunk(std::min(count, chunk_elements));
    for (size_t from = 0; from < count; from += chunk_elements) {
      const size_t n = std::min(chunk_elements, count - from);
      const size_t byte = from * size_of(x.dtype());
      load_elements(x.dtype(), x.data() + byte, chunk.data(), n);
      std::transform(chunk.begin(), chunk.begin() + static_cast<ptrdiff_t>(n), chunk.begin(), clip);
      store_elements(chunk.data(), x.dtype(), y.data() + byte, n);
    }
  });
  return outputs;
}

OutputTypes Clip::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 1);
  const ValueType& x = rule.type(0);
  rule.require(x.dtype != DType::boolean, "takes no bool");
  std::optional<std::vector<Dim>> values;
  if (rule.contents(0) != nullptr) values = *rule.contents(0);
  for (const size_t limit : {size_t{1}, size_t{2}}) {
    if (!rule.has(limit)) continue;
    rule.same_dtype(limit, 0);
    const std::vector<Dim>* limits = rule.contents(limit);
    if (limits == nullptr || limits->size() != 1) values.reset();
    if (!values) continue;
    const Binary bound{limit == 1 ? Binary::max : Binary::min};
    for (Dim& value : *values) value = applied(bound, x.dtype, value, limits->front());
  }
  ValueType y{x.dtype, x.shape};
  if (values) give_contents(y, std::move(*values));
  return {y};
}

}  // namespace incipit::primitives
