#include "tiny_decoder.h"

#include <fmt/format.h>

#include <cmath>

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

namespace incipit {
namespace {

class Builder {
 public:
  explicit Builder(const TinyDecoder& geometry) : g_(geometry), seed_(geometry.seed * 1000) {}

  Graph build() {
    const Dim tokens = Dim::symbol("T");
    const ValueId ids = graph_.add_input("ids", {DType::i32, {tokens}});
    position_ = graph_.add_input("position", {DType::i32, {tokens}});
    const ValueId rows = graph_.add_input("rows", {DType::i32, {Dim::symbol("R")}});
    std::vector<float> frequencies;
    for (int64_t i = 0; i < pairs(); ++i) {
      frequencies.push_back(static_cast<float>(std::pow(100.0, -2.0 * static_cast<double>(i) / g_.head_dim)));
    }
    frequency_ =
        graph_.add_constant("inv_freq", make_constant(Tensor::of({pairs()}, std::span<const float>(frequencies))));
    const ValueId table = weight("embed.weight", {g_.vocabulary, g_.hidden}, 1);
    ValueId x = scaled("embed.multiplier", graph_.add("embed", ops::Embedding{}, {ids, table}), 3);
    if (g_.learned_positions) {
      const ValueId places = weight("embed_positions.weight", {16, g_.hidden}, 1);
      x = add("embed.sum", x, graph_.add("embed_positions", ops::Embedding{}, {position_, places}));
    }
    const ValueId embedded = x;
    for (int64_t layer = 0; layer < g_.layers; ++layer) {
      const std::string module = "layers." + std::to_string(layer);
      const ValueId attended =
          block(module, "1", x, [&](ValueId in) { return attention(module + ".attn", layer, in); });
      const ValueId before_mlp = g_.parallel ? x : add(module + ".attention_residual", x, attended);
      const ValueId passed = block(module, "2", before_mlp, [&](ValueId in) {
        return g_.experts > 0 ? experts(module + ".moe", in) : mlp(module + ".mlp", in);
      });
      x = g_.parallel ? add(module + ".residual", add(module + ".both", passed, attended), x)
                      : add(module + ".mlp_residual", before_mlp, passed);
      if (g_.two_residual_inputs) x = add(module + ".again", x, embedded);
    }
    const ValueId sampled = graph_.add("sampled", ops::GatherRows{}, {x, rows});
    const ValueId last = norm("norm", sampled);
    const ValueId head = g_.tied ? table : weight("head.weight", {g_.vocabulary, g_.hidden}, 1);
    const ValueId logits =
        capped("head.cap", scaled("head.multiplier", graph_.add("head", ops::Linear{}, {last, head}), 0.25F));
    graph_.rename(logits, "logits");
    graph_.set_outputs({logits});
    verify(graph_);
    return std::move(graph_);
  }

