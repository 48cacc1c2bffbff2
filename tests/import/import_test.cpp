// Checkpoints in every form: dtypes, shards, ties, and what is wrong with them.
#include "import/import.h"
#include "graph/text_form.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <map>
#include <sstream>

#include "base/digest.h"
#include "base/error.h"
#include "base/safetensors.h"
#include "graph/ops/attention.h"
#include "graph/ops/kv_write.h"
#include "import/hf/checkpoint.h"
#include "import/hf/unread.h"
#include "import/usual_remedy.h"
#include "spoilable.h"
#include "support/shared_files.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

namespace fs = std::filesystem;

std::map<std::string, Digest> constants_of(const Model& model) {
  std::map<std::string, Digest> digests;
  for (const ValueId id : model.graph.constants()) {
    digests.emplace(model.graph.value(id).name, model.graph.value(id).constant->digest());
  }
  return digests;
}

TEST(ImportModel, FillsInTheModel) {
  const Model model = import_model(source_directory() / "models/classics-16m");
  EXPECT_EQ(model.architecture, "LlamaForCausalLM");
  EXPECT_EQ(model.vocabulary, 8192);
  EXPECT_EQ(model.hidden, 384);
  EXPECT_EQ(model.layers, 8);
  EXPECT_EQ(model.max_position, 2048);
  EXPECT_THAT(model.end_ids, testing::ElementsAre(1));
  EXPECT_EQ(model.begin_id, 0);
  EXPECT_EQ(model.generation_defaults, R"({"do_sample":true,"temperature":8E-1,"top_p":9.5E-1,"special_tokens":)"
                                       R"({"bos_token":"<|begin|>","eos_token":"<|end|>","pad_token":"<|pad|>"}})");
  EXPECT_FALSE(model.chat_template.empty());
  std::vector<std::string> names;
  for (const SourceFile& source : model.sources) names.push_back(source.name);
  EXPECT_THAT(names, testing::ElementsAre("config.json", "generation_config.json", "tokenizer.json",
                                          "tokenizer_config.json", "chat_template.jinja", "model.safetensors"));
  const std::string config = read_file(model.directory / "config.json");
  EXPECT_EQ(model.sources.front().bytes, static_cast<int64_t>(config.size()));
  EXPECT_EQ(model.sources.front().digest, digest_of(std::as_bytes(std::span(config))).hex());
}

TEST(ImportModel, NamesNodesAfterModulesAndConstantsAfterTensors) {
  const Model model = import_model(fixtures() / "reference/qwen2");
  const std::string text = to_text(model.graph);
  for (const char* part :
       {"model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.bias", "model.layers.1.self_attn.attention",
        "model.layers.1.mlp.down_proj.weight", "model.rotary_emb.inv_freq", "logits"}) {
    EXPECT_THAT(text, testing::HasSubstr(part));
  }
  EXPECT_EQ(model.graph.value(model.graph.outputs().at(0)).type.text(), "f32[R, 259]");
}

TEST(ImportModel, ShardsAreTheSameAsOneFile) {
  const Spoilable model("llama-mha");
  std::map<std::string, Tensor> shards[3];
  std::ostringstream index;
  index << R"({"metadata":{"total_size":1},"weight_map":{)";
  size_t count = 0;
  const SafetensorsFile file = SafetensorsFile::open(model.source() / "model.safetensors");
  for (const std::string& tensor : file.names()) {
    index << (count == 0 ? "" : ",") << '"' << tensor << R"(":"shard-)" << count % 3 << R"(.safetensors")";
    shards[count++ % 3].emplace(tensor, file.load(tensor));
  }
  index << "}}";
  for (size_t i = 0; i < 3; ++i) {
    write_safetensors(model.path() / ("shard-" + std::to_string(i) + ".safetensors"), shards[i]);
  }
  write_file(model.path() / "model.safetensors.index.json", index.str());

  const Model sharded = import_model(model.path());
  const Model whole = import_model(model.source());
  EXPECT_EQ(constants_of(sharded), constants_of(whole));
  EXPECT_EQ(to_text(sharded.graph), to_text(whole.graph));
  EXPECT_EQ(sharded.sources.size(), 2U + 1 + 3);  // configs, index, shards

  write_file(model.path() / "model.safetensors.index.json", R"({"weight_map":{"w":"../shard-0.safetensors"}})");
  EXPECT_THAT(model.error(),
              testing::HasSubstr("weight_map.w is '../shard-0.safetensors'; it must name a file in the"));
  write_file(model.path() / "model.safetensors.index.json", R"({"weight_map":{"w":"shard-0.safetensors"}})");
  EXPECT_EQ(model.error(),
            "MODEL/model.safetensors.index.json: says that w lies in shard-0.safetensors, which has no such tensor; "
            "fetch the model again");
  write_file(model.path() / "model.safetensors.index.json", R"({"weight_map":{"w":"shard-9.safetensors"}})");
  EXPECT_EQ(model.error(), "MODEL/shard-9.safetensors: no such file; check the path");
  write_file(model.path() / "model.safetensors.index.json", "{}");
  EXPECT_EQ(model.error(), "MODEL/model.safetensors.index.json: has no weight_map; fetch the model again");
}

