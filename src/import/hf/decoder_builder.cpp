#include "import/hf/decoder_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/error.h"
#include "graph/ops/activate.h"
#include "graph/ops/add.h"
#include "graph/ops/attention.h"
#include "graph/ops/embedding.h"
#include "graph/ops/gather_rows.h"
#include "graph/ops/kv_write.h"
#include "graph/ops/layer_norm.h"
#include "graph/ops/linear.h"
#include "graph/ops/multiply.h"
#include "graph/ops/rms_norm.h"
#include "graph/ops/rotary.h"
#include "graph/ops/scale.h"
#include "graph/ops/soft_cap.h"
#include "graph/ops/xielu.h"
#include "graph/same_contents.h"

namespace incipit {
ConstantPtr concatenate_mixed(std::vector<ConstantPtr> parts) {
  const bool same =
      std::ranges::all_of(parts, [&](const ConstantPtr& part) { return part->dtype() == parts.front()->dtype(); });
  if (!same) {
    for (ConstantPtr& part : parts) part = convert(std::move(part), DType::f32);
  }
  return concatenate_rows(std::move(parts));
}

DecoderBuilder::DecoderBuilder(const DecoderGeometry& geometry, TensorSource& weights)
    : geometry_(geometry), weights_(weights) {
  const Dim tokens = Dim::symbol("T");
  ids_ = graph_.add_input("ids", {DType::i32, {tokens}});
  position_ = graph_.add_input("position", {DType::i32, {tokens}});
  rows_ = graph_.add_input("rows", {DType::i32, {Dim::symbol("R")}});
}

int64_t DecoderBuilder::width_of(ValueId x) const { return graph_.value(x).type.shape.at(1).constant(); }

ValueId DecoderBuilder::embedding(const std::string& module, float scale) {
  const std::string tensor = module + ".weight";
  table_ = graph_.add_constant(tensor, take(tensor, {geometry_.vocabulary, table_width()}));
  ops::Embedding op;
  op.scale = scale;
  return graph_.add(module, std::move(op), {ids_, table_});
}

ValueId DecoderBuilder::position_embedding(const std::string& module, int64_t first) {
  const std::string tensor = module + ".weight";
  const int64_t positions = geometry_.max_position;
  ConstantPtr rows = take(tensor, {first + positions, geometry_.hidden});
  if (first > 0) rows = slice_rows(std::move(rows), first, positions);
  const ValueId table = graph_.add_constant(tensor, std::move(rows));
  return graph_.add(module, ops::Embedding{}, {position_, table});
}

ConstantPtr DecoderBuilder::take_gain(const std::string& tensor, int64_t width) {
  ConstantPtr stored = take(tensor, {width});
  return geometry_.gain_offset == 0 ? stored : add_to_all(std::move(stored), geometry_.gain_offset);
}

ValueId DecoderBuilder::rms_norm(const std::string& module, ValueId x, int64_t groups) {
  const std::string tensor = module + ".weight";
  const ValueId gain = graph_.add_constant(tensor, take_gain(tensor, width_of(x) / groups));
  ops::RmsNorm op;
  op.epsilon = geometry_.norm_epsilon;
  op.groups = groups;
  return graph_.add(module, std::move(op), {x, gain});
}

ValueId DecoderBuilder::layer_norm(const std::string& module, ValueId x) {
  const std::string gain_name = module + ".weight", bias_name = module + ".bias";
  std::vector<ValueId> inputs{x, graph_.add_constant(gain_name, take_gain(gain_name, width_of(x)))};
  if (geometry_.norm != NormKind::layer_without_bias) {
    inputs.push_back(graph_.add_constant(bias_name, take(bias_name, {width_of(x)})));
  }
  ops::LayerNorm op;
  op.epsilon = geometry_.norm_epsilon;
  return graph_.add(module, std::move(op), std::move(inputs));
}

ValueId DecoderBuilder::norm(const std::string& module, ValueId x) {
  return geometry_.norm == NormKind::rms ? rms_norm(module, x) : layer_norm(module, x);
}

ValueId DecoderBuilder::head_norm(const std::string& module, ValueId x, int64_t heads) {
  if (geometry_.norm == NormKind::rms) return rms_norm(module, x, heads);
  const std::string stacked = module + ".weight";
  ConstantPtr gains;
  if (weights_.contains(stacked)) {
    gains = reshape(take(stacked, {heads, geometry_.head_dim}), {heads * geometry_.head_dim});
  } else {
    std::vector<ConstantPtr> parts;
    for (int64_t head = 0; head < heads; ++head) {
      parts.push_back(take(fmt::format("{}.norms.{}.weight", module, head), {geometry_.head_dim}));
    }
    gains = concatenate_mixed(std::move(parts));
  }
  ops::LayerNorm op;
  op.epsilon = geometry_.norm_epsilon;
  op.groups = heads;
  return graph_.add(module, std::move(op), {x, graph_.add_constant(stacked, std::move(gains))});
}

ValueId DecoderBuilder::product(const std::string& module, ValueId x, ConstantPtr weight, ConstantPtr bias) {
  const ValueId rows = graph_.add_constant(module + ".weight", std::move(weight));
  const ValueId result = graph_.add(module, ops::Linear{}, {x, rows});
  if (bias == nullptr) return result;
  return add(module + ".add_bias", result, graph_.add_constant(module + ".bias", std::move(bias)));
}

ValueId DecoderBuilder::linear(const std::string& module, ValueId x, int64_t outputs, Bias bias) {
  return product(module, x, take(module + ".weight", {outputs, width_of(x)}),
                 bias == Bias::present ? take(module + ".bias", {outputs}) : nullptr);
}

ValueId DecoderBuilder::add(const std::string& name, ValueId x, ValueId y) {
  return graph_.add(name, ops::Add{}, {x, y});
}

ValueId DecoderBuilder::scale(const std::string& name, ValueId x, float factor) {
  if (factor == 1) return x;
  ops::Scale op;
  op.factor = factor;
  return graph_.add(name, std::move(op), {x});
}

ValueId DecoderBuilder::soft_cap(const std::string& name, ValueId x, float cap) {
  if (cap == 0) return x;
  ops::SoftCap op;
  op.cap = cap;
  return graph_.add(name, std::move(op), {x});
}

ValueId DecoderBuilder::activate(const std::string& name, ValueId x) {
  ops::Activate op;
  op.kind = geometry_.activation;
  return graph_.add(name, std::move(op), {x});
}

RotaryValue DecoderBuilder::rotary(const std::string& name, const Rope& rope) {
  const std::span<const float> frequencies(rope.inverse_frequencies);
  RotaryValue rotary;
  rotary.inverse_frequency =
      graph_.add_constant(name, make_constant(Tensor::of({std::ssize(frequencies)}, frequencies)));
  rotary.factor = rope.factor;
  rotary.interleaved = rope.interleaved;
  rotary.growth = rope.growth;
  rotary.growth_length = rope.growth_length;
  return rotary;
}

ValueId DecoderBuilder::alibi(float scale) {
  const auto heads = static_cast<double>(geometry_.heads);
  const double whole = std::exp2(std::floor(std::log2(heads)));
  std::vector<float> slopes;
  for (int64_t head = 0; head < geometry_.heads; ++head) {
    // Heads beyond a power of two lie between those of the next power's row.
    const auto place = static_cast<double>(head);
    const double exponent = place < whole ? 8 * (place + 1) / whole : 4 * (2 * (place - whole) + 1) / whole;
    slopes.push_back(static_cast<float>(scale * std::exp2(-exponent)));
  }
  return graph_.add_constant("alibi.slopes",
                             make_constant(Tensor::of({geometry_.heads}, std::span<const float>(slopes))));
}

AttentionSpec DecoderBuilder::plain_attention(const RotaryValue& rotary) const {
  AttentionSpec spec;
  spec.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(geometry_.head_dim)));
  spec.rotary = rotary;
  return spec;
}

