// Where a model's weights come from: a checkpoint's files, or random numbers for engines of a bare geometry.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "graph/constant.h"

namespace incipit {

class TensorSource {
 public:
  virtual ~TensorSource() = default;
  virtual bool contains(std::string_view tensor) const = 0;
  /// The tensor, which must be floating (f32, f16 or bf16) and of this shape. Throws Error that names the tensor, what
  /// was found, what was expected, and the file.
  virtual ConstantPtr take(const std::string& tensor, const Shape& shape) = 0;
};

/// Weights of any geometry, lazily: matrices are bf16, normal with deviation 0.02, and depend only on the seed and the
/// tensor's name; vectors (norm gains) are 1.
class RandomTensors : public TensorSource {
 public:
  /// `tied`: there is no lm_head.weight.
  RandomTensors(uint64_t seed, bool tied) : seed_(seed), tied_(tied) {}
  bool contains(std::string_view tensor) const override { return !(tied_ && tensor == "lm_head.weight"); }
  ConstantPtr take(const std::string& tensor, const Shape& shape) override;

 private:
  uint64_t seed_;
  bool tied_;
};

}  // namespace incipit
