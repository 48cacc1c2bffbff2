// Two doors, one house: a model from its ONNX export becomes what it becomes from its checkpoint.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <ostream>
#include <string>

#include "graph/text_form.h"
#include "import/import.h"
#include "import/onnx/import_onnx.h"
#include "one_house.h"
#include "passes/pass.h"
#include "support/sanitized.h"

namespace incipit {
namespace {

struct Export {
  std::string model, file;
};
void PrintTo(const Export& exported, std::ostream* out) { *out << exported.model << "/" << exported.file; }

class Doors : public ::testing::TestWithParam<Export> {};

TEST_P(Doors, LeadToOneHouse) {
  const auto& [model, file] = GetParam();
  const std::filesystem::path exported = find_reference(model + "/" + file), checkpoint = find_reference(model);
  if (exported.empty() || checkpoint.empty()) {
    GTEST_SKIP() << model << "/" << file << ": neither in tests/fixtures/reference nor in ../shared/reference";
  }
  Graph by_onnx = import_onnx_graph(onnx::read_model(exported));
  Graph by_checkpoint = import_model(checkpoint).graph;
  run_passes(by_onnx, {});
  run_passes(by_checkpoint, {});
  expect_one_house(by_onnx, by_checkpoint);
}

/// What pack_tokens says of a graph that it leaves as it is.
std::string refusal_of(const std::string& text) {
  Graph graph = parse_graph(text);
  for (const PassReport& report : run_passes(graph, {})) {
    if (report.name == "pack_tokens") return report.note;
  }
  return {};
}

TEST(PackTokens, NamesTheFirstOpThatMixesTokens) {
  const std::string start =
      "graph (input_ids: i64[B, S]) -> (logits)\nconst table : f32[3, 4] = random(1, 1)\n"
      "const axis : i64[1] = {1}\nconst weight : f32[4, 3] = random(2, 1)\n"
      "x : f32[B, S, 4] = Gather(table, input_ids)\n";
  EXPECT_EQ(refusal_of(start + "mean : f32[B, 1, 4] = Reduce(x, axis) {kind = \"mean\"}\n"
                               "sum : f32[B, S, 4] = Binary(x, mean) {function = \"add\"}\n"
                               "logits : f32[B, S, 3] = MatMul(sum, weight)\n"),
            "mean: Reduce has no row-wise form");
  EXPECT_EQ(refusal_of(start + "turned : f32[B, 4, S] = Transpose(x) {perm = [0, 2, 1]}\n"
                               "scores : f32[B, S, S] = MatMul(x, turned)\n"
                               "seen : f32[B, S, 4] = MatMul(scores, x)\n"
                               "logits : f32[B, S, 3] = MatMul(seen, weight)\n"),
            "scores: MatMul multiplies tokens with one another");
  EXPECT_EQ(refusal_of(start + "logits : f32[B, S, 3] = MatMul(x, weight)\n"),
            "logits: depends on no token but its own");
  EXPECT_EQ(refusal_of("graph (input_ids: i64[B, S]) -> (last_hidden_state)\nconst table : f32[3, 4] = random(1, 1)\n"
                       "last_hidden_state : f32[B, S, 4] = Gather(table, input_ids)\n"),
            "last_hidden_state: is no output of logits");
}

TEST(PackTokens, TakesLargeWeightsThatAreCodes) {
  EXPECT_EQ(refusal_of("graph (input_ids: i64[B, S]) -> (logits)\nconst table : f32[3, 512] = random(1, 1)\n"
                       "const codes : i8[512, 256] = zeros\nconst scale : f32[256] = random(2, 1)\n"
                       "x : f32[B, S, 512] = Gather(table, input_ids)\n"
                       "weight : f32[512, 256] = DequantizeLinear(codes, scale)\n"
                       "logits : f32[B, S, 256] = MatMul(x, weight)\n"),
            "logits: depends on no token but its own");  // which is asked last: the product was taken
}

/// A decoder without a cache in which each query sees the keys that `seen` says, of the rows i64[S, 1] and columns
/// i64[S].
std::string masked_decoder(const std::string& seen) {
  return "graph (input_ids: i64[B, S]) -> (logits)\nconst table : f32[3, 8] = random(1, 1)\n"
         "const weight : f32[8, 3] = random(2, 1)\nconst split : i64[4] = {0, 0, 1, 8}\nconst joined : i64[3] = {0, 0, "
         "8}\n"
         "const zero : i64[] = {0}\nconst one : i64[] = {1}\nconst first : i64[1] = {0}\nconst second : i64[1] = {1}\n"
         "const window : i64[] = {8192}\nconst shown : f32[] = {0}\nconst hidden : f32[] = {-10000}\n"
         "x : f32[B, S, 8] = Gather(table, input_ids)\nrows : f32[B, S, 1, 8] = Reshape(x, split)\n"
         "heads : f32[B, 1, S, 8] = Transpose(rows) {perm = [0, 2, 1, 3]}\n"
         "length : i64[1] = Shape(input_ids) {start = 1, end = 2}\nscalar : i64[] = Squeeze(length, first)\n"
         "column : i64[S] = Range(zero, scalar, one)\nrow : i64[S, 1] = Unsqueeze(column, second)\n"
         "causal : bool[S, S] = Binary(column, row) {function = \"less_equal\"}\n" +
         seen +
         "mask : f32[S, S] = Where(seen, shown, hidden)\n"
         "keys : f32[B, 1, 8, S] = Transpose(heads) {perm = [0, 1, 3, 2]}\n"
         "scores : f32[B, 1, S, S] = MatMul(heads, keys)\n"
         "masked : f32[B, 1, S, S] = Binary(scores, mask) {function = \"add\"}\n"
         "weights : f32[B, 1, S, S] = Softmax(masked)\nmixed : f32[B, 1, S, 8] = MatMul(weights, heads)\n"
         "turned : f32[B, S, 1, 8] = Transpose(mixed) {perm = [0, 2, 1, 3]}\n"
         "y : f32[B, S, 8] = Reshape(turned, joined)\nlogits : f32[B, S, 3] = MatMul(y, weight)\n";
}

TEST(PackTokens, SeesWindowsOfAnySize) {
  const std::string within =
      "oldest : i64[S, 1] = Binary(row, window) {function = \"sub\"}\n"
      "near : bool[S, S] = Binary(column, oldest) {function = \"greater\"}\n"
      "seen : bool[S, S] = Binary(causal, near) {function = \"and\"}\n";
  Graph graph = parse_graph(masked_decoder(within));
  run_passes(graph, {});
  EXPECT_THAT(to_text(graph), ::testing::HasSubstr("window = 8192"));
  // What is used twice is computed once.
  std::string doubled = within;
  doubled.replace(doubled.rfind("seen :"), 4, "seen0");
  for (int i = 0; i < 50; ++i) {
    const std::string before = "seen" + std::to_string(i);
    doubled += (i == 49 ? std::string("seen") : "seen" + std::to_string(i + 1)) + " : bool[S, S] = Binary(" + before +
               ", " + before + ") {function = \"and\"}\n";
  }
  EXPECT_EQ(refusal_of(masked_decoder(doubled)), "");
  // Blocks of as many positions are no window.
  const std::string blocks =
      "block : i64[S] = Binary(column, window) {function = \"div\"}\n"
      "own : i64[S, 1] = Binary(row, window) {function = \"div\"}\n"
      "same : bool[S, S] = Binary(block, own) {function = \"equal\"}\n"
      "seen : bool[S, S] = Binary(causal, same) {function = \"and\"}\n";
  EXPECT_EQ(refusal_of(masked_decoder(blocks)), "attention: Sdpa lets tokens see others than those before them");
}

TEST(PackTokens, MakesNoDecoderOfWhatChoosesNoToken) {
  const std::string seen = "seen : bool[S, S] = Binary(causal, causal) {function = \"and\"}\n";
  EXPECT_EQ(refusal_of(masked_decoder(seen)), "");
  // A reward, which is called as logits are; an embedding of as many dimensions as the token before it; and the last
  // token's alone.
  const std::string head = "logits : f32[B, S, 3] = MatMul(y, weight)\n";
  const auto with_head = [&](const std::string& other) {
    std::string text = masked_decoder(seen);
    return text.replace(text.find(head), head.size(), other);
  };
  EXPECT_EQ(
      refusal_of(with_head("const reward : f32[8, 1] = random(5, 1)\nlogits : f32[B, S, 1] = MatMul(y, reward)\n")),
      "logits: has 1 numbers a token, and there are 3 tokens to choose from");
  EXPECT_EQ(refusal_of(with_head("logits : f32[B, S, 8] = Unary(y) {function = \"relu\"}\n")),
            "logits: has 8 numbers a token, and there are 3 tokens to choose from");
  EXPECT_EQ(refusal_of(with_head("const last : i64[] = {-1}\nlogits : f32[B, 8] = Gather(y, last) {axis = 1}\n")),
            "logits: has 8 numbers a token, and there are 3 tokens to choose from");
}

/// A mask of booleans hides only where the score that it leaves does.
TEST(PackTokens, TakesNoWeakMaskForACausalOne) {
  std::string text = masked_decoder("");
  const auto exchange = [&](const std::string& old, const std::string& made) {
    ASSERT_NE(text.find(old), std::string::npos);
    text.replace(text.find(old), old.size(), made);
  };
  exchange("mask : f32[S, S] = Where(seen, shown, hidden)\n", "");
  exchange("masked : f32[B, 1, S, S] = Binary(scores, mask) {function = \"add\"}\n",
           "masked : f32[B, 1, S, S] = Where(causal, scores, hidden)\n");
  EXPECT_EQ(refusal_of(text), "");
  exchange("{-10000}", "{-3}");
  EXPECT_EQ(refusal_of(text), "attention: Sdpa lets tokens see others than those before them");
}

/// Frequencies that change behind a position are no decoder's, however far it is.
TEST(PackTokens, SeesRotationsThatChangeFarAway) {
  std::string text = masked_decoder("seen : bool[S, S] = Binary(causal, causal) {function = \"and\"}\n");
  const auto exchange = [&](const std::string& old, const std::string& made) {
    ASSERT_NE(text.find(old), std::string::npos);
    text.replace(text.find(old), old.size(), made);
  };
  exchange("(input_ids: i64[B, S])", "(input_ids: i64[B, S], position_ids: i64[B, S])");
  exchange("const zero",
           "const near : f32[4] = {1, 0.5, 0.25, 0.125}\nconst far : f32[4] = {0.5, 0.25, 0.125, 0.0625}\n"
           "const limit : i64[] = {20000}\nconst third : i64[1] = {2}\nconst zero");
  exchange("keys :",
           "most : i64[] = Reduce(position_ids) {kind = \"max\", keepdims = false}\n"
           "is_far : bool[] = Binary(most, limit) {function = \"greater\"}\n"
           "frequencies : f32[4] = Where(is_far, far, near)\nnumbers : f32[B, S] = Cast(position_ids)\n"
           "wide : f32[B, S, 1] = Unsqueeze(numbers, third)\n"
           "angles : f32[B, S, 4] = Binary(wide, frequencies) {function = \"mul\"}\n"
           "cosines : f32[B, S, 4] = Unary(angles) {function = \"cos\"}\n"
           "sines : f32[B, S, 4] = Unary(angles) {function = \"sin\"}\n"
           "rotated : f32[B, 1, S, 8] = RotaryEmbedding(heads, cosines, sines)\nkeys :");
  exchange("Transpose(heads)", "Transpose(rotated)");
  exchange("MatMul(heads, keys)", "MatMul(rotated, keys)");
  EXPECT_EQ(refusal_of(text), "rotated: RotaryEmbedding rotates by angles that are not proportional to the positions");
  exchange("{20000}", "{2000000000}");
  EXPECT_EQ(refusal_of(text), "");
}

TEST(PackTokens, LeavesGraphsWithOtherInputsAlone) {
  const std::string text =
      "graph (x: f32[B, 4]) -> (y)\nconst weight : f32[4, 3] = random(2, 1)\ny : f32[B, 3] = MatMul(x, weight)\n";
  Graph graph = parse_graph(text);
  run_passes(graph, {});
  EXPECT_EQ(to_text(graph), text);
}

/// Under sanitizers each model has one of its three exports.
std::vector<Export> all_exports() {
  std::vector<Export> exports;
  size_t turn = 0;
  for (const char* model : {"gemma2", "gpt-neox", "gpt2", "llama-gqa-tied", "llama-mha", "llama3-rope",
                            "mistral-window", "phi3", "qwen2", "qwen3"}) {
    ++turn;
    for (const char* file : {"plain_torchscript.onnx", "plain_dynamo.onnx", "past_torchscript.onnx"}) {
      if (!sanitized || turn++ % 3 == 0) exports.push_back({model, file});
    }
  }
  return exports;
}

std::string name_of_export(const ::testing::TestParamInfo<Export>& info) {
  std::string name = info.param.model + "_" + info.param.file;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Exports, Doors, ::testing::ValuesIn(all_exports()), name_of_export);

}  // namespace
}  // namespace incipit
