// Configs and tensors in the forms that published checkpoints have, against the same models in Transformers 5's form.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/log.h"
#include "import/usual_remedy.h"
#include "spoilable.h"

namespace incipit {
namespace {

class Published : public testing::TestWithParam<PublishedForm> {};
TEST_P(Published, ConfigGivesTheSameGraph) { expect_same_graph(GetParam()); }

INSTANTIATE_TEST_SUITE_P(
    Architectures, Published,
    testing::Values(
        PublishedForm{"llama-mha",
                      {"rope_parameters", "num_key_value_heads", "head_dim", "attention_bias", "mlp_bias"},
                      R"("rope_theta":10000.0,"rope_scaling":null)"},
        PublishedForm{"llama3-rope",
                      {"rope_parameters"},
                      R"("rope_theta":500000.0,"rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,
                      "high_freq_factor":4.0,"original_max_position_embeddings":64})"},
        PublishedForm{"mistral-window", {"rope_parameters", "head_dim"}, R"("rope_theta":10000.0)"},
        PublishedForm{"qwen2", {"rope_parameters", "layer_types"}, R"("rope_theta":1000000.0,"sliding_window":131072)"},
        PublishedForm{"qwen3",
                      {"rope_parameters", "layer_types"},
                      R"("rope_theta":1000000,"rope_scaling":null,"max_window_layers":36)"},
        PublishedForm{
            "phi3-longrope",
            {"rope_parameters"},
            R"("rope_theta":10000.0,"rope_scaling":{"type":"longrope","short_factor":[1,1.05,1.1,1.15,1.2,1.25,
                      1.3,1.35],"long_factor":[1,1.7,2.4,3.1,3.8,4.5,5.2,5.9]},"attention_bias":false)"},
        PublishedForm{
            "phi3-longrope",
            {"rope_parameters"},
            R"("rope_theta":10000.0,"partial_rotary_factor":1.0,"rope_scaling":{"type":"su","short_factor":[1,1.05,
                      1.1,1.15,1.2,1.25,1.3,1.35],"long_factor":[1,1.7,2.4,3.1,3.8,4.5,5.2,5.9]})"},
        PublishedForm{"olmo2", {"rope_parameters"}, R"("rope_theta":10000.0,"rope_scaling":null)"},
        PublishedForm{"granite", {"rope_parameters"}, R"("rope_theta":10000.0,"rope_scaling":null)"},
        PublishedForm{
            "gpt2", {"n_inner", "tie_word_embeddings", "add_cross_attention", "scale_attn_weights"}, R"("n_ctx":512)"},
        PublishedForm{
            "gpt-neox", {"rope_parameters", "attention_bias"}, R"("rotary_pct":0.25,"rotary_emb_base":10000)"},
        PublishedForm{"gemma2",
                      {"rope_parameters", "layer_types", "tie_word_embeddings", "attn_logit_softcapping",
                       "final_logit_softcapping", "use_bidirectional_attention"},
                      R"("rope_theta":10000.0,"hidden_act":"gelu_pytorch_tanh","cache_implementation":"hybrid")"},
        PublishedForm{
            "gemma3",
            {"rope_parameters", "layer_types", "tie_word_embeddings", "_sliding_window_pattern"},
            R"("rope_theta":1000000,"rope_scaling":null,"rope_local_base_freq":10000,"sliding_window_pattern":6)"},
        PublishedForm{"mixtral", {"rope_parameters", "head_dim"}, R"("rope_theta":10000.0)"},
        PublishedForm{"qwen3-moe",
                      {"rope_parameters", "num_local_experts", "mlp_only_layers", "decoder_sparse_step"},
                      R"("rope_theta":1000000.0,"rope_scaling":null,"num_experts":8,"max_window_layers":48)"}));

TEST(PublishedTensors, Gpt2WithoutItsModulePrefixAndWithMasks) {
  Spoilable model("gpt2");
  model.replace_prefix("transformer.", "");
  model.tensors.emplace("h.0.attn.bias", Tensor(DType::f32, {1, 1, 4, 4}));
  model.save();
  std::string expected = graph_text(model.source());
  for (size_t place; (place = expected.find("transformer.")) != std::string::npos;) expected.erase(place, 12);
  EXPECT_EQ(graph_text(model.path()), expected);
}

TEST(PublishedTensors, WrappersHaveTheirTextUnderEitherPrefix) {
  Spoilable model("mistral3-wrapper-tiny");
  model.replace_prefix("language_model.model.", "model.language_model.");
  model.replace_prefix("language_model.lm_head.", "lm_head.");
  model.replace_prefix("vision_tower.", "model.vision_tower.");
  model.save();
  EXPECT_EQ(graph_text(model.path()), graph_text(model.source()));
}

