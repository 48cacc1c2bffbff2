#include "import/hf/tensor_source.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "base/digest.h"

namespace incipit {

ConstantPtr RandomTensors::take(const std::string& tensor, const Shape& shape) {
  if (shape.size() == 1) {
    Tensor ones(DType::f32, shape);
    std::ranges::fill(ones.as<float>(), 1.0F);
    return make_constant(std::move(ones));
  }
  const Digest name = digest_of(std::as_bytes(std::span(tensor)));
  uint64_t stream = 0;
  std::memcpy(&stream, name.bytes.data(), sizeof stream);
  constexpr float deviation = 0.02F;  // the usual initializer_range
  return make_random_constant(DType::bf16, shape, seed_ ^ stream, deviation);
}

}  // namespace incipit
