#include "import/hf/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "base/log.h"
#include "import/hf/decoder_geometry.h"
#include "import/usual_remedy.h"
#include "support/temporary_directory.h"
#include "write_bytes.h"

namespace incipit {
namespace {

/// A small valid Llama config; `changes` are members that come last, and so win.
HfConfig config_with(const std::string& changes) {
  std::string text = R"({"architectures":["LlamaForCausalLM"],"vocab_size":100,"hidden_size":64,
    "num_hidden_layers":2,"num_attention_heads":4,"intermediate_size":176,"max_position_embeddings":512,
    "rms_norm_eps":1e-6)";
  if (!changes.empty()) text += "," + changes;
  return HfConfig::parse("config.json", text + "}");
}

std::string error_of(const std::string& changes) {
  try {
    const HfConfig config = config_with(changes);
    read_rope(config, rope_context(read_decoder_geometry(config, {})));
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(DecoderGeometry, ReadsSizesAndFillsInDefaults) {
  const DecoderGeometry plain = read_decoder_geometry(config_with(""), {});
  EXPECT_EQ(plain.vocabulary, 100);
  EXPECT_EQ(plain.hidden, 64);
  EXPECT_EQ(plain.layers, 2);
  EXPECT_EQ(plain.heads, 4);
  EXPECT_EQ(plain.kv_heads, 4);
  EXPECT_EQ(plain.head_dim, 16);
  EXPECT_EQ(plain.feed_forward, 176);
  EXPECT_EQ(plain.max_position, 512);
  EXPECT_FLOAT_EQ(plain.norm_epsilon, 1e-6F);
  EXPECT_EQ(plain.activation, Activation::silu);
  EXPECT_EQ(plain.max_context, 512);
  EXPECT_FALSE(plain.tied);
  const DecoderGeometry other =
      read_decoder_geometry(config_with(R"("num_key_value_heads":2,"head_dim":32,"hidden_act":"gelu_pytorch_tanh",
                     "tie_word_embeddings":true,"quantization_config":null,"pretraining_tp":1)"),
                            {});
  EXPECT_EQ(other.kv_heads, 2);
  EXPECT_EQ(other.query_width(), 128);
  EXPECT_EQ(other.kv_width(), 64);
  EXPECT_EQ(other.activation, Activation::gelu_tanh);
  EXPECT_TRUE(other.tied);
}

TEST(DecoderGeometry, SizesOutOfRangeAreNamed) {
  EXPECT_EQ(error_of(R"("num_attention_heads":0)"),
            "config.json: num_attention_heads is 0; it must be an integer in [1, 16384]");
  EXPECT_EQ(error_of(R"("hidden_size":-64)"), "config.json: hidden_size is -64; it must be an integer in [1, 1048576]");
  EXPECT_EQ(error_of(R"("vocab_size":9223372036854775807)"),
            "config.json: vocab_size is 9223372036854775807; it must be an integer in [1, 16777216]");
  EXPECT_EQ(error_of(R"("vocab_size":18446744073709551615)"),
            "config.json: vocab_size is 18446744073709551615; it must be an integer in [1, 16777216]");
  EXPECT_EQ(error_of(R"("num_hidden_layers":1e9)"),
            "config.json: num_hidden_layers is 1E9; it must be an integer in [1, 1024]");
  EXPECT_EQ(error_of(R"("intermediate_size":"176")"),
            "config.json: intermediate_size is \"176\"; it must be an integer in [1, 1048576]");
  EXPECT_EQ(error_of(R"("max_position_embeddings":null)"),
            "config.json: max_position_embeddings is missing; give an integer in [1, 268435456]");
  EXPECT_EQ(error_of(R"("rms_norm_eps":-1)"), "config.json: rms_norm_eps is -1; it must lie in [0, 1]");
  EXPECT_EQ(error_of(R"("rms_norm_eps":[])"), "config.json: rms_norm_eps is []; it must be a number");
  EXPECT_EQ(error_of(R"("tie_word_embeddings":1)"), "config.json: tie_word_embeddings is 1; it must be true or false");
}

TEST(DecoderGeometry, SizesThatDoNotFitOneAnotherAreNamed) {
  EXPECT_EQ(error_of(R"("num_key_value_heads":3)"),
            "config.json: num_attention_heads 4 is not a multiple of num_key_value_heads 3" + usual_remedy);
  EXPECT_EQ(error_of(R"("num_attention_heads":5)"),
            "config.json: hidden_size 64 is not a multiple of num_attention_heads 5; give head_dim");
  EXPECT_EQ(error_of(R"("head_dim":15)"), "config.json: head_dim is 15; it must be even and at most 256");
  EXPECT_EQ(error_of(R"("hidden_size":2048)"), "config.json: head_dim is 512; it must be even and at most 256");
}

TEST(DecoderGeometry, UnsupportedOptionsAreNamed) {
  EXPECT_EQ(error_of(R"("pretraining_tp":2)"), "config.json: pretraining_tp 2 is not supported; only 1 is");
  EXPECT_EQ(error_of(R"("hidden_act":"mish")"),
            "config.json: hidden_act 'mish' is not supported; this build computes silu, gelu, gelu_new, "
            "gelu_fast, gelu_pytorch_tanh, relu and relu2");
  EXPECT_EQ(error_of(R"("hidden_act":null)"), "config.json: hidden_act is null; take it from the publisher's file");
  EXPECT_EQ(error_of(R"("layer_types":["full_attention","sliding_attention"])"),
            "config.json: layer_types has 'sliding_attention', which is not supported" + usual_remedy);
  EXPECT_EQ(error_of(R"("final_logit_softcapping":30.0)"),
            "config.json: final_logit_softcapping 3E1 is not supported for this architecture" + usual_remedy);
  EXPECT_EQ(error_of(R"("sliding_window":511)"),
            "config.json: sliding_window 511 is not supported for this architecture" + usual_remedy);
  EXPECT_EQ(error_of(R"("num_experts":8)"),
            "config.json: num_experts 8 is not supported for this architecture" + usual_remedy);
  EXPECT_EQ(error_of(R"("add_cross_attention":true)"),
            "config.json: add_cross_attention is not supported" + usual_remedy);
  EXPECT_EQ(error_of(R"("rope_parameters":{"rope_type":"proportional"})"),
            "config.json: rope_parameters.rope_type 'proportional' is not supported; this build reads default, linear, "
            "dynamic, llama3, yarn and longrope");
  EXPECT_EQ(error_of(R"("rope_parameters":{"chunked_attention":{"rope_type":"default"},
                                           "full_attention":{"rope_type":"linear","factor":2}})"),
            "config.json: rope_parameters.chunked_attention: rotary parameters by layer type are not supported for "
            "this architecture" +
                usual_remedy);
  EXPECT_EQ(error_of(R"("partial_rotary_factor":0.5)"),
            "config.json: partial_rotary_factor is 5E-1; this architecture is supported with 1 only");
  EXPECT_EQ(error_of(R"("rope_scaling":{"type":"linear"})"),
            "config.json: rope_scaling.factor is missing; give a number");
  EXPECT_EQ(error_of(R"("rope_theta":0)"), "config.json: rope_theta is 0; it must lie in [0.001, 1e12]");
  EXPECT_EQ(error_of(R"("rope_scaling":[1])"), "config.json: rope_scaling is [1]; it must be an object");
}

TEST(DecoderGeometry, NeutralOptionsOfOtherArchitecturesPass) {
  for (const char* neutral :
       {R"("num_experts":0,"num_local_experts":0)", R"("final_logit_softcapping":0.0)", R"("residual_multiplier":1.0)",
        R"("embedding_multiplier":1,"logits_scaling":1)", R"("sliding_window":512)", R"("sliding_window":4096)",
        R"("sliding_window":0)", R"("sliding_window":16,"use_sliding_window":false)"}) {
    EXPECT_EQ(error_of(neutral), "accepted") << neutral;
  }
}

TEST(HfConfig, ArchitecturesMustNameOne) {
  EXPECT_EQ(config_with("").architecture(), "LlamaForCausalLM");
  EXPECT_THROW(config_with(R"("architectures":null)").architecture(), Error);
  EXPECT_THROW(config_with(R"("architectures":[])").architecture(), Error);
  EXPECT_THROW(config_with(R"("architectures":["A","B"])").architecture(), Error);
  EXPECT_THROW(config_with(R"("architectures":[1])").architecture(), Error);
}

TEST(HfConfig, EndIdsAreANumberOrAListAndGenerationWins) {
  const auto ids = [](std::string_view config, std::string_view generation) {
    return HfConfig::parse("config.json", config, generation).end_ids(1000);
  };
  EXPECT_THAT(ids(R"({"eos_token_id":7})", "{}"), testing::ElementsAre(7));
  EXPECT_THAT(ids(R"({"eos_token_id":[7,8]})", "{}"), testing::ElementsAre(7, 8));
  EXPECT_THAT(ids(R"({"eos_token_id":7})", R"({"eos_token_id":[9,10]})"), testing::ElementsAre(9, 10));
  EXPECT_THAT(ids(R"({"eos_token_id":7})", R"({"eos_token_id":null})"), testing::ElementsAre(7));
  EXPECT_THAT(ids("{}", "{}"), testing::IsEmpty());
  EXPECT_THAT(ids(R"({"eos_token_id":[7,-1,1000]})", "{}"), testing::ElementsAre(7));
  EXPECT_THROW(ids(R"({"eos_token_id":"</s>"})", "{}"), Error);
  EXPECT_EQ(HfConfig::parse("config.json", R"({"bos_token_id":1})").begin_id(10), 1);
  EXPECT_EQ(HfConfig::parse("config.json", R"({"bos_token_id":null})").begin_id(10), -1);
}

TEST(HfConfig, GenerationDefaultsKeepTheSamplingOptions) {
  const HfConfig config = HfConfig::parse(
      "config.json", "{}", R"({"do_sample":true,"temperature":0.5,"top_k":40,"eos_token_id":1,"top_p":null})");
  EXPECT_EQ(config.generation_defaults(), R"({"do_sample":true,"temperature":5E-1,"top_k":40})");
  EXPECT_EQ(HfConfig::parse("config.json", "{}").generation_defaults(), "{}");
  for (const char* wrong : {R"("top_k":"all")", R"("top_p":[1])", R"("do_sample":1)"}) {
    const std::string generation = "{" + std::string(wrong) + "}";
    EXPECT_THROW(HfConfig::parse("config.json", "{}", generation).generation_defaults(), Error) << wrong;
  }
}

TEST(HfConfig, OddGenerationDefaultsAreTakenAsTheyAreMeantOrWarnedOf) {
  configure_logging("warn");
  struct Case {
    const char *given, *taken;
    bool is_warned_of;
  };
  for (const Case& one : {Case{R"("top_k":-1)", R"({"top_k":0})", true},
                          {R"("top_k":50.0)", R"({"top_k":50})", true},
                          {R"("top_k":50.5)", "{}", true},
                          {R"("top_k":1e30)", R"({"top_k":0})", true},
                          {R"("top_k":4294967296)", R"({"top_k":0})", true},
                          {R"("top_k":0)", R"({"top_k":0})", false},
                          {R"("top_p":0)", R"({"top_k":1})", false},
                          {R"("top_k":40,"top_p":0.0)", R"({"top_k":1})", false},
                          {R"("top_p":1.5)", "{}", false},
                          {R"("top_p":-0.5)", "{}", true},
                          {R"("min_p":2)", "{}", true},
                          {R"("repetition_penalty":0)", "{}", true},
                          {R"("repetition_penalty":-1.5)", "{}", true},
                          {R"("temperature":-1)", "{}", true},
                          {R"("temperature":0)", R"({"temperature":0})", true}}) {
    const HfConfig config = HfConfig::parse("config.json", "{}", "{" + std::string(one.given) + "}");
    testing::internal::CaptureStderr();
    EXPECT_EQ(config.generation_defaults(), one.taken) << one.given;
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_EQ(said.find("generation_config.json: ") != std::string::npos, one.is_warned_of) << one.given << said;
  }
}

TEST(HfConfig, ChatTemplateFileWinsOverTokenizerConfig) {
  TemporaryDirectory directory;
  write_bytes(directory / "config.json", "{}");
  EXPECT_EQ(HfConfig::read(directory.path()).chat_template(), "");
  write_bytes(directory / "tokenizer_config.json", R"({"chat_template":"from tokenizer"})");
  EXPECT_EQ(HfConfig::read(directory.path()).chat_template(), "from tokenizer");
  write_bytes(directory / "tokenizer_config.json",
              R"({"chat_template":[{"name":"tool_use","template":"a"},{"name":"default","template":"b"}]})");
  EXPECT_EQ(HfConfig::read(directory.path()).chat_template(), "b");
  write_bytes(directory / "tokenizer_config.json", R"({"chat_template":3})");
  EXPECT_THROW(HfConfig::read(directory.path()), Error);
  write_bytes(directory / "chat_template.jinja", "from file");
  EXPECT_EQ(HfConfig::read(directory.path()).chat_template(), "from file");
}

TEST(HfConfig, FilesThatAreNoJsonObjectAreNamed) {
  TemporaryDirectory directory;
  EXPECT_THROW(HfConfig::read(directory.path()), Error);
  write_bytes(directory / "config.json", "{\n\"a\": ,}");
  try {
    HfConfig::read(directory.path());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.thing(), (directory / "config.json").string());
    EXPECT_THAT(error.fault(), testing::HasSubstr("in line 2"));
  }
  write_bytes(directory / "config.json", "[]");
  EXPECT_THROW(HfConfig::read(directory.path()), Error);
  write_bytes(directory / "config.json", "{}");
  write_bytes(directory / "generation_config.json", "3");
  EXPECT_THROW(HfConfig::read(directory.path()), Error);
}

}  // namespace
}  // namespace incipit
