// As published_test.cpp, of models that are not in every checkout: mixtures of experts, and the old families.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/text_form.h"
#include "import/usual_remedy.h"
#include "spoilable.h"

namespace incipit {
namespace {

#define SKIP_WITHOUT_NEWER(name_)                            \
  if (!std::filesystem::exists(reference_checkpoint(name_))) \
  INCIPIT_SKIP_WITHOUT_SHARED(std::filesystem::path("reference-2026") / (name_))

class PublishedMixture : public testing::TestWithParam<PublishedForm> {};
TEST_P(PublishedMixture, ConfigGivesTheSameGraph) {
  SKIP_WITHOUT_NEWER(GetParam().model);
  expect_same_graph(GetParam());
}

INSTANTIATE_TEST_SUITE_P(
    Architectures, PublishedMixture,
    testing::Values(
        PublishedForm{"gpt-oss",
                      {"rope_parameters", "layer_types"},
                      R"("rope_theta":150000,"rope_scaling":{"beta_fast":32.0,"beta_slow":1.0,"factor":32.0,
                      "original_max_position_embeddings":16,"rope_type":"yarn","truncate":false},"swiglu_limit":7.0,
                      "initial_context_length":16,"experts_per_token":2)"},
        PublishedForm{"olmoe", {"rope_parameters", "attention_bias"}, R"("rope_theta":10000.0,"rope_scaling":null)"},
        PublishedForm{"granite-moe", {"rope_parameters"}, R"("rope_theta":10000,"rope_scaling":null)"},
        PublishedForm{"qwen2-moe",
                      {"rope_parameters", "layer_types", "qkv_bias", "mlp_only_layers"},
                      R"("rope_theta":10000.0,"sliding_window":131072)"},
        PublishedForm{"glm4-moe", {"rope_parameters"}, R"("rope_theta":10000,"rope_scaling":null)"},
        PublishedForm{"ernie4.5-moe", {"rope_parameters", "moe_layer_interval"}, R"("rope_theta":500000.0)"},
        PublishedForm{"hunyuan-moe",
                      {"rope_parameters"},
                      R"("rope_theta":10000.0,"moe_topk":[2,2,2,2],"num_shared_expert":[1,1,1,1],"use_qk_norm":true,
                      "moe_intermediate_size":[176,176,176,176],"use_cla":false)"},
        PublishedForm{"phimoe", {"rope_parameters", "router_jitter_noise"}, R"("rope_theta":10000.0)"},
        PublishedForm{"dots1",
                      {"rope_parameters", "layer_types", "n_group", "topk_group"},
                      R"("rope_theta":10000,"scoring_func":"noaux_tc","sliding_window":null)"},
        PublishedForm{"minimax-m2",
                      {"rope_parameters"},
                      R"("rope_theta":10000,"scoring_func":"sigmoid","use_qk_norm":true,"use_routing_bias":true)"},
        PublishedForm{"falcon",
                      {"rope_parameters", "ffn_hidden_size", "activation", "num_ln_in_parallel_attn", "parallel_attn"},
                      R"("rope_theta":10000.0)"},
        PublishedForm{"falcon-7b", {"rope_parameters", "num_kv_heads", "tie_word_embeddings"}, R"("alibi":false)"},
        PublishedForm{"gptj", {"tie_word_embeddings", "n_inner"}, R"("rotary":true)"},
        PublishedForm{"opt", {"layer_norm_elementwise_affine", "enable_bias", "tie_word_embeddings"}, ""},
        PublishedForm{"bloom",
                      {"n_head", "hidden_size"},
                      R"("num_attention_heads":4,"n_embed":64,"pretraining_tp":4,"offset_alibi":100)"}));

TEST(PublishedOldTensors, BloomWithoutItsModulePrefix) {
  SKIP_WITHOUT_NEWER("bloom");
  Spoilable model("bloom");
  model.replace_prefix("transformer.", "");
  model.save();
  std::string expected = graph_text(model.source());
  for (size_t place; (place = expected.find("transformer.")) != std::string::npos;) expected.erase(place, 12);
  EXPECT_EQ(graph_text(model.path()), expected);
}

/// As OPT-350M is: norms behind attention and MLP, and an embedding narrower than the layers.
TEST(PublishedOldTensors, OptMayProjectItsEmbedding) {
  SKIP_WITHOUT_NEWER("opt");
  Spoilable model("opt");
  const std::string decoder = "model.decoder.";
  model.tensors.erase(decoder + "final_layer_norm.weight");
  model.tensors.erase(decoder + "final_layer_norm.bias");
  model.tensors.insert_or_assign(decoder + "embed_tokens.weight", Tensor(DType::f32, {259, 32}));
  model.tensors.emplace(decoder + "project_in.weight", Tensor(DType::f32, {64, 32}));
  model.tensors.emplace(decoder + "project_out.weight", Tensor(DType::f32, {32, 64}));
  model.save();
  change_config(model, {}, R"("do_layer_norm_before":false,"word_embed_proj_dim":32)");
  const std::string text = graph_text(model.path());
  EXPECT_THAT(text, testing::HasSubstr("LayerNorm(model.decoder.layers.0.attention_residual"));
  EXPECT_THAT(text, testing::HasSubstr("Linear(model.decoder.project_out, model.decoder.embed_tokens.weight)"));
}

/// As Falcon-RW is: slopes, as many keys as queries, attention and MLP one after the other. The slopes are those of
/// ALiBi's authors for six heads, divided by √head_dim.
TEST(PublishedOldTensors, FalconMayHaveSlopes) {
  SKIP_WITHOUT_NEWER("falcon-7b");
  Spoilable model("falcon-7b");
  for (int layer = 0; layer < 4; ++layer) {
    const std::string module = "transformer.h." + std::to_string(layer);
    model.tensors.insert_or_assign(module + ".self_attention.query_key_value.weight", Tensor(DType::f32, {288, 64}));
    model.tensors.insert_or_assign(module + ".self_attention.dense.weight", Tensor(DType::f32, {64, 96}));
    for (const char* part : {"weight", "bias"}) {
      model.tensors.emplace(module + ".post_attention_layernorm." + part, Tensor(DType::f32, {64}));
    }
  }
  model.save();
  change_config(model, {},
                R"("alibi":true,"multi_query":false,"parallel_attn":false,"num_attention_heads":6,"head_dim":16)");
  const Model falcon = import_model(model.path());
  const ConstantPtr slopes = falcon.graph.value(falcon.graph.find("alibi.slopes")).constant;
  std::vector<float> values(6);
  slopes->read_floats(0, 6, values.data());
  EXPECT_THAT(values, testing::ElementsAre(0.0625F, 0.015625F, 0.00390625F, 0.0009765625F, 0.125F, 0.03125F));
  EXPECT_THAT(to_text(falcon.graph), testing::HasSubstr("LayerNorm(transformer.h.0.attention_residual"));
}

TEST(PublishedMixtures, PhiMoeMayScaleItsRotation) {
  SKIP_WITHOUT_NEWER("phimoe");
  const Spoilable model("phimoe");
  model.save();
  change_config(model, {"rope_parameters"},
                R"("rope_theta":10000.0,"rope_scaling":{"type":"longrope","short_mscale":1.5,
                "long_mscale":1.25,"original_max_position_embeddings":128,"short_factor":[1,1,1,1,1,1,1,1],
                "long_factor":[1,1,1,1,2,2,2,2]})");
  EXPECT_THAT(graph_text(model.path()), testing::HasSubstr("factor = 1.25"));
  EXPECT_THAT(graph_text(model.path(), {128}), testing::HasSubstr("factor = 1.5"));
}

