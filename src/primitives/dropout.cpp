#include "primitives/dropout.h"

#include <algorithm>
#include <random>

#include "primitives/carrier.h"
#include "primitives/rule.h"

namespace incipit::primitives {
namespace {

double one_number(const Tensor* input, double otherwise) {
  if (input == nullptr) return otherwise;
  if (input->elements() != 1) throw Error(Dropout::op_name, "takes a ratio and a mode of one element");
  return with_carrier(input->dtype(), [&]<typename T>(ElementTag<T>) {
    T value{};
    load_elements(input->dtype(), input->data(), &value, 1);
    return static_cast<double>(value);
  });
}

}  // namespace

Outputs Dropout::compute(Inputs inputs) const {
  const Tensor& x = required_input(op_name, inputs, 0);
  const double ratio = one_number(optional_input(inputs, 1), 0.5);
  const bool training = one_number(optional_input(inputs, 2), 0) != 0;
  const bool is_share = ratio >= 0 && ratio < 1;  // no NaN is
  if (!is_share) throw Error(op_name, "has a ratio that is not in [0, 1)");
  Outputs outputs;
  outputs.push_back(copy_of(x));
  Tensor& mask = outputs.emplace_back(DType::boolean, x.shape());
  const auto kept = mask.as<uint8_t>();
  std::fill(kept.begin(), kept.end(), uint8_t{1});
  if (!training || ratio == 0) return outputs;
  std::mt19937 generator(static_cast<uint32_t>(seed));
  for (uint8_t& keep : kept) {
    // 53 bits of two draws.
    const double high = generator() >> 5, low = generator() >> 6;
    keep = (high * 0x1p26 + low) * 0x1p-53 >= ratio ? 1 : 0;
  }
  Tensor& y = outputs[0];
  with_float_type(op_name, x.dtype(), [&]<typename T>(ElementTag<T>) {
    const auto factor = static_cast<arithmetic_t<T>>(1 / (1 - ratio));
    const auto ys = y.as<T>();
    for (size_t i = 0; i < ys.size(); ++i) ys[i] = kept[i] != 0 ? round_to<T>(load(ys[i]) * factor) : T{};
  });
  return outputs;
}

OutputTypes Dropout::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 1);
  const ValueType& x = rule.type(0);
  return {{x.dtype, x.shape}, {DType::boolean, x.shape}};
}

}  // namespace incipit::primitives
