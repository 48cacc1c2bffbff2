// Configs of architectures in the forms of their published files, against the same ones in Transformers 5's form. The
// weights are random: what counts is that both make one graph.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/text_form.h"
#include "import/hf/architectures.h"
#include "import/hf/wrappers.h"
#include "support/message_of.h"

namespace incipit {
namespace {

using testing::HasSubstr;

/// A small config; `members` come last, and so win.
HfConfig config_of(std::string_view architecture, const std::string& members) {
  return HfConfig::parse("config.json", R"({"architectures":[")" + std::string(architecture) + R"("],"vocab_size":96,
    "hidden_size":64,"num_hidden_layers":4,"num_attention_heads":4,"num_key_value_heads":2,"intermediate_size":80,
    "max_position_embeddings":512,"rms_norm_eps":1e-6,"layer_norm_eps":1e-5)" +
                                            (members.empty() ? "" : "," + members) + "}");
}

std::string graph_of(const HfConfig& config, bool tied = false) {
  RandomTensors weights(1, tied);
  Model model;
  find_architecture(config).build(config, {}, weights, model);
  return to_text(model.graph);
}

struct Forms {
  std::string_view architecture;
  const char *newer, *published;
  bool tied = false;
};

void PrintTo(const Forms& forms, std::ostream* out) { *out << forms.architecture; }

class PublishedForms : public testing::TestWithParam<Forms> {};
TEST_P(PublishedForms, MakeOneGraph) {
  const auto& [architecture, newer, published, tied] = GetParam();
  EXPECT_EQ(graph_of(config_of(architecture, published), tied), graph_of(config_of(architecture, newer), tied));
}

constexpr const char* plain_rope_parameters = R"("rope_parameters":{"rope_type":"default","rope_theta":10000.0})";
constexpr const char* hybrid_layers =
    R"("layer_types":["sliding_attention","sliding_attention","sliding_attention","full_attention"],"sliding_window":24,
    "rope_parameters":{"rope_type":"default","rope_theta":10000.0})";
constexpr const char* partial_rope_parameters =
    R"("head_dim":16,"partial_rotary_factor":0.5,"norm_eps":1e-5,"rope_parameters":{"rope_type":"default","rope_theta":10000.0,
    "partial_rotary_factor":0.5})";