bool DecoderBuilder::is_merged(const std::string& module, std::string_view part, std::string_view merged) const {
  const auto has = [&](std::string_view name) { return weights_.contains(fmt::format("{}{}.weight", module, name)); };
  return !has(part) && has(merged);
}

Projections DecoderBuilder::project(const std::string& module, ValueId x, Bias bias) {
  if (is_merged(module, ".q_proj", ".qkv_proj")) return project_merged(module, x, bias);
  Projections projections;
  projections.query = linear(module + ".q_proj", x, geometry_.query_width(), bias);
  projections.key = linear(module + ".k_proj", x, geometry_.kv_width(), bias);
  projections.value = linear(module + ".v_proj", x, geometry_.kv_width(), bias);
  return projections;
}

Projections DecoderBuilder::project_merged(const std::string& module, ValueId x, Bias bias) {
  const std::string merged = module + ".qkv_proj";
  const int64_t query = geometry_.query_width(), kv = geometry_.kv_width();
  const ConstantPtr weight = take(merged + ".weight", {query + 2 * kv, width_of(x)});
  const ConstantPtr biases = bias == Bias::present ? take(merged + ".bias", {query + 2 * kv}) : nullptr;
  const auto part = [&](std::string_view name, int64_t first, int64_t rows) {
    return product(fmt::format("{}.{}", module, name), x, slice_rows(weight, first, rows),
                   biases == nullptr ? nullptr : slice_rows(biases, first, rows));
  };
  Projections projections;
  projections.query = part("q_proj", 0, query);
  projections.key = part("k_proj", query, kv);
  projections.value = part("v_proj", query + kv, kv);
  return projections;
}