 private:
  ValueId weight(const std::string& name, Shape shape, float deviation) {
    return graph_.add_constant(name, make_random_constant(g_.dtype, std::move(shape), ++seed_, deviation));
  }
  int64_t pairs() const { return g_.rotary_pairs < 0 ? g_.head_dim / 2 : g_.rotary_pairs; }
  ValueId norm(const std::string& module, ValueId x) {
    const ValueId gain = weight(module + ".weight", {g_.hidden}, 1);
    if (!g_.layer_norm) return graph_.add(module, ops::RmsNorm{}, {x, gain});
    return graph_.add(module, ops::LayerNorm{}, {x, gain, weight(module + ".bias", {g_.hidden}, 0.5F)});
  }
  /// A part of a layer between its norms.
  template <typename Part>
  ValueId block(const std::string& module, const std::string& number, ValueId x, Part&& part) {
    ValueId y = part(g_.pre_norm ? norm(module + ".norm" + number, x) : x);
    if (g_.post_norm) y = norm(module + ".post_norm" + number, y);
    return scaled(module + ".multiplier" + number, y, 0.375F);
  }
  ValueId scaled(const std::string& name, ValueId x, float factor) {
    ops::Scale op;
    op.factor = factor;
    return g_.multipliers ? graph_.add(name, op, {x}) : x;
  }
  ValueId capped(const std::string& name, ValueId x) {
    ops::SoftCap op;
    op.cap = g_.soft_cap;
    return g_.soft_cap > 0 ? graph_.add(name, op, {x}) : x;
  }
  ValueId linear(const std::string& module, ValueId x, int64_t in, int64_t out, bool bias) {
    const ValueId y = graph_.add(module, ops::Linear{},
                                 {x, weight(module + ".weight", {out, in}, 1 / std::sqrt(static_cast<float>(in)))});
    return bias ? add(module + ".add_bias", y, weight(module + ".bias", {out}, 0.5F)) : y;
  }
  ValueId add(const std::string& name, ValueId x, ValueId y) { return graph_.add(name, ops::Add{}, {x, y}); }
  ValueId head_norm(const std::string& module, ValueId x, int64_t heads) {
    if (g_.query_key_norms == 0) return x;
    ops::RmsNorm op;
    op.groups = g_.query_key_norms == 2 ? heads : 1;
    return graph_.add(module, op, {x, weight(module + ".weight", {heads * g_.head_dim / op.groups}, 1)});
  }
  ValueId rotary(const std::string& name, ValueId x, int64_t heads) {
    if (g_.learned_positions) return x;
    ops::Rotary op;
    op.heads = heads;
    op.head_dim = g_.head_dim;
    return graph_.add(name, op, {x, position_, frequency_});
  }
  ValueId attention(const std::string& module, int64_t layer, ValueId x) {
    const int64_t queries = g_.heads * g_.head_dim, keys = g_.kv_heads * g_.head_dim;
    const ValueId q = linear(module + ".q_proj", x, g_.hidden, queries, g_.query_key_value_bias);
    const ValueId k = linear(module + ".k_proj", x, g_.hidden, keys, g_.query_key_value_bias);
    const ValueId v = linear(module + ".v_proj", x, g_.hidden, keys, g_.query_key_value_bias);
    const ValueId normed_q = scaled(module + ".q_multiplier", head_norm(module + ".q_norm", q, g_.heads), 1.25F);
    const ValueId rotated_q = rotary(module + ".rotary_q", normed_q, g_.heads);
    const ValueId rotated_k = rotary(module + ".rotary_k", head_norm(module + ".k_norm", k, g_.kv_heads), g_.kv_heads);
    ops::KvWrite write;
    write.layer = layer;
    write.kv_heads = g_.kv_heads;
    write.head_dim = g_.head_dim;
    write.window = g_.window;
    const ValueId cache = graph_.add(module + ".kv_write", write, {rotated_k, v, position_});
    ops::Attention op;
    op.layer = layer;
    op.heads = g_.heads;
    op.kv_heads = g_.kv_heads;
    op.head_dim = g_.head_dim;
    op.window = g_.window;
    op.soft_cap = g_.soft_cap;
    op.scale = 1 / std::sqrt(static_cast<float>(g_.head_dim));
    const auto of_heads = [&](const char* name) {
      return g_.slopes_and_sinks ? weight(module + name, {g_.heads}, 0.5F) : none;
    };
    const ValueId attended = graph_.add(module + ".attention", op,
                                        {rotated_q, position_, cache, none, of_heads(".slopes"), of_heads(".sinks")});
    return linear(module + ".o_proj", attended, queries, g_.hidden, g_.other_bias);
  }
  ValueId mlp(const std::string& module, ValueId x) {
    ops::Activate activate;
    activate.kind = g_.activation;
    if (!g_.gated) {
      const ValueId up = linear(module + ".up_proj", x, g_.hidden, g_.feed_forward, g_.other_bias);
      const ValueId activated = graph_.add(module + ".act", activate, {up});
      return linear(module + ".down_proj", activated, g_.feed_forward, g_.hidden, g_.other_bias);
    }
    const ValueId gate = linear(module + ".gate_proj", x, g_.hidden, g_.feed_forward, g_.other_bias);
    const ValueId up = linear(module + ".up_proj", x, g_.hidden, g_.feed_forward, g_.other_bias);
    const ValueId activated = graph_.add(module + ".act", activate, {gate});
    const ValueId gated = graph_.add(module + ".gated", ops::Multiply{}, {activated, up});
    return linear(module + ".down_proj", gated, g_.feed_forward, g_.hidden, g_.other_bias);
  }

