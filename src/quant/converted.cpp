#include "quant/converted.h"

#include <utility>
#include <vector>

#include "quant/slabs.h"

namespace incipit {
namespace {

class ConvertedConstant : public Constant {
 public:
  ConvertedConstant(ConstantPtr source, DType dtype) : Constant(dtype, source->shape()), source_(std::move(source)) {}

  void read(int64_t first, int64_t count, std::byte* out) const override {
    if (dtype() == DType::f32 && reinterpret_cast<uintptr_t>(out) % alignof(float) == 0) {
      source_->read_floats(first, count, reinterpret_cast<float*>(out));
      return;
    }
    const int64_t width = row_elements();
    std::vector<float> values;
    for_each_slab(count, width, [&](int64_t slab, int64_t slab_rows) {
      values.resize(static_cast<size_t>(slab_rows * width));
      source_->read_floats(first + slab, slab_rows, values.data());
      convert_from_float(values.data(), dtype(), out + static_cast<size_t>(slab * width) * size_of(dtype()),
                         values.size());
    });
  }

 private:
  ConstantPtr source_;
};

}  // namespace

ConstantPtr convert_constant(ConstantPtr constant, DType dtype) {
  if (constant->dtype() == dtype) return constant;
  return std::make_shared<ConvertedConstant>(std::move(constant), dtype);
}

}  // namespace incipit
