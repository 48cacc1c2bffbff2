#include "import/hf/unread.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <numeric>
#include <utility>

namespace incipit {
namespace {

constexpr std::string_view mamba_2_beside = "state-space layers (Mamba 2) beside attention";
constexpr std::string_view latent = "latent attention (MLA)";
constexpr std::string_view latent_sparse = "latent attention (MLA) over the keys that an indexer chooses";
constexpr std::string_view convolutions = "short convolutions beside attention";
constexpr std::string_view delta_rule = "layers of linear attention (the gated delta rule)";
constexpr std::string_view encoder = "an encoder beside the decoder";

/// By stem (`stem_of`).
constexpr std::pair<std::string_view, std::string_view> lacking[] = {
    {"bamba", mamba_2_beside},
    {"bart", encoder},
    {"chatglmmodel", "its publisher's own code (the -hf checkpoint does not)"},
    {"deepseekv2", latent},
    {"deepseekv3", latent},
    {"deepseekv32", latent_sparse},
    {"falconh1", mamba_2_beside},
    {"falconmamba", "state-space layers (Mamba)"},
    {"gemma3n", "embeddings for each layer and streams that it mixes (AltUp)"},
    {"gemma4", "embeddings for each layer, and heads of several widths"},
    {"glm4moelite", latent},
    {"glmmoedsa", latent_sparse},
    {"granitemoehybrid", mamba_2_beside},
    {"jamba", "state-space layers (Mamba) beside attention"},
    {"kimilinear", delta_rule},
    {"lfm2", convolutions},
    {"lfm2moe", convolutions},
    {"llama4", "attention in chunks, and experts that scale their inputs"},
    {"mamba", "state-space layers (Mamba)"},
    {"mamba2", "state-space layers (Mamba 2)"},
    {"marianmt", encoder},
    {"mbart", encoder},
    {"minicpm3", latent},
    {"minimax", "layers of linear attention (lightning attention)"},
    {"mistral4", latent},
    {"mt5", encoder},
    {"nemotronh", mamba_2_beside},
    {"pegasus", encoder},
    {"qwen35", delta_rule},
    {"qwen35moe", delta_rule},
    {"qwen3next", delta_rule},
    {"recurrentgemma", "recurrent layers (RG-LRU)"},
    {"rwkv", "recurrent layers (RWKV)"},
    {"t5", encoder},
    {"whisper", encoder},
    {"zamba2", mamba_2_beside},
};

/// "Qwen3_5ForCausalLM", "qwen3_5_text" → "qwen35": letters and digits in lower case, without what the model is for.
std::string stem_of(std::string_view name) {
  std::string stem;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0) stem += static_cast<char>(std::tolower(byte));
  }
  for (const std::string_view purpose : {"forcausallm", "forconditionalgeneration", "lmheadmodel", "text"}) {
    if (stem.size() > purpose.size() && stem.ends_with(purpose)) {
      stem.resize(stem.size() - purpose.size());
      break;
    }
  }
  return stem;
}

/// Levenshtein's: the fewest insertions, deletions and replacements that make one of the other.
size_t distance_between(std::string_view one, std::string_view other) {
  std::vector<size_t> row(other.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < one.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < other.size(); ++j) {
      const size_t replaced = diagonal + (one[i] == other[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string_view what_is_lacking(std::string_view name) {
  const std::string stem = stem_of(name);
  const auto* const found =
      std::ranges::find(lacking, std::string_view(stem), &std::pair<std::string_view, std::string_view>::first);
  return found == std::end(lacking) ? std::string_view() : found->second;
}

bool is_headless(std::string_view name) {
  constexpr std::array<std::string_view, 6> endings{"ForMaskedLM",          "ForSequenceClassification",
                                                    "ForQuestionAnswering", "ForTokenClassification",
                                                    "EncoderModel",         "Model"};
  return !name.ends_with("LMHeadModel") &&
         std::ranges::any_of(endings, [&](std::string_view ending) { return name.ends_with(ending); });
}

std::vector<std::string_view> nearest_names(std::string_view name, const std::vector<std::string_view>& known) {
  constexpr size_t most = 5;
  const std::string stem = stem_of(name);
  std::vector<std::pair<size_t, std::string_view>> near;
  for (const std::string_view one : known) {
    const std::string other = stem_of(one);
    const size_t distance = distance_between(stem, other);
    if (2 * distance <= std::min(stem.size(), other.size())) near.emplace_back(distance, one);
  }
  std::ranges::sort(near);
  near.resize(std::min(near.size(), most));
  std::vector<std::string_view> names;
  for (const auto& [distance, one] : near) names.push_back(one);
  return names;
}

}  // namespace incipit