INSTANTIATE_TEST_SUITE_P(
    Architectures, PublishedForms,
    testing::Values(
        Forms{"ApertusForCausalLM",
              R"("rope_parameters":{"rope_type":"llama3","rope_theta":12000000,"factor":8.0,"low_freq_factor":1.0,
              "high_freq_factor":4.0,"original_max_position_embeddings":64})",
              R"("hidden_act":"xielu","qk_norm":true,"post_norm":false,"rope_theta":12000000,"rope_scaling":{
              "factor":8.0,"high_freq_factor":4.0,"low_freq_factor":1.0,"original_max_position_embeddings":64,
              "rope_type":"llama3","type":"llama3"})"},
        Forms{"ArceeForCausalLM",
              R"("hidden_act":"relu2","rope_parameters":{"rope_type":"yarn","factor":20.0,"rope_theta":10000.0,
              "original_max_position_embeddings":32,"beta_fast":32.0,"beta_slow":1.0,"mscale":1.0})",
              R"("hidden_act":"relu2","rope_theta":10000.0,"rope_scaling":{"beta_fast":32.0,"beta_slow":1.0,
              "factor":20.0,"mscale":1.0,"original_max_position_embeddings":32,"rope_type":"yarn"})"},
        Forms{"CohereForCausalLM", plain_rope_parameters,
              R"("logit_scale":0.0625,"model_type":"cohere","use_qk_norm":false,"rope_theta":10000.0)", true},
        Forms{"Cohere2ForCausalLM", hybrid_layers,
              R"("logit_scale":0.0625,"layer_switch":4,"order_of_interleaved_layers":"local_attn_first",
              "position_embedding_type":"rope_gptj","rope_scaling":null,"rope_theta":10000,"rotary_pct":1.0,
              "sliding_window":24,"sliding_window_pattern":4,"use_embedding_sharing":true,"use_gated_activation":true,
              "use_parallel_block":true,"use_parallel_embedding":false)",
              true},
        Forms{"Ernie4_5ForCausalLM", R"("rope_parameters":{"rope_type":"default","rope_theta":500000.0})",
              R"("rope_theta":500000.0,"rope_scaling":null,"use_bias":false,"tie_word_embeddings":true)", true},
        Forms{"Exaone4ForCausalLM", hybrid_layers,
              R"("sliding_window":24,"sliding_window_pattern":"LLLG","rope_theta":10000,"layer_types":[
              "sliding_attention","sliding_attention","sliding_attention","full_attention"])"},
        Forms{"Exaone4ForCausalLM", hybrid_layers,
              R"("sliding_window":24,"sliding_window_pattern":4,"rope_theta":10000)"},
        Forms{"Exaone4ForCausalLM", plain_rope_parameters,
              R"("sliding_window":null,"sliding_window_pattern":null,"rope_theta":10000,"layer_types":["full_attention",
              "full_attention","full_attention","full_attention"])"},
        Forms{"GemmaForCausalLM",
              R"("head_dim":16,"hidden_act":"gelu_pytorch_tanh","rope_parameters":{"rope_type":"default",
              "rope_theta":10000.0})",
              R"("head_dim":16,"hidden_act":"gelu","hidden_activation":null,"rope_theta":10000.0,"rope_scaling":null)",
              true},
        Forms{"GlmForCausalLM", partial_rope_parameters,
              R"("head_dim":16,"partial_rotary_factor":0.5,"rope_theta":10000.0)"},
        Forms{"Glm4ForCausalLM", partial_rope_parameters,
              R"("head_dim":16,"partial_rotary_factor":0.5,"rope_theta":10000.0)"},
        Forms{"HunYuanDenseV1ForCausalLM",
              R"("rope_parameters":{"rope_type":"dynamic","alpha":1000.0,"factor":1.0,"rope_theta":10000.0})",
              R"("use_qk_norm":true,"use_cla":false,"cla_share_factor":2,"rope_theta":10000.0,"rope_scaling":{
              "alpha":1000.0,"beta_fast":32,"beta_slow":1,"factor":1.0,"mscale":1.0,"mscale_all_dim":1.0,
              "type":"dynamic"})"},
        Forms{"Ministral3ForCausalLM",
              R"("rope_parameters":{"rope_type":"yarn","factor":16.0,"llama_4_scaling_beta":0.1,"rope_theta":1000000.0,
              "original_max_position_embeddings":32,"mscale":1.0,"mscale_all_dim":1.0})",
              R"("rope_parameters":{"beta_fast":32.0,"beta_slow":1.0,"factor":16.0,"llama_4_scaling_beta":0.1,
              "mscale":1.0,"mscale_all_dim":1.0,"original_max_position_embeddings":32,"rope_theta":1000000.0,
              "rope_type":"yarn","type":"yarn"},"sliding_window":null)"},
        Forms{"NemotronForCausalLM", partial_rope_parameters,
              R"("norm_eps":1e-5,"head_dim":16,"kv_channels":16,"hidden_act":"relu2","partial_rotary_factor":0.5,
              "rope_theta":10000)"},
        Forms{"Olmo3ForCausalLM",
              R"("sliding_window":24,"layer_types":["sliding_attention","sliding_attention","sliding_attention",
              "full_attention"],"rope_parameters":{"sliding_attention":{"rope_type":"default","rope_theta":500000.0},
              "full_attention":{"rope_type":"yarn","rope_theta":500000.0,"factor":8.0,"attention_factor":1.2079441,
              "original_max_position_embeddings":64}})",
              R"("sliding_window":24,"rope_theta":500000,"rope_scaling":{"attention_factor":1.2079441,"beta_fast":32,
              "beta_slow":1,"factor":8.0,"original_max_position_embeddings":64,"rope_type":"yarn"})"},
        Forms{"PhiForCausalLM", partial_rope_parameters,
              R"("partial_rotary_factor":0.5,"rope_theta":10000.0,"rope_scaling":null,"qk_layernorm":false,
              "hidden_act":"gelu_new")"},
        Forms{"SmolLM3ForCausalLM",
              R"("no_rope_layers":[1,1,1,0],"rope_parameters":{"rope_type":"default","rope_theta":5000000.0})",
              R"("no_rope_layer_interval":4,"rope_theta":5000000.0,"rope_scaling":null,"use_sliding_window":false,
              "sliding_window":null)",
              true},
        Forms{"StableLmForCausalLM", partial_rope_parameters,
              R"("partial_rotary_factor":0.5,"rope_theta":10000,"rope_scaling":null,"qk_layernorm":false)"},
        Forms{"Starcoder2ForCausalLM",
              R"("norm_epsilon":1e-5,"sliding_window":24,"rope_parameters":{"rope_type":"default",
              "rope_theta":100000.0})",
              R"("norm_epsilon":1e-5,"sliding_window":24,"rope_theta":100000,"mlp_type":"default",
              "norm_type":"layer_norm","use_bias":true,"hidden_act":"gelu_pytorch_tanh")",
              true}));

