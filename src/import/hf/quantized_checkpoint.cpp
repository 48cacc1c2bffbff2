#include "import/hf/quantized_checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "graph/finite_constant.h"
#include "import/hf/stored_codes.h"

namespace incipit {
namespace {

constexpr std::string_view weight_ending = ".weight";

/// compressed-tensors' names of what lies in the files, for all of it or for a group of modules.
bool is_words(std::string_view format) { return format == "pack-quantized"; }
bool is_bytes(std::string_view format) {
  return format == "int-quantized" || format == "float-quantized" || format == "naive-quantized";
}

[[noreturn]] void refuse(const HfConfig& config, std::string_view key, std::string_view known) {
  config.fail(fmt::format("{} {} is not read", key, config.shown(key)),
              fmt::format("read are {}; or give the checkpoint that it was made from, and choose --precision", known));
}

int64_t group_of(const HfConfig& config, std::string_view key, int64_t fallback) {
  const int64_t group = config.integer_or(key, fallback, -1, int64_t{1} << 30);
  if (group == 0) config.fail(fmt::format("{} is 0", key), "groups have inputs, or -1 says all");
  return std::max<int64_t>(group, 0);
}

}  // namespace

QuantizedCheckpoint::QuantizedCheckpoint(const HfConfig& config, Checkpoint& checkpoint) : checkpoint_(checkpoint) {
  constexpr std::string_view key = "quantization_config";
  const HfConfig of_text = config.is_object("text_config") ? config.object("text_config") : config.object(key);
  if (!config.has(key) && !of_text.has(key)) return;
  const HfConfig own = config.has(key) ? config.object(key) : of_text.object(key);
  const std::string name = own.text_or("quant_method", "");
  std::string what;
  if (name == "gptq") {
    method_ = Method::gptq;
    const std::string form = own.text_or("checkpoint_format", "gptq");
    if (form != "gptq" && form != "gptq_v2") refuse(own, "checkpoint_format", "gptq and gptq_v2");
    zero_offset_ = form == "gptq" ? 1 : 0;
    bits_ = own.integer("bits", 1, 32);
    if (bits_ != 2 && bits_ != 4 && bits_ != 8) refuse(own, "bits", "2, 4 and 8");
    group_ = group_of(own, "group_size", -1);
    what = fmt::format("GPTQ, {} bits", bits_);
  } else if (name == "awq") {
    method_ = Method::awq;
    const std::string form = own.text_or("version", "gemm");
    if (form != "gemm" && form != "GEMM") refuse(own, "version", "gemm");
    bits_ = own.integer_or(own.has("bits") ? "bits" : "w_bit", 4, 1, 32);
    if (bits_ != 4) refuse(own, own.has("bits") ? "bits" : "w_bit", "4");
    group_ = group_of(own, own.has("group_size") ? "group_size" : "q_group_size", 128);
    what = "AWQ, 4 bits";
  } else if (name == "compressed-tensors") {
    const std::string format = own.text_or("format", "");
    constexpr std::string_view known = "pack-quantized, int-quantized, float-quantized and naive-quantized";
    if (!is_words(format) && !is_bytes(format)) refuse(own, "format", known);
    const HfConfig sparsity = own.object("sparsity_config");
    if (sparsity.text_or("format", "dense") != "dense") refuse(sparsity, "format", "dense weights");
    method_ = is_words(format) ? Method::words : Method::bytes;
    const HfConfig groups = own.object("config_groups");
    for (const std::string& group : groups.keys()) {
      if (!groups.is_object(group)) continue;
      const HfConfig weights = groups.object(group).object("weights");
      const std::vector<double> block = weights.numbers("block_structure");
      if (block.size() == 2) {
        block_n_ = static_cast<int64_t>(std::clamp(block[0], 1.0, 1e9));
        block_k_ = static_cast<int64_t>(std::clamp(block[1], 1.0, 1e9));
      }
      if (weights.has("group_size")) group_ = group_of(weights, "group_size", -1);
    }
    what = fmt::format("compressed-tensors, {}", format);
  } else if (name == "fp8") {
    method_ = Method::bytes;
    const std::vector<double> block = own.numbers("weight_block_size");
    if (block.size() == 2) {
      block_n_ = static_cast<int64_t>(std::clamp(block[0], 1.0, 1e9));
      block_k_ = static_cast<int64_t>(std::clamp(block[1], 1.0, 1e9));
    }
    what = "FP8";
  } else {
    refuse(own, "quant_method", "gptq, awq, compressed-tensors and fp8");
  }
  log_warning(
      "{}: weights are stored quantised ({}) and are read as the numbers that their codes stand for; --precision "
      "says how the engine keeps them, and inputs of products are rounded as that says, not as the checkpoint does",
      config.name(), what);
}

std::string_view QuantizedCheckpoint::stored_name(std::string_view module) const {
  const auto has = [&](std::string_view ending) {
    return checkpoint_.contains(std::string(module) + std::string(ending));
  };
  if ((method_ == Method::gptq || method_ == Method::awq) && has(".qweight")) return ".qweight";
  if (method_ == Method::words && has(".weight_packed")) return ".weight_packed";
  const bool has_scales = has(".weight_scale") || has(".weight_scale_inv");
  if (method_ == Method::bytes && has(weight_ending) && has_scales) return weight_ending;
  return {};
}

bool QuantizedCheckpoint::contains(std::string_view tensor) const {
  if (checkpoint_.contains(tensor)) return true;
  if (!tensor.ends_with(weight_ending)) return false;
  return !stored_name(tensor.substr(0, tensor.size() - weight_ending.size())).empty();
}

ConstantPtr QuantizedCheckpoint::take(const std::string& tensor, const Shape& shape) {
  if (method_ == Method::none || !tensor.ends_with(weight_ending)) return checkpoint_.take(tensor, shape);
  const std::string module = tensor.substr(0, tensor.size() - weight_ending.size());
  if (stored_name(module).empty()) return checkpoint_.take(tensor, shape);
  ConstantPtr numbers = method_ == Method::gptq    ? take_gptq(module, shape)
                        : method_ == Method::awq   ? take_awq(module, shape)
                        : method_ == Method::words ? take_words(module, shape)
                                                   : take_bytes(module, shape);
  return name_tensor(checkpoint_.refuse_unless_finite(std::move(numbers), tensor), tensor);
}

ConstantPtr QuantizedCheckpoint::part(const std::string& tensor) {
  return checkpoint_.contains(tensor) ? checkpoint_.take_stored(tensor) : nullptr;
}

ConstantPtr QuantizedCheckpoint::needed_part(const std::string& tensor) {
  if (ConstantPtr found = part(tensor)) return found;
  throw Error(checkpoint_.name(), fmt::format("tensor {} is missing", tensor), "the checkpoint is incomplete");
}

std::string QuantizedCheckpoint::named(const std::string& part) const {
  return fmt::format("{}: {}", checkpoint_.name(), part);
}

std::vector<int32_t> QuantizedCheckpoint::groups_of(const std::string& tensor, int64_t inputs, int64_t group) {
  std::vector<int32_t> groups(static_cast<size_t>(inputs));
  if (const ConstantPtr stored = part(tensor)) {
    if (stored->dtype() != DType::i32 || stored->shape() != Shape{inputs}) {
      throw Error(named(tensor),
                  fmt::format("is {} [{}], not the groups of {} inputs", name_of(stored->dtype()),
                              fmt::join(stored->shape(), ", "), inputs),
                  "the checkpoint does not fit its config.json");
    }
    const std::vector<int64_t> values = stored->integers();
    std::ranges::transform(values, groups.begin(), [](int64_t value) { return static_cast<int32_t>(value); });
    return groups;
  }
  for (int64_t i = 0; i < inputs; ++i)
    groups[static_cast<size_t>(i)] = static_cast<int32_t>(group == 0 ? 0 : i / group);
  return groups;
}

/// qweight [inputs / codes of a word, outputs], qzeros [groups, outputs / codes of a word], scales [groups, outputs];
/// the first form has zero points less one.
ConstantPtr QuantizedCheckpoint::take_gptq(const std::string& module, const Shape& shape) {
  WordWeight parts;
  parts.codes = {needed_part(module + ".qweight"), bits_, true, false, false};
  parts.scales = needed_part(module + ".scales");
  parts.zero_points = CodeWords{needed_part(module + ".qzeros"), bits_, true, true, false};
  parts.zero_offset = zero_offset_;
  parts.group_of_input = groups_of(module + ".g_idx", shape.back(), group_);
  return numbers_of_words(named(module), shape, std::move(parts));
}

/// qweight [inputs, outputs / 8] and qzeros [groups, outputs / 8], eight outputs of a word interleaved; scales
/// [groups, outputs].
ConstantPtr QuantizedCheckpoint::take_awq(const std::string& module, const Shape& shape) {
  WordWeight parts;
  parts.codes = {needed_part(module + ".qweight"), bits_, true, true, true};
  parts.scales = needed_part(module + ".scales");
  if (ConstantPtr zeros = part(module + ".qzeros")) {
    parts.zero_points = CodeWords{std::move(zeros), bits_, true, true, true};
  }
  parts.group_of_input = groups_of({}, shape.back(), group_);
  return numbers_of_words(named(module), shape, std::move(parts));
}

/// weight_packed [outputs, inputs / codes of a word], weight_scale [outputs, groups], weight_zero_point [outputs /
/// codes of a word, groups]; codes and zero points are raised by the middle of their range.
ConstantPtr QuantizedCheckpoint::take_words(const std::string& module, const Shape& shape) {
  constexpr std::string_view foreign = "the checkpoint does not fit its config.json";
  WordWeight parts;
  parts.codes.words = needed_part(module + ".weight_packed");
  parts.scales = needed_part(module + ".weight_scale");
  if (const ConstantPtr stored = part(module + ".weight_shape")) {
    if (stored->shape() != Shape{2} || is_floating(stored->dtype()) || stored->integers() != shape) {
      throw Error(named(module + ".weight_shape"), fmt::format("is not [{}]", fmt::join(shape, ", ")),
                  std::string(foreign));
    }
  }
  // As many bits as fill the words.
  const Shape& words = parts.codes.words->shape();
  for (const int64_t bits : {2, 4, 8}) {
    if (words.size() == 2 && shape.size() == 2 && words[1] == (shape[1] * bits + 31) / 32) parts.codes.bits = bits;
  }
  const Shape& scales = parts.scales->shape();
  const int64_t groups = scales.size() == 2 ? std::max<int64_t>(scales[1], 1) : 1;
  const int64_t group = groups == 1 ? 0 : group_ > 0 ? group_ : (shape.back() + groups - 1) / groups;
  if (ConstantPtr zeros = part(module + ".weight_zero_point")) {
    parts.zero_points = CodeWords{std::move(zeros), parts.codes.bits, false, true, false};
  }
  parts.group_of_input = groups_of(module + ".weight_g_idx", shape.back(), group);
  return numbers_of_words(named(module), shape, std::move(parts));
}

/// weight, i8 or E4M3; weight_scale, or weight_scale_inv, by which codes are multiplied all the same.
ConstantPtr QuantizedCheckpoint::take_bytes(const std::string& module, const Shape& shape) {
  ConstantPtr codes = needed_part(module + std::string(weight_ending));
  const bool inverse = checkpoint_.contains(module + ".weight_scale_inv");
  ConstantPtr scales = needed_part(module + (inverse ? ".weight_scale_inv" : ".weight_scale"));
  ConstantPtr zeros = part(module + ".weight_zero_point");
  part(module + ".input_scale");  // of inputs' codes, which are made otherwise
  if (codes->shape() != shape) {
    throw Error(module,
                fmt::format("has codes of shape [{}], config.json asks for [{}]", fmt::join(codes->shape(), ", "),
                            fmt::join(shape, ", ")),
                "the checkpoint does not fit its config.json");
  }
  const int64_t count = element_count(scales->shape());
  const bool single = count == 1, by_output = count == shape.front();
  int64_t n = single ? 0 : by_output ? 1 : block_n_, k = single || by_output ? 0 : block_k_;
  if (!single && !by_output && block_n_ == 0 && group_ > 0) n = 1, k = group_;
  return numbers_of_codes(named(module), std::move(codes), std::move(scales), std::move(zeros), n, k);
}

}  // namespace incipit