TEST(ImportModel, OlderRotaryOptionsGiveTheSameGraph) {
  const Spoilable model("llama3-rope");
  model.save();
  model.edit("\"rope_parameters\"", R"("rope_theta": 500000.0, "rope_scaling")");
  model.edit("\"rope_theta\": 500000.0,\n    ", "");
  EXPECT_EQ(constants_of(import_model(model.path())), constants_of(import_model(model.source())));
}

TEST(ImportModel, HalfPrecisionWeightsStayAsStored) {
  for (DType dtype : {DType::f16, DType::bf16}) {
    Spoilable model("llama-gqa-tied");
    model.convert(dtype);
    model.save();
    const Model imported = import_model(model.path());
    const ValueId table = imported.graph.find("model.embed_tokens.weight");
    ASSERT_NE(table, none);
    EXPECT_EQ(imported.graph.value(table).constant->dtype(), dtype);
    const SafetensorsFile file = SafetensorsFile::open(model.path() / "model.safetensors");
    EXPECT_EQ(imported.graph.value(table).constant->digest(), constant_of(file, "model.embed_tokens.weight")->digest());
  }
}

TEST(ImportModel, TiedByFlagOrByContents) {
  const auto head_is_table = [](const Model& model) {
    return model.graph.find("lm_head.weight") == none &&
           model.graph.use_count(model.graph.find("model.embed_tokens.weight")) == 2;
  };
  EXPECT_TRUE(head_is_table(import_model(fixtures() / "reference/llama-gqa-tied")));
  EXPECT_FALSE(head_is_table(import_model(fixtures() / "reference/llama-mha")));

  Spoilable model("llama-mha");
  model.tensors["lm_head.weight"] =
      SafetensorsFile::open(model.source() / "model.safetensors").load("model.embed_tokens.weight");
  model.save();
  EXPECT_TRUE(head_is_table(import_model(model.path())));

  model.edit("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true");
  EXPECT_TRUE(head_is_table(import_model(model.path())));
  model.tensors["lm_head.weight"].as<float>()[5] += 1;
  model.save();
  EXPECT_EQ(model.error(),
            "lm_head.weight: differs from model.embed_tokens.weight, but config.json has tie_word_embeddings true; set "
            "tie_word_embeddings to what the model was trained with");
}

TEST(ImportModel, FaultyTensorsAreNamed) {
  Spoilable model("llama-mha");
  model.tensors.erase("lm_head.weight");
  model.save();
  EXPECT_EQ(model.error(),
            "MODEL/model.safetensors: tensor lm_head.weight [259, 64] is missing; the checkpoint does not fit its "
            "config.json, or is incomplete");
  model.tensors["lm_head.weight"] = Tensor(DType::f32, {64, 259});
  model.save();
  EXPECT_EQ(model.error(),
            "MODEL/model.safetensors: tensor lm_head.weight has shape [64, 259], config.json asks for [259, 64]; the "
            "checkpoint does not fit its config.json");
  model.tensors["lm_head.weight"] = Tensor(DType::i8, {259, 64});
  model.save();
  EXPECT_EQ(model.error(),
            "MODEL/model.safetensors: tensor lm_head.weight has element type i8; weights are read in f32, f16 or bf16");
}

TEST(ImportModel, SurplusTensorsAreLeftOut) {
  Spoilable model("llama-mha");
  model.tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = Tensor(DType::f32, {8});
  model.tensors["score.weight"] = Tensor(DType::f32, {2, 64});
  model.save();
  EXPECT_EQ(constants_of(import_model(model.path())), constants_of(import_model(model.source())));
}

