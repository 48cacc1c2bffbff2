#include "primitives/cast.h"

#include <algorithm>
#include <cstring>

#include "primitives/carrier.h"
#include "primitives/rule.h"

namespace incipit::primitives {

Outputs Cast::compute(Inputs inputs) const {
  const Tensor& x = required_input(op_name, inputs, 0);
  Outputs outputs;
  if (to == x.dtype()) {
    outputs.push_back(copy_of(x));
    return outputs;
  }
  Tensor& y = outputs.emplace_back(to, x.shape());
  const auto count = static_cast<size_t>(x.elements());
  with_carrier(x.dtype(), [&]<typename T>(ElementTag<T>) {
    if (x.dtype() == dtype_of_carrier<T>) {
      store_elements(x.as<T>().data(), to, y.data(), count);
    } else if (to == dtype_of_carrier<T>) {
      load_elements(x.dtype(), x.data(), y.as<T>().data(), count);
    } else {
      std::vector<T> chunk(std::min(count, chunk_elements));
      for (size_t from = 0; from < count; from += chunk_elements) {
        const size_t n = std::min(chunk_elements, count - from);
        load_elements(x.dtype(), x.data() + from * size_of(x.dtype()), chunk.data(), n);
        store_elements(chunk.data(), to, y.data() + from * size_of(to), n);
      }
    }
  });
  return outputs;
}

Outputs BitCast::compute(Inputs inputs) const {
  const Tensor& x = required_input(op_name, inputs, 0);
  if (size_of(to) != size_of(x.dtype())) {
    throw Error(op_name, "from " + std::string(name_of(x.dtype())) + " to " + std::string(name_of(to)) +
                             " changes the elements' size");
  }
  Outputs outputs;
  Tensor& y = outputs.emplace_back(to, x.shape());
  if (x.bytes() > 0) std::memcpy(y.data(), x.data(), x.bytes());
  return outputs;
}

OutputTypes Cast::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 1);
  const ValueType& x = rule.type(0);
  ValueType y{to, x.shape};
  if (const std::vector<Dim>* contents = rule.contents(0)) {
    std::vector<Dim> values;
    for (const Dim& value : *contents) {
      if (value.is_constant()) {
        values.emplace_back(y.dtype == DType::i32       ? static_cast<int32_t>(value.constant())
                            : y.dtype == DType::boolean ? int64_t{value.constant() != 0}
                                                        : value.constant());
      } else if (y.dtype == DType::boolean && x.dtype != DType::boolean) {
        values.push_back(is_surely_at_least(value, 1) ? Dim(1) : Dim::unknown());
      } else {
        values.push_back(value);
      }
    }
    give_contents(y, std::move(values));
  }
  return {y};
}

OutputTypes BitCast::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 1);
  rule.require(size_of(to) == size_of(rule.type(0).dtype), "changes the elements' size");
  return {{to, rule.type(0).shape}};
}

}  // namespace incipit::primitives
