// Checkpoints that were quantised by others: GPTQ, AWQ, compressed-tensors and block-wise FP8. Their weights are given
// out as the numbers that the codes stand for (stored_codes.h); all else is the checkpoint's own.
// The forms are those that AutoGPTQ, AutoAWQ, compressed-tensors and Transformers (FP8) write and document.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "import/hf/checkpoint.h"
#include "import/hf/config.h"

namespace incipit {

class QuantizedCheckpoint : public TensorSource {
 public:
  /// `config` is the whole config.json. `checkpoint` must outlive this. Throws Error for a quantisation that is not
  /// read, naming it.
  QuantizedCheckpoint(const HfConfig& config, Checkpoint& checkpoint);

  bool contains(std::string_view tensor) const override;
  ConstantPtr take(const std::string& tensor, const Shape& shape) override;

 private:
  enum class Method { none, gptq, awq, words, bytes };

  ConstantPtr take_gptq(const std::string& module, const Shape& shape);
  ConstantPtr take_awq(const std::string& module, const Shape& shape);
  ConstantPtr take_words(const std::string& module, const Shape& shape);
  ConstantPtr take_bytes(const std::string& module, const Shape& shape);
  /// Takes a tensor of any type; null where there is none.
  ConstantPtr part(const std::string& tensor);
  /// Throws Error where there is none.
  ConstantPtr needed_part(const std::string& tensor);
  /// Group of each input: of the tensor, where there is one, else groups of `group` inputs, of all where that is 0.
  std::vector<int32_t> groups_of(const std::string& tensor, int64_t inputs, int64_t group);
  /// What messages call a part of the checkpoint.
  std::string named(const std::string& part) const;
  /// The ending of the tensor that has the codes of a module's weight; empty where it is stored otherwise.
  std::string_view stored_name(std::string_view module) const;

  Checkpoint& checkpoint_;
  Method method_ = Method::none;
  int64_t bits_ = 4, group_ = 0, zero_offset_ = 0, block_n_ = 0, block_k_ = 0;
};

}  // namespace incipit
