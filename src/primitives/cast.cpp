#include "primitives/cast.h"

#include <algorithm>
#include <cstring>

#include "primitives/carrier.h"

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

}  // namespace incipit::primitives