  ValueId experts(const std::string& module, ValueId x) {
    const int64_t hidden = g_.hidden, width = g_.feed_forward;
    // Of large logits, so that few choices are close.
    const ValueId logits =
        graph_.add(module + ".gate", ops::Linear{}, {x, weight(module + ".gate.weight", {g_.experts, hidden}, 1)});
    ops::Router router;
    router.top_k = g_.top_k;
    router.normalize = g_.normalize;
    if (g_.shared) router.scores = RoutingScores::sigmoid;
    const ValueId correction = g_.shared ? weight(module + ".correction", {g_.experts}, 0.1F) : none;
    const std::vector<ValueId> chosen = graph_.add_node(module + ".router", router.clone(), {logits, correction});
    ops::ExpertLinear op;
    op.top_k = g_.top_k;
    const auto product = [&](const std::string& name, ValueId in, int64_t inputs, int64_t outputs) {
      const ValueId w = weight(module + "." + name + ".weight", {g_.experts, outputs, inputs},
                               1 / std::sqrt(static_cast<float>(inputs)));
      const bool has_bias = g_.shared && name == "down_proj";
      const ValueId bias = has_bias ? weight(module + "." + name + ".bias", {g_.experts, outputs}, 1) : none;
      return graph_.add(module + "." + name, op, {in, chosen[0], w, bias});
    };
    const ValueId gate = product("gate_proj", x, hidden, width), up = product("up_proj", x, hidden, width);
    ops::Activate activate;
    activate.kind = g_.activation;
    const ValueId gated =
        graph_.add(module + ".gated", ops::Multiply{}, {graph_.add(module + ".act", activate, {gate}), up});
    const ValueId sum =
        graph_.add(module + ".sum", ops::WeightedSum{}, {product("down_proj", gated, width, hidden), chosen[1]});
    if (!g_.shared) return sum;
    ops::Activate sigmoid;
    sigmoid.kind = Activation::sigmoid;
    const ValueId share = graph_.add(module + ".share", sigmoid, {linear(module + ".share_gate", x, hidden, 1, false)});
    return add(module + ".both", sum,
               graph_.add(module + ".shared", ops::WeightedSum{}, {mlp(module + ".mlp", x), share}));
  }