TEST(PublishedTensors, WrappersSayWhatTheyLeaveOut) {
  configure_logging("warn");
  testing::internal::CaptureStderr();
  import_model(Spoilable("mistral3-wrapper-tiny").source());
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              testing::HasSubstr("left out are multi_modal_projector (1 tensor), vision_tower (1 tensor)"));
}

/// [experts, …] of the tensors MODULE.N.NAME.weight of all names, which go.
Tensor stack(Spoilable& model, const std::string& module, const std::vector<const char*>& names, int64_t experts) {
  std::vector<float> values;
  Shape shape;
  for (int64_t expert = 0; expert < experts; ++expert) {
    for (const char* name : names) {
      const auto found = model.tensors.find(module + "." + std::to_string(expert) + "." + name + ".weight");
      const auto part = found->second.as<float>();
      values.insert(values.end(), part.begin(), part.end());
      shape = found->second.shape();
      model.tensors.erase(found);
    }
  }
  return Tensor::of({experts, shape[0] * std::ssize(names), shape[1]}, std::span<const float>(values));
}

TEST(PublishedTensors, StackedExpertsAreTheSame) {
  struct Case {
    const char *model, *module;
    std::vector<const char*> gate_up, down;
    int64_t experts;
  };
  for (const Case& one : {Case{"mixtral", ".block_sparse_moe.experts", {"w1", "w3"}, {"w2"}, 4},
                          Case{"qwen3-moe", ".mlp.experts", {"gate_proj", "up_proj"}, {"down_proj"}, 8}}) {
    Spoilable model(one.model);
    for (const char* layer : {"model.layers.0", "model.layers.1"}) {
      const std::string module = std::string(layer) + one.module;
      model.tensors.emplace(module + ".gate_up_proj", stack(model, module, one.gate_up, one.experts));
      model.tensors.emplace(module + ".down_proj", stack(model, module, one.down, one.experts));
    }
    model.save();
    EXPECT_EQ(graph_text(model.path()), graph_text(model.source()));
  }
}

TEST(PublishedTensors, ExpertsOfMixedElementTypesAreReadAsFloats) {
  Spoilable model("mixtral");
  Tensor& tensor = model.tensors.at("model.layers.0.block_sparse_moe.experts.1.w3.weight");
  Tensor half(DType::bf16, tensor.shape());
  convert_from_float(tensor.as<float>().data(), DType::bf16, half.data(), tensor.as<float>().size());
  tensor = std::move(half);
  model.save();
  EXPECT_EQ(model.error(), "accepted");
}

TEST(PublishedTensors, WhatIsMissingIsNamed) {
  struct Case {
    const char *model, *tensor, *shape;
  };
  for (const Case& one :
       {Case{"mistral-window", "model.layers.1.self_attn.k_proj.weight", "32, 64"},
        Case{"qwen3", "model.layers.0.self_attn.q_norm.weight", "32"},
        Case{"phi3-longrope", "model.layers.1.self_attn.qkv_proj.weight", "128, 64"},
        Case{"phi3-longrope", "model.layers.1.mlp.gate_up_proj.weight", "352, 64"},
        Case{"olmo2", "model.layers.1.self_attn.k_norm.weight", "32"}, Case{"granite", "lm_head.weight", "259, 64"},
        Case{"gpt2", "transformer.wpe.weight", "512, 64"},
        Case{"gpt2", "transformer.h.1.attn.c_attn.weight", "64, 192"},
        Case{"gpt-neox", "gpt_neox.layers.0.attention.query_key_value.bias", "192"},
        Case{"gpt-neox", "embed_out.weight", "259, 64"},
        Case{"gemma2", "model.layers.0.pre_feedforward_layernorm.weight", "64"},
        Case{"gemma3", "model.layers.5.self_attn.q_norm.weight", "16"},
        Case{"mixtral", "model.layers.1.block_sparse_moe.experts.3.w2.weight", "64, 176"},
        Case{"mixtral", "model.layers.1.block_sparse_moe.gate.weight", "4, 64"},
        Case{"qwen3-moe", "model.layers.1.mlp.experts.7.gate_proj.weight", "48, 64"}}) {
    Spoilable model(one.model);
    ASSERT_EQ(model.tensors.erase(one.tensor), 1U) << one.tensor;
    model.save();
    EXPECT_EQ(model.error(), "MODEL/model.safetensors: tensor " + std::string(one.tensor) + " [" + one.shape +
                                 "] is missing; the checkpoint does not fit its config.json, or is incomplete");
  }
}

