// Products with a format of their own (--keep), and what the head takes by itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>

#include "base/error.h"
#include "graph/graph.h"
#include "graph/ops/attention.h"
#include "graph/ops/linear.h"
#include "graph/ops/quantized_linear.h"
#include "graph/ops/rms_norm.h"
#include "graph/text_form.h"
#include "passes/pass.h"

namespace incipit {
namespace {

constexpr const char* three_products = R"(graph (x: f32[T, 8]) -> (logits)
const model.layers.0.up.weight : f32[8, 8] = random(1, 1)
const model.layers.1.up.weight : f32[8, 8] = random(2, 1)
const model.table.weight : f32[12, 8] = random(3, 1)
model.layers.0.up : f32[T, 8] = Linear(x, model.layers.0.up.weight) {activation = "silu"}
model.layers.1.up : f32[T, 8] = Linear(model.layers.0.up, model.layers.1.up.weight) {activation = "silu"}
lm_head : f32[T, 12] = Linear(model.layers.1.up, model.table.weight)
logits : f32[T, 12] = SoftCap(lm_head) {cap = 30}
)";

constexpr const char* attention_and_head = R"(graph (ids: i32[T], position: i32[T]) -> (logits)
const table : f32[9, 4] = random(1, 1)
const norm.weight : f32[4] = {1, 2, 3, 4}
const k_norm.weight : f32[2] = {1, 2}
const kv.weight : f32[4, 4] = random(2, 1)
const q.weight : f32[2, 4] = random(3, 1)
const o.weight : f32[4, 2] = random(4, 1)
x : f32[T, 4] = Embedding(ids, table)
norm : f32[T, 4] = RmsNorm(x, norm.weight)
kv : f32[T, 4] = Linear(norm, kv.weight)
k : f32[T, 2] = SliceColumns(kv) {count = 2}
v : f32[T, 2] = SliceColumns(kv) {first = 2, count = 2}
k_norm : f32[T, 2] = RmsNorm(k, k_norm.weight)
kv_write : cache = KvWrite(k_norm, v, position) {kv_heads = 1, head_dim = 2}
q : f32[T, 2] = Linear(norm, q.weight)
attention : f32[T, 2] = Attention(q, position, kv_write) {heads = 1, kv_heads = 1, head_dim = 2}
o : f32[T, 4] = Linear(attention, o.weight, _, x)
logits : f32[T, 9] = Linear(o, table)
)";

/// By the beginning of the product's result: how its weight is kept.
std::map<std::string, std::string> formats_of(const std::string& precision, const std::vector<KeptFormat>& kept,
                                              const char* text = three_products) {
  Graph graph = parse_graph(text);
  PassOptions options;
  options.precision = precision;
  options.kept = kept;
  run_passes(graph, options);
  std::map<std::string, std::string> formats;
  for (const NodeId n : graph.order()) {
    const std::string& name = graph.node(n).name;
    if (const auto* coded = graph.op_as<ops::QuantizedLinear>(n)) formats[name] = coded->format;
    if (graph.op_as<ops::Linear>(n)) {
      formats[name] = name_of(graph.value(graph.node(n).inputs[1]).constant->dtype());
    }
  }
  return formats;
}

using testing::ElementsAre;
using testing::Pair;

constexpr const char* first = "model.layers.0.up";
constexpr const char* second = "model.layers.1.up";

TEST(KeptFormats, TheHeadIsHigherInFourBits) {
  EXPECT_THAT(formats_of("int4", {}),
              ElementsAre(Pair("lm_head", "int8"), Pair(first, "i4:i8:1x64:bf16"), Pair(second, "i4:i8:1x64:bf16")));
  EXPECT_THAT(formats_of("int8", {}), ElementsAre(Pair("lm_head", "int8"), Pair(first, "int8"), Pair(second, "int8")));
}

TEST(KeptFormats, WhatMakesQueriesKeysAndValuesIsHigherInFourBits) {
  EXPECT_THAT(formats_of("int4", {}, attention_and_head),
              ElementsAre(Pair("kv", "int8"), Pair("logits", "int8"), Pair("o", "i4:i8:1x64:bf16"), Pair("q", "int8")));
  EXPECT_THAT(formats_of("int4", {{"*", "int4"}}, attention_and_head).at("kv"), "i4:i8:1x64:bf16");
}