TEST(ImportModel, ForeignModelsAreRefusedByName) {
  const Spoilable model("llama-mha");
  model.save();
  const std::string all = "; docs/architectures.md lists what this build reads";
  model.edit("LlamaForCausalLM", "QwenLMHeadModel");
  EXPECT_EQ(
      model.error(),
      "MODEL/config.json: unknown architecture QwenLMHeadModel; near it are Qwen2ForCausalLM, Qwen3ForCausalLM" + all);
  model.edit("QwenLMHeadModel", "BaichuanForCausalLM");
  EXPECT_EQ(model.error(), "MODEL/config.json: unknown architecture BaichuanForCausalLM" + all);
  model.edit("BaichuanForCausalLM", std::string(1000, 'x'));
  EXPECT_EQ(model.error(), "MODEL/config.json: the name in architectures has 1000 characters" + all);
  model.edit(std::string(1000, 'x'), "LlamaForSequenceClassification");
  EXPECT_EQ(model.error(),
            "MODEL/config.json: LlamaForSequenceClassification gives no logits of a next token; export it to ONNX, and "
            "give that file");
  model.edit("LlamaForSequenceClassification", "BambaForCausalLM");
  EXPECT_EQ(model.error(),
            "MODEL/config.json: BambaForCausalLM needs state-space layers (Mamba 2) beside attention, which this build "
            "does not compute yet" +
                all);
  model.edit("BambaForCausalLM", "LlamaForCausalLM");
  model.edit("\"pretraining_tp\"", "\"sliding_window\": 16, \"pretraining_tp\"");
  EXPECT_EQ(model.error(),
            "MODEL/config.json: sliding_window 16 is not supported for this architecture" + usual_remedy);
}

// A name may be that of an architecture in Transformers, or a text part's model_type in a wrapper.
TEST(ImportModel, WhatPublishedModelsLackIsNamed) {
  for (const char* name : {"DeepseekV3ForCausalLM", "Glm4MoeLiteForCausalLM", "Mistral4ForCausalLM", "mistral4"}) {
    EXPECT_EQ(what_is_lacking(name), "latent attention (MLA)") << name;
  }
  for (const char* name : {"Qwen3NextForCausalLM", "Qwen3_5ForConditionalGeneration", "qwen3_5_moe_text"}) {
    EXPECT_THAT(what_is_lacking(name), testing::HasSubstr("linear attention")) << name;
  }
  for (const char* name : {"Gemma3nForCausalLM", "gemma4_text", "Llama4ForConditionalGeneration", "Lfm2ForCausalLM",
                           "Mamba2ForCausalLM", "NemotronHForCausalLM", "GraniteMoeHybridForCausalLM",
                           "FalconH1ForCausalLM", "DeepseekV2ForCausalLM", "GlmMoeDsaForCausalLM"}) {
    EXPECT_NE(what_is_lacking(name), "") << name;
  }
  for (const char* name : {"LlamaForCausalLM", "Qwen3MoeForCausalLM", "gemma3_text", "", "ForCausalLM"}) {
    EXPECT_EQ(what_is_lacking(name), "") << name;
  }
}

TEST(ImportModel, NearNamesAreFewAndTheNearestFirst) {
  const std::vector<std::string_view> known{"Qwen2ForCausalLM",    "Qwen3ForCausalLM", "Qwen3MoeForCausalLM",
                                            "Gemma3ForCausalLM",   "Glm4ForCausalLM",  "Gemma2ForCausalLM",
                                            "Qwen2MoeForCausalLM", "GemmaForCausalLM", "GPT2LMHeadModel"};
  const auto near = [&](std::string_view name) { return nearest_names(name, known); };
  EXPECT_THAT(near("qwen3forcausallm"), testing::ElementsAre("Qwen3ForCausalLM", "Qwen2ForCausalLM"));
  EXPECT_THAT(near("Gemma5ForCausalLM"),
              testing::ElementsAre("Gemma2ForCausalLM", "Gemma3ForCausalLM", "GemmaForCausalLM"));
  EXPECT_THAT(near("GPT2ForCausalLM"), testing::ElementsAre("GPT2LMHeadModel"));
  EXPECT_TRUE(near("XForCausalLM").empty());
  EXPECT_TRUE(near("").empty());
  EXPECT_EQ(nearest_names("Abcde", {"Abcd", "Abce", "Abde", "Acde", "Bcde", "Abcdef"}).size(), 5U);
}

/// The window of each layer's attention.
std::vector<int64_t> windows_of(const Model& model) {
  std::vector<int64_t> windows;
  for (const NodeId n : model.graph.order()) {
    if (const auto* attention = model.graph.op_as<ops::Attention>(n)) windows.push_back(attention->window);
    if (const auto* write = model.graph.op_as<ops::KvWrite>(n)) {
      EXPECT_EQ(write->layer, std::ssize(windows)) << "the attention after it is of the same layer";
    }
  }
  return windows;
}