/// A wrapper's, as first published.
class WrappedTensors : public RandomTensors {
 public:
  explicit WrappedTensors(bool tied) : RandomTensors(1, tied), tied_(tied) {}
  bool contains(std::string_view tensor) const override {
    return tensor.starts_with("language_model.") && !(tied_ && tensor == "language_model.lm_head.weight");
  }

 private:
  bool tied_;
};

/// Of the text part.
std::string graph_of_wrapper(const HfConfig& wrapper, bool tied) {
  WrappedTensors weights(tied);
  const TextTensors text(weights);
  return graph_of(read_text_config(wrapper, text), tied);
}

HfConfig wrapper_of(const std::string& members) { return HfConfig::parse("config.json", "{" + members + "}"); }

TEST(PublishedWrappers, GemmasLeaveOutWhatIsUsual) {
  const std::string sizes = R"("model_type":"gemma3_text","hidden_size":64,"intermediate_size":80,
    "num_hidden_layers":6,"rope_scaling":{"factor":8.0,"rope_type":"linear"},"sliding_window":1024)";
  const HfConfig published = wrapper_of(R"("architectures":["Gemma3ForConditionalGeneration"],"eos_token_id":[1,106],
    "text_config":{)" + sizes + R"(},"vision_config":{"model_type":"siglip_vision_model"})");
  const HfConfig alone = config_of("Gemma3ForCausalLM", sizes + R"(,"vocab_size":262208,"num_attention_heads":8,
    "num_key_value_heads":4,"head_dim":256,"max_position_embeddings":131072)");
  EXPECT_EQ(graph_of_wrapper(published, true), graph_of(alone, true));
  RandomTensors weights(1, true);
  EXPECT_THAT(read_text_config(published, TextTensors(weights)).end_ids(262208), testing::ElementsAre(1, 106));
}

TEST(PublishedWrappers, HeadsAreTiedAsTheWrapperSays) {
  const auto wrapper = [](const std::string& outer, const std::string& inner) {
    return wrapper_of(R"("architectures":["Mistral3ForConditionalGeneration"],"text_config":{"model_type":"mistral",
      "vocab_size":96,"hidden_size":64,"num_hidden_layers":1,"num_attention_heads":4,"intermediate_size":80,
      "max_position_embeddings":512,"rms_norm_eps":1e-5,"sliding_window":null)" +
                      inner + "}" + outer);
  };
  const std::string tied = R"(,"tie_word_embeddings":true)", untied = R"(,"tie_word_embeddings":false)";
  const auto has_head = [&](const std::string& outer, const std::string& inner, bool is_stored) {
    return graph_of_wrapper(wrapper(outer, inner), !is_stored).find("lm_head.weight") != std::string::npos;
  };
  EXPECT_TRUE(has_head("", "", true));
  EXPECT_TRUE(has_head(untied, "", true));
  EXPECT_FALSE(has_head(tied, "", false));
  EXPECT_FALSE(has_head("", tied, false));
  EXPECT_FALSE(has_head(tied, untied, false));
  EXPECT_TRUE(has_head(tied, untied, true));
}

