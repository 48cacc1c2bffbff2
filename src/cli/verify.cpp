// incipit verify: an engine's logits and greedy tokens against recorded ones.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <deque>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/safetensors.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/golden.h"
#include "cli/options.h"
#include "engine/engine.h"
#include "engine/plan_items.h"
#include "session/evaluate.h"

namespace incipit::cli {
namespace {

struct VerifyOptions {
  std::filesystem::path engine, golden;
  std::optional<double> tolerance;
  int threads = 0;
  bool json = false;
};

/// What some reference computed from each text.
struct GoldenText {
  std::vector<int32_t> ids;
  std::vector<int32_t> greedy;    // plain argmax steps after ids; end tokens are ignored
  std::span<const float> logits;  // [ids, vocabulary]
};
struct GoldenFile {
  std::vector<Tensor> tensors;  // hold the logits
  std::vector<GoldenText> texts;
  int64_t vocabulary = 0;
};

std::vector<int32_t> integers(const Tensor& tensor) {
  std::vector<int32_t> values;
  if (tensor.dtype() == DType::i64) {
    for (const int64_t value : tensor.as<int64_t>()) values.push_back(static_cast<int32_t>(value));
  } else {
    for (const int32_t value : tensor.as<int32_t>()) values.push_back(value);
  }
  return values;
}

Error malformed(const std::filesystem::path& file, std::string_view what) {
  return Error(file.string(), what,
               "give a safetensors file with input_ids [texts, tokens], logits [texts, tokens, vocabulary] in f32 and "
               "greedy [texts, tokens], or with logits.N beside a golden.json");
}

Tensor load_as(const SafetensorsFile& file, const std::filesystem::path& path, std::string_view name, size_t rank) {
  if (!file.contains(name)) throw malformed(path, fmt::format("has no tensor '{}'", name));
  Tensor tensor = file.load(name);
  if (tensor.shape().size() != rank) throw malformed(path, fmt::format("'{}' is not of rank {}", name, rank));
  const bool logits = name.starts_with("logits");
  const bool right =
      logits ? tensor.dtype() == DType::f32 : tensor.dtype() == DType::i32 || tensor.dtype() == DType::i64;
  if (!right) throw malformed(path, fmt::format("'{}' is of another element type", name));
  return tensor;
}

/// One rectangle of texts: input_ids, logits, greedy.
GoldenFile read_rectangle(const SafetensorsFile& file, const std::filesystem::path& path) {
  GoldenFile golden;
  const Tensor ids = load_as(file, path, "input_ids", 2), greedy = load_as(file, path, "greedy", 2);
  golden.tensors.push_back(load_as(file, path, "logits", 3));
  const Tensor& logits = golden.tensors.front();
  const int64_t texts = ids.shape()[0], tokens = ids.shape()[1], steps = greedy.shape()[1];
  if (greedy.shape()[0] != texts || logits.shape()[0] != texts || logits.shape()[1] != tokens) {
    throw malformed(path, "its tensors do not fit together");
  }
  golden.vocabulary = logits.shape()[2];
  const std::vector<int32_t> all_ids = integers(ids), all_greedy = integers(greedy);
  for (int64_t i = 0; i < texts; ++i) {
    GoldenText text;
    text.ids.assign(all_ids.begin() + i * tokens, all_ids.begin() + (i + 1) * tokens);
    text.greedy.assign(all_greedy.begin() + i * steps, all_greedy.begin() + (i + 1) * steps);
    text.logits = logits.as<float>().subspan(static_cast<size_t>(i * tokens * golden.vocabulary),
                                             static_cast<size_t>(tokens * golden.vocabulary));
    golden.texts.push_back(std::move(text));
  }
  return golden;
}

std::vector<int32_t> integers(const boost::json::object& entry, std::string_view name,
                              const std::filesystem::path& path) {
  std::vector<int32_t> values;
  const boost::json::value* list = entry.if_contains(name);
  if (list == nullptr || !list->is_array()) throw malformed(path, fmt::format("a prompt has no list '{}'", name));
  for (const boost::json::value& value : list->get_array()) {
    if (!value.is_int64()) throw malformed(path, fmt::format("'{}' holds something other than integers", name));
    values.push_back(static_cast<int32_t>(value.get_int64()));
  }
  return values;
}

/// Texts of different lengths: logits.N in the file, their ids and greedy tokens in golden.json beside it.
GoldenFile read_prompts(const SafetensorsFile& file, const std::filesystem::path& path) {
  if (!file.contains("logits.0")) throw malformed(path, "has no tensor 'logits'");
  const std::filesystem::path beside = path.parent_path() / "golden.json";
  const boost::json::value parsed = parse_json(read_text_file(beside), beside.string());
  if (!parsed.is_array()) throw malformed(beside, "is no list");
  GoldenFile golden;
  for (const boost::json::value& value : parsed.get_array()) {
    const boost::json::object* entry = value.if_object();
    if (entry == nullptr || !entry->contains("prompt")) continue;  // recordings of other things
    Tensor logits = load_as(file, path, fmt::format("logits.{}", golden.texts.size()), 2);
    GoldenText text{integers(*entry, "input_ids", beside), integers(*entry, "greedy", beside), logits.as<float>()};
    if (logits.shape()[0] != static_cast<int64_t>(text.ids.size()) ||
        (golden.vocabulary != 0 && golden.vocabulary != logits.shape()[1])) {
      throw malformed(path, fmt::format("logits.{} does not fit its prompt", golden.texts.size()));
    }
    golden.vocabulary = logits.shape()[1];
    golden.tensors.push_back(std::move(logits));
    golden.texts.push_back(std::move(text));
  }
  return golden;
}

GoldenFile read_golden(const std::filesystem::path& given) {
  std::filesystem::path path = given;
  if (given.filename() == "golden.json") path.replace_filename("golden_logits.safetensors");
  const SafetensorsFile file = SafetensorsFile::open(path);
  GoldenFile golden = file.contains("logits") ? read_rectangle(file, path) : read_prompts(file, path);
  if (golden.texts.empty() || golden.vocabulary == 0) throw malformed(path, "holds no texts");
  return golden;
}

struct GreedyAgreement {
  int64_t same = 0, tokens = 0;  // up to each text's first difference, which changes all that follows
};

GreedyAgreement compare_greedy(Gateway& gateway, const GoldenFile& golden) {
  GreedyAgreement agreement;
  std::deque<TokenStream> streams;
  for (const GoldenText& text : golden.texts) {
    agreement.tokens += static_cast<int64_t>(text.greedy.size());
    if (text.greedy.empty()) continue;
    Request request;
    request.prompt = text.ids;
    request.max_new_tokens = static_cast<int32_t>(text.greedy.size());
    request.ignore_end = true;
    request.detokenize = false;
    streams.emplace_back(gateway, std::move(request));
  }
  for (const GoldenText& text : golden.texts) {
    if (text.greedy.empty()) continue;
    const std::vector<int32_t> found = streams.front().read_to_end().ids;
    streams.pop_front();
    agreement.same += std::ranges::mismatch(text.greedy, found).in1 - text.greedy.begin();
  }
  return agreement;
}

int verify(const VerifyOptions& options) {
  const GoldenFile golden = read_golden(options.golden);
  const auto gateway = open_gateway(options.engine, options.threads, GatewayUse::evaluate);
  const std::string precision(text(gateway->engine().plan().precision()));
  const double tolerance = options.tolerance ? *options.tolerance : format_tolerance(gateway->engine().plan());
  if (golden.vocabulary != gateway->limits().vocabulary) {
    throw Error(
        options.golden.string(),
        fmt::format("its vocabulary is {}, and the engine's {}", golden.vocabulary, gateway->limits().vocabulary),
        "give the recording of this model");
  }
  std::vector<std::vector<int32_t>> texts;
  for (const GoldenText& text : golden.texts) texts.push_back(text.ids);
  const auto vocabulary = static_cast<size_t>(golden.vocabulary);
  LogitsComparison comparison;
  gateway->run_alone([&](Session& session) {
    visit_logits(session.executor(), texts, [&](size_t text, size_t position, std::span<const float> logits) {
      comparison.add(logits, golden.texts[text].logits.subspan(position * vocabulary, vocabulary));
    });
  });
  const GreedyAgreement greedy = compare_greedy(*gateway, golden);
  const double error = comparison.relative_error();
  const bool passed = error <= tolerance;
  if (options.json) {
    print_json({{"engine", options.engine.string()},
                {"golden", options.golden.string()},
                {"precision", precision},
                {"rows", comparison.rows},
                {"logit_error", finite_or_null(error)},
                {"tolerance", tolerance},
                {"kl", finite_or_null(comparison.mean_kl)},
                {"same_choice", comparison.same_choice},
                {"greedy_same", greedy.same},
                {"greedy_tokens", greedy.tokens},
                {"passed", passed}});
  } else {
    print(fmt::format(
        "logit error {:.3g} of the largest logit (tolerance {:.3g}), KL {:.3g}, largest logit the same in "
        "{} of {} rows, greedy tokens the same up to the first difference: {} of {}\n",
        error, tolerance, comparison.mean_kl, comparison.same_choice, comparison.rows, greedy.same, greedy.tokens));
  }
  if (passed) return 0;
  throw Error(options.engine.string(),
              fmt::format("its logits are {:.3g} off, beyond the tolerance {:.3g}", error, tolerance),
              "make sure that the goldens are this model's, or build it with a higher --precision");
}

}  // namespace

void add_verify(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("verify", "Hold an engine against recorded logits and greedy tokens");
  const auto options = std::make_shared<VerifyOptions>();
  add_input(*command, "ENGINE", options->engine, "An engine file")->required();
  add_input(*command, "--golden", options->golden, "safetensors with input_ids, logits and greedy, or a golden.json")
      ->required();
  command
      ->add_option("--tolerance", options->tolerance,
                   "Largest logit error, relative to the largest logit (default: what the weights' format allows)")
      ->transform(number_in(0, 1e9, "0 to 1e9"));
  add_threads(*command, options->threads);
  command->add_flag("--json", options->json, "One JSON object");
  command->callback([options, &action] { action = [options] { return verify(*options); }; });
}

}  // namespace incipit::cli