  const TinyDecoder& g_;
  uint64_t seed_;
  Graph graph_;
  ValueId position_ = none, frequency_ = none;
};

}  // namespace

std::string TinyDecoder::text() const {
  return fmt::format(
      "layers {} heads {}/{} biases {}{} tied {} again {} window {} {} {} norms {}{}{} parallel {} q/k norms {} "
      "multipliers {} gated {} positions {} pairs {} cap {} experts {} {} heads {} seed {}",
      layers, heads, kv_heads, query_key_value_bias, other_bias, tied, two_residual_inputs, window, name_of(activation),
      name_of(dtype), pre_norm, post_norm, layer_norm, parallel, query_key_norms, multipliers, gated, learned_positions,
      rotary_pairs, soft_cap, experts, shared, slopes_and_sinks, seed);
}

Graph tiny_decoder(const TinyDecoder& geometry) { return Builder(geometry).build(); }

std::vector<TinyDecoder> tiny_decoders(int count) {
  static constexpr Activation activations[] = {Activation::silu, Activation::gelu_tanh, Activation::gelu_erf,
                                               Activation::relu};
  std::vector<TinyDecoder> geometries;
  for (int i = 0; i < count; ++i) {
    TinyDecoder g;
    g.seed = static_cast<uint64_t>(i + 1);
    g.layers = 1 + i % 3;
    g.kv_heads = i % 3 == 0 ? 4 : i % 3 == 1 ? 2 : 1;
    g.query_key_value_bias = i % 2 == 1;
    g.other_bias = i % 4 >= 2;
    g.tied = i % 5 >= 3;
    g.two_residual_inputs = i % 7 >= 5;
    g.window = i % 4 == 3 ? 3 : 0;
    g.activation = activations[(i / 2) % 4];
    g.dtype = i % 6 == 4 ? DType::bf16 : i % 6 == 5 ? DType::f16 : DType::f32;
    geometries.push_back(g);
  }
  return geometries;
}

std::vector<TinyDecoder> tiny_architectures() {
  TinyDecoder qwen3;
  qwen3.query_key_norms = 2;
  TinyDecoder olmo2;
  olmo2.query_key_norms = 1;
  olmo2.pre_norm = false;
  olmo2.post_norm = true;
  TinyDecoder granite;
  granite.multipliers = true;
  granite.other_bias = true;
  TinyDecoder tied_granite;
  tied_granite.multipliers = tied_granite.tied = true;
  tied_granite.dtype = DType::bf16;
  TinyDecoder gpt2;
  gpt2.layer_norm = gpt2.learned_positions = gpt2.tied = gpt2.query_key_value_bias = gpt2.other_bias = true;
  gpt2.gated = false;
  gpt2.kv_heads = 4;
  gpt2.activation = Activation::gelu_tanh;
  TinyDecoder gpt_neox = gpt2;
  gpt_neox.learned_positions = gpt_neox.tied = false;
  gpt_neox.parallel = true;
  gpt_neox.rotary_pairs = 1;
  gpt_neox.activation = Activation::gelu_erf;
  TinyDecoder gemma2;
  gemma2.post_norm = gemma2.tied = gemma2.multipliers = true;
  gemma2.window = 3;
  gemma2.soft_cap = 4;
  gemma2.activation = Activation::gelu_tanh;
  TinyDecoder gemma3 = gemma2;
  gemma3.query_key_norms = 2;
  gemma3.soft_cap = 0;
  TinyDecoder mixtral;
  mixtral.experts = 4;
  TinyDecoder qwen3_moe = qwen3;
  qwen3_moe.experts = 7;
  qwen3_moe.top_k = 3;
  qwen3_moe.normalize = false;
  qwen3_moe.multipliers = true;
  qwen3_moe.dtype = DType::bf16;
  TinyDecoder qwen2_moe = mixtral;
  qwen2_moe.shared = qwen2_moe.slopes_and_sinks = qwen2_moe.multipliers = true;
  std::vector<TinyDecoder> all{qwen3,  olmo2,  granite, tied_granite, gpt2,     gpt_neox,
                               gemma2, gemma3, mixtral, qwen3_moe,    qwen2_moe};
  for (size_t i = 0; i < all.size(); ++i) all[i].seed = 100 + i;
  return all;
}

std::vector<float> logits_of(const Graph& graph, std::span<const int32_t> ids, std::span<const int32_t> rows,
                             int64_t chunk) {
  const auto tokens = std::ssize(ids);
  if (chunk <= 0) chunk = tokens;
  ReferenceCache cache;
  std::vector<float> logits;
  for (int64_t first = 0; first < tokens; first += chunk) {
    const int64_t count = std::min(chunk, tokens - first);
    std::vector<int32_t> positions, local;
    for (int64_t t = first; t < first + count; ++t) positions.push_back(static_cast<int32_t>(t));
    for (const int32_t row : rows) {
      if (row >= first && row < first + count) local.push_back(static_cast<int32_t>(row - first));
    }
    const Tensor inputs[] = {
        Tensor::of({count}, ids.subspan(static_cast<size_t>(first), static_cast<size_t>(count))),
        Tensor::of({count}, std::span<const int32_t>(positions)),
        Tensor::of({std::ssize(local)}, std::span<const int32_t>(local)),
    };
    const Tensor* const pointers[] = {&inputs[0], &inputs[1], &inputs[2]};
    const std::vector<Tensor> outputs = interpret(graph, pointers, cache);
    const auto made = outputs.at(0).as<float>();
    logits.insert(logits.end(), made.begin(), made.end());
  }
  return logits;
}

}  // namespace incipit
