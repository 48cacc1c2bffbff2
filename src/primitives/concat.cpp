#include "primitives/concat.h"

#include <cstring>
#include <numeric>

namespace incipit::primitives {

Outputs Concat::compute(Inputs inputs) const {
  const Tensor& first = required_input(op_name, inputs, 0);
  const size_t along = normal_axis(op_name, axis, first.shape().size());
  Shape shape = first.shape();
  shape[along] = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& part = required_input(op_name, inputs, i);
    Shape expected = part.shape();
    if (expected.size() == shape.size()) shape[along] += expected[along], expected[along] = first.shape()[along];
    if (expected != first.shape() || part.dtype() != first.dtype()) {
      throw Error(op_name, "input " + std::to_string(i) + " differs from the first in more than the joined axis");
    }
  }
  Tensor joined(first.dtype(), shape);
  // Everything from `along` on lies together in a part.
  const int64_t blocks =
      std::accumulate(shape.begin(), shape.begin() + static_cast<ptrdiff_t>(along), int64_t{1}, std::multiplies<>());
  std::byte* to = joined.data();
  for (int64_t block = 0; block < blocks; ++block) {
    for (const Tensor* part : inputs) {
      const size_t bytes = part->bytes() / static_cast<size_t>(blocks);
      if (bytes > 0) std::memcpy(to, part->data() + static_cast<size_t>(block) * bytes, bytes);
      to += bytes;
    }
  }
  return one_output(std::move(joined));
}

}  // namespace incipit::primitives