TEST(PublishedConfigs, WhatIsNotSupportedIsNamed) {
  EXPECT_EQ(error_with("granite", {}, R"("logits_scaling":0)"),
            "MODEL/config.json: logits_scaling is 0; it must lie in [1e-6, 1e6]");
  EXPECT_EQ(error_with("olmo2", {}, R"("residual_multiplier":0.5)"),
            "MODEL/config.json: residual_multiplier 5E-1 is not supported for this architecture" + usual_remedy);
  EXPECT_EQ(error_with("gpt2", {"add_cross_attention"}, R"("add_cross_attention":true)"),
            "MODEL/config.json: add_cross_attention is not supported" + usual_remedy);
  EXPECT_EQ(error_with("gemma3", {}, R"("use_bidirectional_attention":true)"),
            "MODEL/config.json: use_bidirectional_attention is not supported" + usual_remedy);
  EXPECT_EQ(error_with("gemma2", {}, R"("attn_logit_softcapping":-1)"),
            "MODEL/config.json: attn_logit_softcapping is -1; it must lie in [1e-6, 1e6]");
  EXPECT_EQ(error_with("gemma2", {}, R"("query_pre_attn_scalar":0)"),
            "MODEL/config.json: query_pre_attn_scalar is 0; it must lie in [1e-6, 1e6]");
  EXPECT_EQ(error_with("mixtral", {}, R"("hidden_act":"relu")"),
            "MODEL/config.json: hidden_act 'relu' is not supported for experts" + usual_remedy);
  EXPECT_EQ(error_with("mixtral", {}, R"("num_experts_per_tok":5)"),
            "MODEL/config.json: num_experts_per_tok is 5; it must be an integer in [1, 4]");
  EXPECT_EQ(error_with("mixtral", {"num_local_experts"}, ""),
            "MODEL/config.json: num_local_experts is missing; give an integer in [1, 4096]");
  EXPECT_EQ(error_with("gpt-neox", {}, R"("head_dim":8)"),
            "MODEL/config.json: query, key and value are not as wide as hidden_size; GPT-NeoX has heads of one kind");
  EXPECT_EQ(error_with("mistral-window", {}, R"("sliding_window":0)"),
            "MODEL/config.json: sliding_window is 0; it must be an integer in [1, 9223372036854775807]");
}

TEST(PublishedConfigs, LongropeAndDynamicFollowTheEnginesContext) {
  const Spoilable model("phi3-longrope");
  EXPECT_EQ(graph_text(model.source(), {17}), graph_text(model.source()));
  EXPECT_NE(graph_text(model.source(), {16}), graph_text(model.source()));

  const Spoilable dynamic("llama-mha");
  dynamic.save();
  change_config(dynamic, {}, R"("rope_scaling":{"type":"dynamic","factor":4.0})");
  EXPECT_EQ(graph_text(dynamic.path()), graph_text(dynamic.source()));
  EXPECT_EQ(import_model(dynamic.path()).max_position, 512);
  EXPECT_THROW(import_model(dynamic.path(), {513}), Error);
}

TEST(PublishedConfigs, PhiTurnsAPartOfItsHeads) {
  const Spoilable model("phi3-longrope");
  model.save();
  change_config(model, {"rope_parameters"}, R"("rope_theta":10000.0,"partial_rotary_factor":0.75)");
  const Model phi = import_model(model.path());
  const ValueId frequencies = phi.graph.find("model.rotary_emb.inv_freq");
  EXPECT_EQ(phi.graph.value(frequencies).type.text(), "f32[6]");  // 12 of 16 dims
}

TEST(PublishedConfigs, Gpt2MayScaleItsScoresByLayer) {
  const Spoilable model("gpt2");
  model.save();
  change_config(model, {"scale_attn_by_inverse_layer_idx"}, R"("scale_attn_by_inverse_layer_idx":true)");
  EXPECT_THAT(graph_text(model.path()),
              testing::AllOf(testing::HasSubstr("scale = 0.25"), testing::HasSubstr("0.125")));
  change_config(model, {"scale_attn_weights"}, R"("scale_attn_weights":false)");
  EXPECT_THAT(graph_text(model.path()), testing::HasSubstr("scale = 0.5"));
}

TEST(PublishedConfigs, QwenMoeLayersMayBeDense) {
  Spoilable model("qwen3-moe");
  for (const auto& [name, shape] :
       std::map<std::string, Shape>{{"gate_proj", {176, 64}}, {"up_proj", {176, 64}}, {"down_proj", {64, 176}}}) {
    for (const char* layer : {"0", "1"}) {
      model.tensors.emplace("model.layers." + std::string(layer) + ".mlp." + name + ".weight",
                            Tensor(DType::f32, shape));
    }
  }
  model.save();
  const auto sparse_layers = [&] {
    std::string found;
    const std::string text = graph_text(model.path());
    for (const char* layer : {"0", "1"}) {
      if (text.find("model.layers." + std::string(layer) + ".mlp.router") != std::string::npos) found += layer;
    }
    return found;
  };
  EXPECT_EQ(sparse_layers(), "01");
  change_config(model, {}, R"("mlp_only_layers":[1])");
  EXPECT_EQ(sparse_layers(), "0");
  change_config(model, {}, R"("mlp_only_layers":[],"decoder_sparse_step":2)");
  EXPECT_EQ(sparse_layers(), "1");
}

}  // namespace
}  // namespace incipit
