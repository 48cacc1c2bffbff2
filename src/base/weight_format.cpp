#include "base/weight_format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>
#include <vector>

#include "base/error.h"

namespace incipit {
namespace {

constexpr std::array<std::pair<std::string_view, const WeightFormat*>, 4> short_names{{{"f32", &WeightFormat::f32},
                                                                                       {"bf16", &WeightFormat::bf16},
                                                                                       {"fp16", &WeightFormat::f16},
                                                                                       {"int8", &WeightFormat::i8}}};

std::optional<DType> dtype_among(std::string_view text, std::initializer_list<DType> allowed) {
  const auto* found = std::find_if(allowed.begin(), allowed.end(), [&](DType dtype) { return name_of(dtype) == text; });
  return found == allowed.end() ? std::nullopt : std::optional(*found);
}

/// A plain decimal without signs or leading zeros.
std::optional<int32_t> extent_of(std::string_view text) {
  int32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value < 0 || std::to_string(value) != text) return std::nullopt;
  return value;
}

}  // namespace

std::string to_text(const WeightFormat& format) {
  for (const auto& [name, known] : short_names) {
    if (*known == format) return std::string(name);
  }
  const std::string_view codes = !format.four_bits ? name_of(format.codes) : format.codes == DType::i8 ? "i4" : "u4";
  std::string text = std::string(codes) + ':' + std::string(name_of(format.activation));
  if (!format.scales) return text;
  text += ':' + std::to_string(format.block_n) + 'x' + std::to_string(format.block_k);
  text += ':' + std::string(name_of(*format.scales));
  if (format.zero_points) text += ':' + std::string(name_of(*format.zero_points));
  return text;
}

std::optional<WeightFormat> weight_format_from_text(std::string_view text) {
  for (const auto& [name, known] : short_names) {
    if (name == text) return *known;
  }
  std::vector<std::string_view> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(':', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  if (parts.size() != 2 && parts.size() != 4 && parts.size() != 5) return std::nullopt;
  const bool four_bits = parts[0] == "i4" || parts[0] == "u4";
  const auto codes = four_bits ? std::optional(parts[0] == "i4" ? DType::i8 : DType::u8)
                               : dtype_among(parts[0], {DType::f32, DType::bf16, DType::f16, DType::i8, DType::u8});
  const auto activation = dtype_among(parts[1], {DType::f32, DType::bf16, DType::i8});
  if (!codes || !activation) return std::nullopt;
  WeightFormat format;
  format.codes = *codes;
  format.four_bits = four_bits;
  format.activation = *activation;
  if (parts.size() > 2) {
    const size_t by = std::min(parts[2].find('x'), parts[2].size());
    const auto block_n = extent_of(parts[2].substr(0, by));
    const auto block_k = extent_of(parts[2].substr(std::min(by + 1, parts[2].size())));
    format.scales = dtype_among(parts[3], {DType::f32, DType::bf16, DType::f16});
    if (!block_n || !block_k || !format.scales) return std::nullopt;
    format.block_n = *block_n;
    format.block_k = *block_k;
  }
  if (parts.size() > 4) {
    format.zero_points = dtype_among(parts[4], {DType::i8, DType::u8});
    if (!format.zero_points) return std::nullopt;
  }
  // One text for each format.
  return to_text(format) == text ? std::optional(format) : std::nullopt;
}

}  // namespace incipit
