// Codes of four bits that answer for each other's errors: each weight is rounded in turn, and those behind it take up
// what that changed of the product (Frantar, Ashkboos, Hoefler, Alistarh: GPTQ, 2022).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "quant/format.h"

namespace incipit {

/// Of moments Σ x·xᵀ [k, k] of rows x: U [k, k], an upper triangle with Uᵀ·U the inverse of moments + damping. A column
/// that was always zero stands for itself. Throws Error where moments are not finite.
std::vector<float> compensation(const Constant& moments);

/// What is worked out for the planes of one weight, of which the last is kept: whoever reads a weight's planes one
/// after the other has it once. For any thread.
class CompensatedRounding {
 public:
  struct Planes {
    std::vector<int8_t> codes;  // [n, k], as bytes
    std::vector<float> scales, zero_points;
  };
  /// A number for a weight.
  int64_t new_owner() { return ++owners_; }
  template <typename Make>
  std::shared_ptr<const Planes> planes(int64_t owner, Make make) {
    const std::scoped_lock lock(mutex_);
    if (owner_ != owner) {
      planes_.reset();
      owner_ = 0;
      planes_ = std::make_shared<const Planes>(make());
      owner_ = owner;
    }
    return planes_;
  }

 private:
  std::mutex mutex_;
  std::atomic<int64_t> owners_ = 0;
  int64_t owner_ = 0;  // whose planes they are; 0: nobody's
  std::shared_ptr<const Planes> planes_;
};

/// Planes of a weight [n, k] in a format of four bits. A group's scale is chosen when its turn comes. Reading the
/// planes throws Error as the format's own do.
QuantizedConstant quantize_compensated(const WeightFormat& format, ConstantPtr weight, ConstantPtr moments,
                                       std::shared_ptr<CompensatedRounding> rounding);

}  // namespace incipit