Projections DecoderBuilder::project_grouped(const std::string& module, ValueId x, Bias bias) {
  const int64_t dim = geometry_.head_dim, queries = geometry_.heads / geometry_.kv_heads * dim,
                group = queries + 2 * dim;
  const int64_t rows = group * geometry_.kv_heads;
  const ConstantPtr weight = take(module + ".weight", {rows, width_of(x)});
  const ConstantPtr biases = bias == Bias::present ? take(module + ".bias", {rows}) : nullptr;
  const std::string parent = module.substr(0, module.rfind('.') + 1);
  const auto part = [&](std::string_view name, int64_t first, int64_t count) {
    const RowBlocks blocks{first, count, group, geometry_.kv_heads};
    return product(parent + std::string(name), x, select_rows(weight, blocks),
                   biases == nullptr ? nullptr : select_rows(biases, blocks));
  };
  return {part("q_proj", 0, queries), part("k_proj", queries, dim), part("v_proj", queries + dim, dim)};
}

ValueId DecoderBuilder::rotate(const std::string& name, ValueId x, const RotaryValue& rotary, bool is_query) {
  if (rotary.inverse_frequency == none) return x;
  ops::Rotary op;
  op.heads = width_of(x) / geometry_.head_dim;
  op.head_dim = geometry_.head_dim;
  op.factor = rotary.factor;
  op.interleaved = rotary.interleaved;
  if (is_query) {
    op.growth = rotary.growth;
    op.growth_length = rotary.growth_length;
  }
  return graph_.add(name, std::move(op), {x, position_, rotary.inverse_frequency});
}

ValueId DecoderBuilder::norm_heads(const std::string& module, ValueId x, int64_t heads, HeadNorm norm) {
  switch (norm) {
    case HeadNorm::absent: return x;
    case HeadNorm::each: return head_norm(module, x, heads);
    case HeadNorm::whole: return this->norm(module, x);
  }
  INCIPIT_ASSERT(!"norm of heads");
}

ValueId DecoderBuilder::attend(const std::string& module, int64_t layer, const Projections& projections,
                               const AttentionSpec& spec) {
  const auto prepare = [&](ValueId x, std::string_view norm, int64_t heads, const char* rotation, bool is_query) {
    const std::string norm_name = fmt::format("{}.{}", module, norm);
    if (!spec.norm_after_rotary) x = norm_heads(norm_name, x, heads, spec.norm);
    x = rotate(module + rotation, x, spec.rotary, is_query);
    return spec.norm_after_rotary ? norm_heads(norm_name, x, heads, spec.norm) : x;
  };
  const ValueId query = prepare(projections.query, spec.query_norm, geometry_.heads, ".rotary_q", true);
  const ValueId key = prepare(projections.key, spec.key_norm, geometry_.kv_heads, ".rotary_k", false);

  ops::KvWrite write;
  write.layer = layer;
  write.kv_heads = geometry_.kv_heads;
  write.head_dim = geometry_.head_dim;
  write.window = spec.window;
  const ValueId cache = graph_.add(module + ".kv_write", std::move(write), {key, projections.value, position_});

  ops::Attention op;
  op.layer = layer;
  op.heads = geometry_.heads;
  op.kv_heads = geometry_.kv_heads;
  op.head_dim = geometry_.head_dim;
  op.window = spec.window;
  op.scale = spec.scale;
  op.soft_cap = spec.soft_cap;
  const std::string sinks = module + ".sinks";
  return graph_.add(module + ".attention", std::move(op),
                    {query, position_, cache, none, spec.slopes,
                     spec.sinks ? graph_.add_constant(sinks, take(sinks, {geometry_.heads})) : none});
}

ValueId DecoderBuilder::self_attention(const std::string& module, int64_t layer, ValueId x, const AttentionSpec& spec,
                                       Bias query_key_value, Bias output) {
  const ValueId attended = attend(module, layer, project(module, x, query_key_value), spec);
  return linear(fmt::format("{}.{}", module, spec.output), attended, geometry_.hidden, output);
}

ValueId DecoderBuilder::normed_self_attention(const std::string& module, int64_t layer, ValueId x,
                                              const AttentionSpec& spec, Bias bias) {
  AttentionSpec normed = spec;
  normed.norm = HeadNorm::each;
  return self_attention(module, layer, x, normed, bias, bias);
}