TEST(PublishedWrappers, WhatIsNotSupportedIsNamed) {
  const auto error = [](const std::string& members) {
    return message_of([&] {
      graph_of_wrapper(wrapper_of(R"("architectures":["Mistral3ForConditionalGeneration"],)" + members), false);
    });
  };
  EXPECT_THAT(
      error(R"("text_config":{"model_type":"qwen9"})"),
      HasSubstr("text_config.model_type 'qwen9' is not supported; this build reads text models of gemma3_text"));
  EXPECT_THAT(error(R"("text_config":{"model_type":"mistral4"})"),
              HasSubstr("text_config.model_type 'mistral4' needs latent attention (MLA), which this build does not"));
}

TEST(PublishedOptions, WhatIsNotSupportedIsNamed) {
  const auto error = [](std::string_view architecture, const std::string& members) {
    return message_of([&] { graph_of(config_of(architecture, members)); });
  };
  EXPECT_THAT(error("ApertusForCausalLM", R"("hidden_act":"silu")"), HasSubstr("hidden_act 'silu'"));
  EXPECT_THAT(error("ApertusForCausalLM", R"("post_norm":true)"), HasSubstr("post_norm"));
  EXPECT_THAT(error("GemmaForCausalLM", R"("hidden_act":"silu")"), HasSubstr("hidden_act 'silu'"));
  EXPECT_THAT(error("CohereForCausalLM", R"("sliding_window":24)"), HasSubstr("sliding_window"));
  EXPECT_THAT(error("CohereForCausalLM", R"("use_parallel_block":false)"), HasSubstr("use_parallel_block"));
  EXPECT_THAT(error("Cohere2ForCausalLM", R"("use_qk_norm":true)"), HasSubstr("use_qk_norm"));
  EXPECT_THAT(error("HunYuanDenseV1ForCausalLM", R"("use_cla":true)"), HasSubstr("use_cla"));
  EXPECT_THAT(error("LlamaForCausalLM", R"("logit_scale":0.5)"), HasSubstr("logit_scale"));
  EXPECT_THAT(error("LlamaForCausalLM", R"("rope_parameters":{"rope_type":"default","llama_4_scaling_beta":0.1})"),
              HasSubstr("llama_4_scaling_beta"));
  EXPECT_THAT(error("PhiForCausalLM", R"("qk_layernorm":true)"), HasSubstr("qk_layernorm"));
  EXPECT_THAT(error("SmolLM3ForCausalLM", R"("no_rope_layers":[1,0])"), HasSubstr("no_rope_layers has 2 entries"));
}

/// Tensors in the forms that some checkpoints have.
class OtherForms : public RandomTensors {
 public:
  OtherForms(std::vector<std::string_view> absent) : RandomTensors(1, false), absent_(std::move(absent)) {}
  bool contains(std::string_view tensor) const override {
    return std::ranges::none_of(absent_, [&](std::string_view ending) { return tensor.ends_with(ending); });
  }
  ConstantPtr take(const std::string& tensor, const Shape& shape) override {
    taken.push_back(tensor);
    return RandomTensors::take(tensor, shape);
  }
  std::vector<std::string> taken;

 private:
  std::vector<std::string_view> absent_;
};

TEST(PublishedTensorForms, ProjectionsMayBeMerged) {
  OtherForms weights({".q_proj.weight", ".gate_proj.weight"});
  Model model;
  const HfConfig config = config_of("LlamaForCausalLM", "");
  find_architecture(config).build(config, {}, weights, model);
  EXPECT_THAT(weights.taken, testing::IsSupersetOf({"model.layers.0.self_attn.qkv_proj.weight",
                                                    "model.layers.0.mlp.gate_up_proj.weight"}));
}

TEST(PublishedTensorForms, LargerStableLmsHaveAGainForEachHead) {
  OtherForms weights({"_layernorm.weight"});
  Model model;
  const HfConfig config = config_of("StableLmForCausalLM", R"("qk_layernorm":true,"use_parallel_residual":true)");
  find_architecture(config).build(config, {}, weights, model);
  EXPECT_THAT(weights.taken, testing::IsSupersetOf({"model.layers.0.self_attn.q_layernorm.norms.3.weight",
                                                    "model.layers.0.self_attn.k_layernorm.norms.1.weight"}));
  EXPECT_THAT(weights.taken, testing::Not(testing::Contains(HasSubstr("post_attention_layernorm"))));
  EXPECT_THAT(to_text(model.graph), HasSubstr("groups = 4"));
}

}  // namespace
}  // namespace incipit
