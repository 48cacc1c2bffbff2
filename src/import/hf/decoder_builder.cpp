#include "import/hf/decoder_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/progress.h"
#include "graph/ops/activate.h"
#include "graph/ops/add.h"
#include "graph/ops/attention.h"
#include "graph/ops/embedding.h"
#include "graph/ops/gather_rows.h"
#include "graph/ops/kv_write.h"
#include "graph/ops/linear.h"
#include "graph/ops/multiply.h"
#include "graph/ops/rms_norm.h"
#include "graph/ops/rotary.h"

namespace incipit {
namespace {

/// Equal bytes; stops at the first slab that differs.
bool same_contents(const Constant& a, const Constant& b) {
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
  const auto row_bytes = static_cast<size_t>(a.row_elements()) * size_of(a.dtype());
  const int64_t step = std::max<int64_t>(1, (int64_t{1} << 20) / static_cast<int64_t>(std::max<size_t>(row_bytes, 1)));
  std::vector<std::byte> left, right;
  for (int64_t first = 0; first < a.rows(); first += step) {
    check_interrupt();  // tables of a gigabyte may come from a slow disk
    const int64_t count = std::min(step, a.rows() - first);
    left.resize(static_cast<size_t>(count) * row_bytes);
    right.resize(left.size());
    a.read(first, count, left.data());
    b.read(first, count, right.data());
    if (left != right) return false;
  }
  return true;
}

}  // namespace

DecoderBuilder::DecoderBuilder(const DecoderGeometry& geometry, TensorSource& weights)
    : geometry_(geometry), weights_(weights) {
  const Dim tokens = Dim::symbol("T");
  ids_ = graph_.add_input("ids", {DType::i32, {tokens}});
  position_ = graph_.add_input("position", {DType::i32, {tokens}});
  rows_ = graph_.add_input("rows", {DType::i32, {Dim::symbol("R")}});
  const Rope rope = make_rope(geometry.rope, geometry.head_dim);
  inverse_frequency_ = graph_.add_constant(
      "model.rotary_emb.inv_freq",
      make_constant(Tensor::of({geometry.head_dim / 2}, std::span<const float>(rope.inverse_frequencies))));
  rotary_factor_ = rope.factor;
}

ValueId DecoderBuilder::embedding(const std::string& module) {
  const std::string tensor = module + ".weight";
  table_ = graph_.add_constant(tensor, take(tensor, {geometry_.vocabulary, geometry_.hidden}));
  return graph_.add(module, ops::Embedding{}, {ids_, table_});
}

ValueId DecoderBuilder::norm(const std::string& module, ValueId x) {
  const std::string tensor = module + ".weight";
  const ValueId gain = graph_.add_constant(tensor, take(tensor, {geometry_.hidden}));
  ops::RmsNorm op;
  op.epsilon = geometry_.norm_epsilon;
  return graph_.add(module, std::move(op), {x, gain});
}

ValueId DecoderBuilder::linear(const std::string& module, ValueId x, int64_t inputs, int64_t outputs, bool bias) {
  const std::string weight_name = module + ".weight", bias_name = module + ".bias";
  const ValueId weight = graph_.add_constant(weight_name, take(weight_name, {outputs, inputs}));
  const ValueId product = graph_.add(module, ops::Linear{}, {x, weight});
  if (!bias) return product;
  const ValueId offset = graph_.add_constant(bias_name, take(bias_name, {outputs}));
  return add(module + ".add_bias", product, offset);
}

ValueId DecoderBuilder::add(const std::string& name, ValueId x, ValueId y) {
  return graph_.add(name, ops::Add{}, {x, y});
}

ValueId DecoderBuilder::rotary(const std::string& name, ValueId x, int64_t heads) {
  ops::Rotary op;
  op.heads = heads;
  op.head_dim = geometry_.head_dim;
  op.factor = rotary_factor_;
  return graph_.add(name, std::move(op), {x, position_, inverse_frequency_});
}

ValueId DecoderBuilder::attention(const std::string& module, int64_t layer, ValueId x) {
  const DecoderGeometry& g = geometry_;
  const ValueId q = linear(module + ".q_proj", x, g.hidden, g.query_width(), g.query_key_value_bias);
  const ValueId k = linear(module + ".k_proj", x, g.hidden, g.kv_width(), g.query_key_value_bias);
  const ValueId v = linear(module + ".v_proj", x, g.hidden, g.kv_width(), g.query_key_value_bias);
  const ValueId rotated_q = rotary(module + ".rotary_q", q, g.heads);
  const ValueId rotated_k = rotary(module + ".rotary_k", k, g.kv_heads);

  ops::KvWrite write;
  write.layer = layer;
  write.kv_heads = g.kv_heads;
  write.head_dim = g.head_dim;
  const ValueId cache = graph_.add(module + ".kv_write", std::move(write), {rotated_k, v, position_});

  ops::Attention op;
  op.layer = layer;
  op.heads = g.heads;
  op.kv_heads = g.kv_heads;
  op.head_dim = g.head_dim;
  op.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(g.head_dim)));
  const ValueId attended = graph_.add(module + ".attention", std::move(op), {rotated_q, position_, cache});
  return linear(module + ".o_proj", attended, g.query_width(), g.hidden, g.attention_output_bias);
}

ValueId DecoderBuilder::gated_mlp(const std::string& module, ValueId x) {
  const DecoderGeometry& g = geometry_;
  const ValueId gate = linear(module + ".gate_proj", x, g.hidden, g.feed_forward, g.mlp_bias);
  const ValueId up = linear(module + ".up_proj", x, g.hidden, g.feed_forward, g.mlp_bias);
  ops::Activate activate;
  activate.kind = g.activation;
  const ValueId activated = graph_.add(module + ".act_fn", std::move(activate), {gate});
  const ValueId gated = graph_.add(module + ".gated", ops::Multiply{}, {activated, up});
  return linear(module + ".down_proj", gated, g.feed_forward, g.hidden, g.mlp_bias);
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

Graph DecoderBuilder::finish(ValueId logits) {
  graph_.rename(logits, "logits");
  graph_.set_outputs({logits});
  verify(graph_);
  return std::move(graph_);
}

void build_llama_decoder(const DecoderGeometry& geometry, TensorSource& weights, Model& model) {
  DecoderBuilder builder(geometry, weights);
  ValueId x = builder.embedding("model.embed_tokens");
  for (int64_t layer = 0; layer < geometry.layers; ++layer) {
    const std::string module = fmt::format("model.layers.{}", layer);
    const ValueId attended =
        builder.attention(module + ".self_attn", layer, builder.norm(module + ".input_layernorm", x));
    x = builder.add(module + ".attention_residual", x, attended);
    const ValueId mixed = builder.gated_mlp(module + ".mlp", builder.norm(module + ".post_attention_layernorm", x));
    x = builder.add(module + ".mlp_residual", x, mixed);
  }
  const ValueId sampled = builder.norm("model.norm", builder.sampled_rows(x));
  model.graph = builder.finish(builder.output_head("lm_head", sampled));
  model.vocabulary = geometry.vocabulary;
  model.hidden = geometry.hidden;
  model.layers = geometry.layers;
  model.max_position = geometry.max_position;
}

}  // namespace incipit
