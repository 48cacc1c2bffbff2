#include "import/hf/decoder_builder.h"

#include <fmt/format.h>

#include <algorithm>
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
#include "graph/ops/expert_linear.h"
#include "graph/ops/gather_rows.h"
#include "graph/ops/kv_write.h"
#include "graph/ops/layer_norm.h"
#include "graph/ops/linear.h"
#include "graph/ops/multiply.h"
#include "graph/ops/rms_norm.h"
#include "graph/ops/rotary.h"
#include "graph/ops/router.h"
#include "graph/ops/scale.h"
#include "graph/ops/soft_cap.h"
#include "graph/ops/weighted_sum.h"
#include "graph/same_contents.h"

namespace incipit {
namespace {

/// Rows of all parts; as f32 where a checkpoint mixes element types.
ConstantPtr concatenate_mixed(std::vector<ConstantPtr> parts) {
  const bool same =
      std::ranges::all_of(parts, [&](const ConstantPtr& part) { return part->dtype() == parts.front()->dtype(); });
  if (!same) {
    for (ConstantPtr& part : parts) part = convert(std::move(part), DType::f32);
  }
  return concatenate_rows(std::move(parts));
}

}  // namespace

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
  table_ = graph_.add_constant(tensor, take(tensor, {geometry_.vocabulary, geometry_.hidden}));
  ops::Embedding op;
  op.scale = scale;
  return graph_.add(module, std::move(op), {ids_, table_});
}

ValueId DecoderBuilder::position_embedding(const std::string& module) {
  const std::string tensor = module + ".weight";
  const ValueId table = graph_.add_constant(tensor, take(tensor, {geometry_.max_position, geometry_.hidden}));
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
  const ValueId gain = graph_.add_constant(gain_name, take_gain(gain_name, width_of(x)));
  const ValueId bias = graph_.add_constant(bias_name, take(bias_name, {width_of(x)}));
  ops::LayerNorm op;
  op.epsilon = geometry_.norm_epsilon;
  return graph_.add(module, std::move(op), {x, gain, bias});
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
  return {graph_.add_constant(name, make_constant(Tensor::of({std::ssize(frequencies)}, frequencies))), rope.factor};
}

AttentionSpec DecoderBuilder::plain_attention(const RotaryValue& rotary) const {
  AttentionSpec spec;
  spec.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(geometry_.head_dim)));
  spec.rotary = rotary;
  return spec;
}

Projections DecoderBuilder::project(const std::string& module, ValueId x, Bias bias) {
  Projections projections;
  projections.query = linear(module + ".q_proj", x, geometry_.query_width(), bias);
  projections.key = linear(module + ".k_proj", x, geometry_.kv_width(), bias);
  projections.value = linear(module + ".v_proj", x, geometry_.kv_width(), bias);
  return projections;
}

ValueId DecoderBuilder::rotate(const std::string& name, ValueId x, const RotaryValue& rotary) {
  if (rotary.inverse_frequency == none) return x;
  ops::Rotary op;
  op.heads = width_of(x) / geometry_.head_dim;
  op.head_dim = geometry_.head_dim;
  op.factor = rotary.factor;
  return graph_.add(name, std::move(op), {x, position_, rotary.inverse_frequency});
}

ValueId DecoderBuilder::attend(const std::string& module, int64_t layer, const Projections& projections,
                               const AttentionSpec& spec) {
  const ValueId query = rotate(module + ".rotary_q", projections.query, spec.rotary);
  const ValueId key = rotate(module + ".rotary_k", projections.key, spec.rotary);

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
  return graph_.add(module + ".attention", std::move(op), {query, position_, cache});
}

ValueId DecoderBuilder::self_attention(const std::string& module, int64_t layer, ValueId x, const AttentionSpec& spec,
                                       Bias query_key_value, Bias output) {
  const ValueId attended = attend(module, layer, project(module, x, query_key_value), spec);
  return linear(module + ".o_proj", attended, geometry_.hidden, output);
}

ValueId DecoderBuilder::normed_self_attention(const std::string& module, int64_t layer, ValueId x,
                                              const AttentionSpec& spec, Bias bias) {
  Projections heads = project(module, x, bias);
  heads.query = rms_norm(module + ".q_norm", heads.query, geometry_.heads);
  heads.key = rms_norm(module + ".k_norm", heads.key, geometry_.kv_heads);
  return linear(module + ".o_proj", attend(module, layer, heads, spec), geometry_.hidden, bias);
}

ValueId DecoderBuilder::gated(const std::string& module, ValueId gate, ValueId up) {
  return graph_.add(module + ".gated", ops::Multiply{}, {activate(module + ".act_fn", gate), up});
}

