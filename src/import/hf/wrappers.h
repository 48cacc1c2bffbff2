// Wrappers of vision-language models: their text part is a decoder of its own.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "import/hf/config.h"
#include "import/hf/tensor_source.h"

namespace incipit {

/// A wrapper's text model under the names that it has alone ("model.layers.0…", "lm_head…"). The wrapper's begin with
/// "language_model.", or with "model.language_model." but for the head's.
class TextTensors : public TensorSource {
 public:
  /// `all` must outlive this.
  explicit TextTensors(TensorSource& all);
  bool contains(std::string_view tensor) const override { return all_.contains(in_wrapper(tensor)); }
  ConstantPtr take(const std::string& tensor, const Shape& shape) override {
    return all_.take(in_wrapper(tensor), shape);
  }

 private:
  std::string in_wrapper(std::string_view tensor) const;
  TensorSource& all_;
  bool is_outermost_;  // "language_model.model.", as first published
};

/// Architectures of wrappers, as config.json's `architectures` has them.
std::span<const std::string_view> wrapper_names();
/// Whether this build reads the text part of what the config describes.
bool is_wrapper(const HfConfig& config);
/// The config of a wrapper's text model. Throws Error for one of an unknown kind.
HfConfig read_text_config(const HfConfig& wrapper, const TextTensors& weights);

}  // namespace incipit