TEST(KeptFormats, NormsKeepTheirGainsInFourBits) {
  for (const auto& [precision, folds] :
       {std::pair<const char*, bool>{"int8", true}, {"int4", false}, {"int4-zero", false}}) {
    Graph graph = parse_graph(attention_and_head);
    PassOptions options;
    options.precision = precision;
    run_passes(graph, options);
    int norms_with_gain = 0;
    for (const NodeId n : graph.order()) {
      if (graph.op_as<ops::RmsNorm>(n) && graph.node(n).inputs.size() > 1 && graph.node(n).inputs[1] != none) {
        ++norms_with_gain;
      }
    }
    EXPECT_EQ(norms_with_gain, folds ? 1 : 2) << precision;  // that of the keys stays
  }
}

TEST(KeptFormats, HoldForNamesBehindADotAndTheLastThatFits) {
  EXPECT_THAT(formats_of("int4", {{"layers.0.*", "bf16"}}),
              ElementsAre(Pair("lm_head", "int8"), Pair(first, "bf16"), Pair(second, "i4:i8:1x64:bf16")));
  EXPECT_THAT(
      formats_of("int8", {{"*", "int4-zero-g32"}, {"layers.1.up", "f32"}}),
      ElementsAre(Pair("lm_head", "u4:i8:1x32:bf16:u8"), Pair(first, "u4:i8:1x32:bf16:u8"), Pair(second, "f32")));
  EXPECT_THAT(formats_of("bf16", {{"lm_head", "int8"}, {"model.*.1.*", "int4"}}),
              ElementsAre(Pair("lm_head", "int8"), Pair(first, "bf16"), Pair(second, "i4:i8:1x64:bf16")));
  EXPECT_THAT(formats_of("int4", {{"table", "int4-g128"}}),
              ElementsAre(Pair("lm_head", "i4:i8:1x128:bf16"), Pair(first, "i4:i8:1x64:bf16"),
                          Pair(second, "i4:i8:1x64:bf16")));
}

TEST(Quantize, CachesHaveThePrecisionsDtypeOrTheirOwn) {
  const auto cache_of = [](const std::string& precision, std::optional<DType> asked) {
    Graph graph = parse_graph(attention_and_head);
    PassOptions options;
    options.precision = precision;
    options.cache = asked;
    run_passes(graph, options);
    for (const NodeId n : graph.order()) {
      if (const auto* attention = graph.op_as<ops::Attention>(n)) return attention->cache;  // its KvWrite's, or invalid
    }
    return DType::boolean;
  };
  EXPECT_EQ(cache_of("f32", {}), DType::f32);
  EXPECT_EQ(cache_of("fp16", {}), DType::f16);
  EXPECT_EQ(cache_of("int4", {}), DType::bf16);
  for (const char* precision : {"f32", "bf16", "int8"}) {
    for (const DType asked : {DType::i8, DType::bf16, DType::f32}) EXPECT_EQ(cache_of(precision, asked), asked);
  }
}

TEST(Quantize, RefusesADtypeOfCachesThatAreNone) {
  Graph graph = parse_graph(three_products);
  PassOptions options;
  options.cache = DType::i8;
  try {
    run_passes(graph, options);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.thing(), "--kv-cache");
  }
}

TEST(KeptFormats, ANameThatNoProductHasIsRefused) {
  for (const char* pattern : {"layers.2.*", "ayers.0.*", "layers.0", "up.weight"}) {
    try {
      formats_of("int4", {{"lm_head", "bf16"}, {pattern, "bf16"}});
      ADD_FAILURE() << pattern;
    } catch (const Error& error) {
      EXPECT_EQ(error.thing(), std::string("--keep '") + pattern + "=bf16'");
      EXPECT_THAT(error.remedy(), testing::HasSubstr("model.layers.0.up, model.layers.1.up, model.table"));
    }
  }
  EXPECT_THROW(formats_of("int4", {{"*", "int3"}}), Error);
}

}  // namespace
}  // namespace incipit
