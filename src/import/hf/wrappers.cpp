#include "import/hf/wrappers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "import/hf/unread.h"

namespace incipit {
namespace {

constexpr std::array<std::string_view, 2> wrappers{"Gemma3ForConditionalGeneration",
                                                   "Mistral3ForConditionalGeneration"};

/// The text model's `model_type`, and its architecture where it stands alone.
constexpr std::array<std::pair<std::string_view, std::string_view>, 3> text_models{
    {{"gemma3_text", "Gemma3ForCausalLM"}, {"mistral", "MistralForCausalLM"}, {"ministral3", "Ministral3ForCausalLM"}}};

}  // namespace

TextTensors::TextTensors(TensorSource& all)
    : all_(all), is_outermost_(all.contains("language_model.model.embed_tokens.weight")) {}

std::string TextTensors::in_wrapper(std::string_view tensor) const {
  if (is_outermost_) return "language_model." + std::string(tensor);
  constexpr std::string_view body = "model.";
  if (!tensor.starts_with(body)) return std::string(tensor);
  return "model.language_model." + std::string(tensor.substr(body.size()));
}

std::span<const std::string_view> wrapper_names() { return wrappers; }

bool is_wrapper(const HfConfig& config) {
  return config.is_object("text_config") && std::ranges::count(wrappers, config.architecture()) > 0;
}

HfConfig read_text_config(const HfConfig& wrapper, const TextTensors& weights) {
  const HfConfig text = wrapper.object("text_config");
  const std::string type = text.text_or("model_type", "");
  const auto* found = std::ranges::find(text_models, type, &std::pair<std::string_view, std::string_view>::first);
  if (found == text_models.end()) {
    if (const std::string_view lacking = what_is_lacking(type); !lacking.empty()) {
      text.fail(fmt::format("model_type '{}' needs {}, which this build does not compute yet", type, lacking),
                "docs/architectures.md lists what this build reads");
    }
    std::string known;
    for (const auto& [name, architecture] : text_models) known += (known.empty() ? "" : ", ") + std::string(name);
    text.fail(fmt::format("model_type '{}' is not supported", type), "this build reads text models of " + known);
  }
  // Both may say whether the head is the embedding. Where they disagree there is a head or there is none.
  constexpr std::string_view key = "tie_word_embeddings";
  std::optional<bool> tied;
  if (wrapper.has(key)) tied = wrapper.flag(key, false);
  if (tied && text.has(key) && text.flag(key, false) != *tied) tied = !weights.contains("lm_head.weight");
  return wrapper.text_part(found->second, tied);
}

}  // namespace incipit
