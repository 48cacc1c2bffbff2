#include "primitives/broadcast_strides.h"

namespace incipit::primitives {

std::vector<int64_t> broadcast_strides(const Shape& shape, size_t rank) {
  INCIPIT_ASSERT(shape.size() <= rank);
  std::vector<int64_t> strides(rank, 0);
  int64_t stride = 1;
  for (size_t i = 1; i <= shape.size(); ++i) {
    const int64_t extent = shape[shape.size() - i];
    if (extent != 1) strides[rank - i] = stride;
    stride *= extent;
  }
  return strides;
}

}  // namespace incipit::primitives
