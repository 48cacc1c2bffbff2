#include "primitives/rotary_embedding.h"

#include <string>

#include "primitives/carrier.h"

namespace incipit::primitives {

Outputs RotaryEmbedding::compute(Inputs inputs) const {
  const Tensor& x = required_input(op_name, inputs, 0);
  const Tensor& cosines = required_input(op_name, inputs, 1);
  const Tensor& sines = required_input(op_name, inputs, 2);
  const Tensor* const position = optional_input(inputs, 3);
  with_float_type(op_name, x.dtype(), [](auto) {});
  if (cosines.dtype() != x.dtype() || sines.dtype() != x.dtype())
    throw Error(op_name, "takes x, cos and sin of one type");
  const Shape& shape = x.shape();
  const Shape& table = cosines.shape();
  if (shape.size() != 4) throw Error(op_name, "takes x of rank 4");
  if (table != sines.shape() || table.size() != (position != nullptr ? 2 : 3)) {
    throw Error(op_name, "takes cos and sin of one shape, of rank 2 with positions and 3 without");
  }
  const int64_t batch = shape[0], heads = shape[1], length = shape[2], width = shape[3], pairs = table.back();
  if (pairs > width / 2)
    throw Error(op_name, "turns " + std::to_string(pairs) + " pairs of heads of " + std::to_string(width));
  const Shape& places = position != nullptr ? position->shape() : table;
  if (places.size() < 2 || (places[0] != 1 && places[0] != batch) || places[1] != length ||
      (position != nullptr && places.size() != 2)) {
    throw Error(op_name, "takes a position for each of x's rows");
  }
  std::vector<int64_t> rows;
  if (position != nullptr) {
    if (position->dtype() != DType::i64) throw Error(op_name, "takes positions of i64");
    rows = integers(*position);
    for (const int64_t row : rows) {
      if (row < 0 || row >= table[0]) {
        throw Error(op_name,
                    "position " + std::to_string(row) + " is outside of a table of " + std::to_string(table[0]));
      }
    }
  } else {
    for (int64_t row = 0; row < places[0] * length; ++row) rows.push_back(row);
  }
  Tensor x_storage, cos_storage, sin_storage;
  const Tensor& wide = widened(x, x_storage);
  const Tensor& wide_cosines = widened(cosines, cos_storage);
  const Tensor& wide_sines = widened(sines, sin_storage);
  Tensor y = copy_of(wide);
  const auto run = [&]<typename T>(T) {
    T* line = y.as<T>().data();
    const int64_t step = interleaved ? 2 : 1, other = interleaved ? 1 : pairs;
    for (int64_t b = 0; b < batch; ++b) {
      for (int64_t h = 0; h < heads; ++h) {
        for (int64_t s = 0; s < length; ++s, line += width) {
          const int64_t row = rows[static_cast<size_t>((places[0] == 1 ? 0 : b) * length + s)] * pairs;
          const T* const c = wide_cosines.as<T>().data() + row;
          const T* const w = wide_sines.as<T>().data() + row;
          for (int64_t i = 0; i < pairs; ++i) {
            const T first = line[i * step], second = line[i * step + other];
            line[i * step] = first * c[i] - second * w[i];
            line[i * step + other] = first * w[i] + second * c[i];
          }
        }
      }
    }
  };
  if (y.elements() > 0 && pairs > 0) wide.dtype() == DType::f64 ? run(double{}) : run(float{});
  return one_output(narrowed(std::move(y), x.dtype()));
}

}  // namespace incipit::primitives
