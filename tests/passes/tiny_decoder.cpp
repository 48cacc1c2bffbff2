#include "tiny_decoder.h"

#include <fmt/format.h>

#include <cmath>

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

class Builder {
 public:
  explicit Builder(const TinyDecoder& geometry) : g_(geometry), seed_(geometry.seed * 1000) {}

  Graph build() {
    const Dim tokens = Dim::symbol("T");
    const ValueId ids = graph_.add_input("ids", {DType::i32, {tokens}});
    position_ = graph_.add_input("position", {DType::i32, {tokens}});
    const ValueId rows = graph_.add_input("rows", {DType::i32, {Dim::symbol("R")}});
    std::vector<float> frequencies;
    for (int64_t i = 0; i < g_.head_dim / 2; ++i) {
      frequencies.push_back(static_cast<float>(std::pow(100.0, -2.0 * static_cast<double>(i) / g_.head_dim)));
    }
    frequency_ = graph_.add_constant("inv_freq",
                                     make_constant(Tensor::of({g_.head_dim / 2}, std::span<const float>(frequencies))));
    const ValueId table = weight("embed.weight", {g_.vocabulary, g_.hidden}, 1);
    ValueId x = graph_.add("embed", ops::Embedding{}, {ids, table});
    const ValueId embedded = x;
    for (int64_t layer = 0; layer < g_.layers; ++layer) {
      const std::string module = "layers." + std::to_string(layer);
      x = add(module + ".attention_residual", x, attention(module + ".attn", layer, norm(module + ".norm1", x)));
      x = add(module + ".mlp_residual", x, mlp(module + ".mlp", norm(module + ".norm2", x)));
      if (g_.two_residual_inputs) x = add(module + ".again", x, embedded);
    }
    const ValueId sampled = graph_.add("sampled", ops::GatherRows{}, {x, rows});
    const ValueId last = norm("norm", sampled);
    const ValueId head = g_.tied ? table : weight("head.weight", {g_.vocabulary, g_.hidden}, 1);
    const ValueId logits = graph_.add("head", ops::Linear{}, {last, head});
    graph_.rename(logits, "logits");
    graph_.set_outputs({logits});
    verify(graph_);
    return std::move(graph_);
  }

 private:
  ValueId weight(const std::string& name, Shape shape, float deviation) {
    return graph_.add_constant(name, make_random_constant(g_.dtype, std::move(shape), ++seed_, deviation));
  }
  ValueId norm(const std::string& module, ValueId x) {
    return graph_.add(module, ops::RmsNorm{}, {x, weight(module + ".weight", {g_.hidden}, 1)});
  }
  ValueId linear(const std::string& module, ValueId x, int64_t in, int64_t out, bool bias) {
    const ValueId y = graph_.add(module, ops::Linear{},
                                 {x, weight(module + ".weight", {out, in}, 1 / std::sqrt(static_cast<float>(in)))});
    return bias ? add(module + ".add_bias", y, weight(module + ".bias", {out}, 0.5F)) : y;
  }
  ValueId add(const std::string& name, ValueId x, ValueId y) { return graph_.add(name, ops::Add{}, {x, y}); }
  ValueId rotary(const std::string& name, ValueId x, int64_t heads) {
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
    const ValueId rotated_q = rotary(module + ".rotary_q", q, g_.heads);
    const ValueId rotated_k = rotary(module + ".rotary_k", k, g_.kv_heads);
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
    op.scale = 1 / std::sqrt(static_cast<float>(g_.head_dim));
    const ValueId attended = graph_.add(module + ".attention", op, {rotated_q, position_, cache});
    return linear(module + ".o_proj", attended, queries, g_.hidden, g_.other_bias);
  }
  ValueId mlp(const std::string& module, ValueId x) {
    const ValueId gate = linear(module + ".gate_proj", x, g_.hidden, g_.feed_forward, g_.other_bias);
    const ValueId up = linear(module + ".up_proj", x, g_.hidden, g_.feed_forward, g_.other_bias);
    ops::Activate activate;
    activate.kind = g_.activation;
    const ValueId activated = graph_.add(module + ".act", activate, {gate});
    const ValueId gated = graph_.add(module + ".gated", ops::Multiply{}, {activated, up});
    return linear(module + ".down_proj", gated, g_.feed_forward, g_.hidden, g_.other_bias);
  }

  const TinyDecoder& g_;
  uint64_t seed_;
  Graph graph_;
  ValueId position_ = none, frequency_ = none;
};

}  // namespace

std::string TinyDecoder::text() const {
  return fmt::format("layers {} heads {}/{} biases {}{} tied {} again {} window {} {} {} seed {}", layers, heads,
                     kv_heads, query_key_value_bias, other_bias, tied, two_residual_inputs, window, activation,
                     name_of(dtype), seed);
}

Graph tiny_decoder(const TinyDecoder& geometry) { return Builder(geometry).build(); }

std::vector<TinyDecoder> tiny_decoders(int count) {
  static const char* const activations[] = {"silu", "gelu_tanh", "gelu_erf", "relu"};
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