ValueId DecoderBuilder::gated_mlp(const std::string& module, ValueId x, Bias bias) {
  const ValueId gate = linear(module + ".gate_proj", x, geometry_.feed_forward, bias);
  const ValueId up = linear(module + ".up_proj", x, geometry_.feed_forward, bias);
  return linear(module + ".down_proj", gated(module, gate, up), geometry_.hidden, bias);
}

ConstantPtr DecoderBuilder::stack_experts(const std::string& module, const ExpertSpec& experts,
                                          std::initializer_list<std::string_view> names, const Shape& shape) {
  const Shape each{shape.at(1) / static_cast<int64_t>(names.size()), shape.at(2)};
  std::vector<ConstantPtr> parts;
  for (int64_t expert = 0; expert < experts.count; ++expert) {
    for (const std::string_view name : names) {
      parts.push_back(take(fmt::format("{}.{}.{}.weight", module, expert, name), each));
    }
  }
  return reshape(concatenate_mixed(std::move(parts)), shape);
}

ValueId DecoderBuilder::sparse_mlp(const std::string& module, ValueId x, const ExpertSpec& experts) {
  ops::Router router;
  router.top_k = experts.chosen;
  router.normalize = experts.normalize;
  const ValueId logits = linear(module + ".gate", x, experts.count);
  const std::vector<ValueId> choice =
      graph_.add_node(module + ".router", std::make_unique<ops::Router>(std::move(router)), {logits});

  const std::string all = module + ".experts", gate_up_name = all + ".gate_up_proj", down_name = all + ".down_proj";
  const Shape gate_up_shape{experts.count, 2 * experts.width, geometry_.hidden};
  const Shape down_shape{experts.count, geometry_.hidden, experts.width};
  const bool is_stacked = weights_.contains(gate_up_name);
  const ValueId gate_up = graph_.add_constant(
      gate_up_name + ".weight", is_stacked ? take(gate_up_name, gate_up_shape)
                                           : stack_experts(all, experts, {experts.gate, experts.up}, gate_up_shape));
  const ValueId down =
      graph_.add_constant(down_name + ".weight", is_stacked ? take(down_name, down_shape)
                                                            : stack_experts(all, experts, {experts.down}, down_shape));
  ops::ExpertLinear product;
  product.top_k = experts.chosen;
  product.activation = geometry_.activation + "_gate";
  const ValueId inner = graph_.add(gate_up_name, product, {x, choice[0], gate_up});
  product.activation = "none";
  const ValueId outer = graph_.add(down_name, std::move(product), {inner, choice[0], down});
  return graph_.add(module + ".weighted_sum", ops::WeightedSum{}, {outer, choice[1]});
}

ValueId DecoderBuilder::sampled_rows(ValueId x) { return graph_.add("sampled_rows", ops::GatherRows{}, {x, rows_}); }

ValueId DecoderBuilder::output_head(const std::string& module, ValueId x) {
  INCIPIT_ASSERT(table_ != none);
  const std::string tensor = module + ".weight";
  const Value& table = graph_.value(table_);
  ValueId weight = table_;
  if (!geometry_.tied || weights_.contains(tensor)) {
    const ConstantPtr own = take(tensor, {geometry_.vocabulary, geometry_.hidden});
    const bool same = same_contents(*own, *table.constant);
    if (geometry_.tied && !same) {
      throw Error(tensor, fmt::format("differs from {}, but config.json has tie_word_embeddings true", table.name),
                  "set tie_word_embeddings to what the model was trained with");
    }
    if (!same) weight = graph_.add_constant(tensor, own);
  }
  return graph_.add(module, ops::Linear{}, {x, weight});
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

ValueId build_pre_norm_decoder(DecoderBuilder& decoder, const DecoderGeometry& geometry, const LayerPart& attention,
                               const LayerPart& mlp, float embedding_scale) {
  ValueId x = decoder.embedding("model.embed_tokens", embedding_scale);
  for (int64_t layer = 0; layer < geometry.layers; ++layer) {
    const std::string module = fmt::format("model.layers.{}", layer);
    const ValueId attended = attention(layer, module, decoder.rms_norm(module + ".input_layernorm", x));
    x = decoder.add(module + ".attention_residual", x, attended);
    const ValueId mixed = mlp(layer, module, decoder.rms_norm(module + ".post_attention_layernorm", x));
    x = decoder.add(module + ".mlp_residual", x, mixed);
  }
  return decoder.output_head("lm_head", decoder.rms_norm("model.norm", decoder.sampled_rows(x)));
}

}  // namespace incipit