TEST(ImportModel, WindowsAreThoseThatHold) {
  using testing::ElementsAre;
  const Spoilable model("qwen2");
  model.save();
  const auto windows = [&](int64_t max_context = 0) { return windows_of(import_model(model.path(), {max_context})); };
  model.edit("\"sliding_window\": null", "\"sliding_window\": 24");
  EXPECT_THAT(windows(), ElementsAre(0, 0));  // named, but switched off
  model.edit("\"layer_types\": [\n    \"full_attention\",\n    \"full_attention\"\n  ],", "");
  model.edit("\"use_sliding_window\": false", "\"use_sliding_window\": true");
  EXPECT_THAT(windows(), ElementsAre(0, 0));  // from layer 28 of 2
  model.edit("\"max_window_layers\": 28", "\"max_window_layers\": 1");
  EXPECT_THAT(windows(), ElementsAre(0, 24));
  EXPECT_THAT(windows(25), ElementsAre(0, 24));
  EXPECT_THAT(windows(24), ElementsAre(0, 0));  // holds all there are
  model.edit("\"max_window_layers\"",
             "\"layer_types\": [\"sliding_attention\", \"full_attention\"], \"max_window_layers\"");
  EXPECT_THAT(windows(), ElementsAre(24, 0));
  model.edit("[\"sliding_attention\", ", "[");
  EXPECT_EQ(model.error(), "MODEL/config.json: layer_types has 1 entries for 2 layers" + usual_remedy);
  model.edit("[\"full_attention\"]", "[\"linear_attention\", \"full_attention\"]");
  EXPECT_EQ(model.error(),
            "MODEL/config.json: layer_types has 'linear_attention', which is not supported" + usual_remedy);
}

// As Hugging Face's cache keeps a checkpoint: every file is a link to one that is named by its contents.
TEST(ImportModel, FilesMayBeLinks) {
  const fs::path source = fixtures() / "reference/llama-mha";
  const TemporaryDirectory cache;
  for (const char* folder : {"blobs", "snapshot"}) fs::create_directories(cache / folder);
  for (const char* name : {"config.json", "model.safetensors"}) {
    const std::string blob = "b" + std::string(name).substr(0, 1);
    fs::copy_file(source / name, cache / "blobs" / blob);
    fs::create_symlink(fs::path("../blobs") / blob, cache / "snapshot" / name);
  }
  EXPECT_EQ(to_text(import_model(cache / "snapshot").graph), to_text(import_model(source).graph));
}

TEST(ImportModel, DirectoriesWithoutAModelAreRefused) {
  TemporaryDirectory directory;
  EXPECT_THROW(import_model(directory / "nothing"), Error);
  EXPECT_THROW(import_model(directory.path()), Error);
  fs::copy_file(fixtures() / "reference/llama-mha/config.json", directory / "config.json");
  try {
    import_model(directory.path());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), "holds neither model.safetensors nor model.safetensors.index.json");
  }
}

TEST(ImportGeometry, KnowsTheNamesAndBuildsThem) {
  EXPECT_THAT(geometry_names(),
              testing::ElementsAre("llama-0.5b", "llama-1b", "llama-7b", "llama3-8b", "classics-16m"));
  for (const std::string& name : geometry_names()) {
    const Model model = import_geometry(name, 1);
    EXPECT_GT(model.graph.order().size(), static_cast<size_t>(model.layers) * 10) << name;
    EXPECT_EQ(model.graph.find("lm_head.weight") == none, name == "llama-1b" || name == "classics-16m") << name;
  }
  EXPECT_THROW(import_geometry("llama-9b", 1), Error);
}

TEST(ImportGeometry, ShapesAreThoseOfTheModelAndWeightsDependOnTheSeed) {
  const auto shapes = [](const Model& model) {
    std::map<std::string, Shape> found;
    for (const ValueId id : model.graph.constants()) {
      found.emplace(model.graph.value(id).name, model.graph.value(id).constant->shape());
    }
    return found;
  };
  const Model random = import_geometry("classics-16m", 7);
  EXPECT_EQ(shapes(random), shapes(import_model(source_directory() / "models/classics-16m")));
  EXPECT_EQ(constants_of(random), constants_of(import_geometry("classics-16m", 7)));
  EXPECT_NE(constants_of(random), constants_of(import_geometry("classics-16m", 8)));
}

}  // namespace
}  // namespace incipit