TEST(PublishedMixtures, RoutersHaveGroupsAndFactors) {
  SKIP_WITHOUT_NEWER("glm4-moe");
  const Spoilable model("glm4-moe");
  model.save();
  change_config(model, {"norm_topk_prob"},
                R"("norm_topk_prob":false,"n_group":4,"topk_group":2,"routed_scaling_factor":2.5)");
  EXPECT_THAT(graph_text(model.path()),
              testing::HasSubstr(R"(scores = "sigmoid", floor = 1e-20, scale = 2.5, groups = 4, top_groups = 2)"));
}

TEST(PublishedMixtures, WhatIsNotSupportedIsNamed) {
  SKIP_WITHOUT_NEWER("gpt-oss");
  EXPECT_EQ(error_with("gpt-oss", {}, R"("swiglu_limit":5)"),
            "MODEL/config.json: swiglu_limit 5 is not supported; only 7 is");
  EXPECT_EQ(error_with("olmoe", {}, R"("clip_qkv":8)"),
            "MODEL/config.json: clip_qkv 8 is not supported" + usual_remedy);
  EXPECT_EQ(error_with("glm4-moe", {}, R"("scoring_func":"softmax")"),
            "MODEL/config.json: scoring_func \"softmax\" is not supported; only 'sigmoid' is");
  EXPECT_EQ(error_with("dots1", {}, R"("n_group":3)"),
            "MODEL/config.json: n_group 3 and topk_group 1 do not fit 8 experts" + usual_remedy);
  EXPECT_EQ(error_with("hunyuan-moe", {}, R"("moe_topk":[1,2,1,1])"),
            "MODEL/config.json: moe_topk is [1,2,1,1]; it must be the same positive number for all layers");
  EXPECT_EQ(error_with("hunyuan-moe", {}, R"("use_cla":true)"),
            "MODEL/config.json: use_cla is not supported" + usual_remedy);
  EXPECT_EQ(error_with("falcon", {}, R"("num_kv_heads":3)"),
            "MODEL/config.json: num_attention_heads 4 is not a multiple of num_kv_heads 3" + usual_remedy);
  EXPECT_EQ(error_with("bloom", {}, R"("slow_but_exact":true,"pretraining_tp":2)"),
            "MODEL/config.json: pretraining_tp 2 is not supported; only 1 is");
}

}  // namespace
}  // namespace incipit