ValueId DecoderBuilder::gated(const std::string& module, ValueId gate, ValueId up) {
  return graph_.add(module + ".gated", ops::Multiply{}, {activate(module + ".act_fn", gate), up});
}

ValueId DecoderBuilder::gated_mlp(const std::string& module, ValueId x, Bias bias, int64_t width) {
  if (is_merged(module, ".gate_proj", ".gate_up_proj")) return merged_gated_mlp(module, x, bias, width);
  if (width == 0) width = geometry_.feed_forward;
  const ValueId gate = linear(module + ".gate_proj", x, width, bias), up = linear(module + ".up_proj", x, width, bias);
  return linear(module + ".down_proj", gated(module, gate, up), geometry_.hidden, bias);
}

ValueId DecoderBuilder::merged_gated_mlp(const std::string& module, ValueId x, Bias bias, int64_t width) {
  const std::string merged = module + ".gate_up_proj";
  if (width == 0) width = geometry_.feed_forward;
  const ConstantPtr weight = take(merged + ".weight", {2 * width, width_of(x)});
  const ConstantPtr biases = bias == Bias::present ? take(merged + ".bias", {2 * width}) : nullptr;
  const auto half = [&](const std::string& name, int64_t first) {
    return product(name, x, slice_rows(weight, first, width),
                   biases == nullptr ? nullptr : slice_rows(biases, first, width));
  };
  const ValueId gate = half(module + ".gate_proj", 0), up = half(module + ".up_proj", width);
  return linear(module + ".down_proj", gated(module, gate, up), geometry_.hidden, bias);
}

ValueId DecoderBuilder::plain_mlp(const std::string& module, ValueId x, Bias bias, std::string_view up,
                                  std::string_view down) {
  const ValueId inner = linear(fmt::format("{}.{}", module, up), x, geometry_.feed_forward, bias);
  return linear(fmt::format("{}.{}", module, down), activate(module + ".act_fn", inner), geometry_.hidden, bias);
}

ValueId DecoderBuilder::xielu(const std::string& module, ValueId x) {
  const auto number = [&](const char* name, const Shape& shape) {
    float value = 0;
    take(module + name, shape)->read_floats(0, 1, &value);
    return static_cast<double>(value);
  };
  // The first two are stored so that any number makes a positive one.
  const double slope = number(".beta", {}), bend = number(".eps", {});
  const auto soft_plus = [](double y) { return std::max(y, 0.0) + std::log1p(std::exp(-std::abs(y))); };
  const double positive = soft_plus(number(".alpha_p", {1}));
  const double negative = slope + soft_plus(number(".alpha_n", {1}));
  const std::array<float, 4> curve{static_cast<float>(positive), static_cast<float>(negative),
                                   static_cast<float>(slope), static_cast<float>(bend)};
  const ValueId numbers =
      graph_.add_constant(module + ".curve", make_constant(Tensor::of({4}, std::span<const float>(curve))));
  return graph_.add(module, ops::Xielu{}, {x, numbers});
}

ValueId DecoderBuilder::sampled_rows(ValueId x) { return graph_.add("sampled_rows", ops::GatherRows{}, {x, rows_}); }

ValueId DecoderBuilder::output_head(const std::string& module, ValueId x, Bias bias) {
  INCIPIT_ASSERT(table_ != none);
  const std::string tensor = module + ".weight";
  const Value& table = graph_.value(table_);
  ValueId weight = table_;
  if (!geometry_.tied || weights_.contains(tensor)) {
    const ConstantPtr own = take(tensor, {geometry_.vocabulary, table_width()});
    const bool same = same_contents(*own, *table.constant);
    if (geometry_.tied && !same) {
      throw Error(tensor, fmt::format("differs from {}, but config.json has tie_word_embeddings true", table.name),
                  "set tie_word_embeddings to what the model was trained with");
    }
    if (!same) weight = graph_.add_constant(tensor, own);
  }
  const ValueId logits = graph_.add(module, ops::Linear{}, {x, weight});
  if (bias == Bias::absent) return logits;
  const std::string bias_name = module + ".bias";
  return add(module + ".add_bias", logits, graph_.add_constant(bias_name, take(bias_name, {geometry_.vocabulary})));
}

void DecoderBuilder::finish(ValueId logits, Model& model) {
  graph_.rename(logits, "logits");
  graph_.set_outputs({logits});
  verify(graph_);
  model.graph = std::move(graph_);
  model.vocabulary = geometry_.vocabulary;
  model.hidden = geometry_.hidden;
  model.layers = geometry_.layers;
  model.max_position = geometry_.max_position;
}

}  // namespace incipit
