// A model file of ONNX, and the small files that stand beside it or in a folder of their own.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/paths.h"
#include "graph/find_logits.h"
#include "graph/finite_constant.h"
#include "import/hf/config.h"
#include "import/import.h"
#include "import/onnx/import_onnx.h"
#include "import/sources.h"

namespace incipit {
namespace {

/// The extent of the logits' last axis; 0 where the graph has no such output.
int64_t vocabulary_of(const Graph& graph) {
  const ValueId logits = find_logits(graph);
  if (logits == none) return 0;
  const std::vector<Dim>& shape = graph.value(logits).type.shape;
  return shape.empty() ? 0 : shape.back().try_constant().value_or(0);
}

/// What a config says of the longest sequence; 0 where it says nothing.
int64_t max_position_of(const HfConfig& config) {
  constexpr int64_t largest = int64_t{1} << 30;
  for (const char* key : {"max_position_embeddings", "n_positions", "n_ctx"}) {
    if (config.has(key)) return config.integer(key, 1, largest);
  }
  return 0;
}

/// Initializers must not be NaN, and none of those that products and norms take may be infinite; others are masks.
void refuse_not_finite_weights(onnx::Graph& graph, const std::string& file) {
  constexpr std::array<std::string_view, 9> with_weights{"MatMul",
                                                         "Gemm",
                                                         "Conv",
                                                         "ConvTranspose",
                                                         "LayerNormalization",
                                                         "RMSNormalization",
                                                         "BatchNormalization",
                                                         "GroupNormalization",
                                                         "InstanceNormalization"};
  std::set<std::string_view> weights;
  for (const onnx::Node& node : graph.nodes) {
    if (std::ranges::find(with_weights, node.op_type) == with_weights.end()) continue;
    weights.insert(node.inputs.begin(), node.inputs.end());
  }
  for (auto& [name, constant] : graph.initializers) {
    const NotFinite refused = weights.contains(name) ? NotFinite::any : NotFinite::nan;
    constant = refuse_not_finite(std::move(constant), fmt::format("{}: tensor '{}'", file, name), refused);
  }
}

}  // namespace

Model import_onnx(const std::filesystem::path& file, const std::filesystem::path& companions,
                  const ImportOptions& options) {
  onnx::Model source = onnx::read_model(file);
  if (!options.allow_non_finite) refuse_not_finite_weights(source.graph, file.string());
  for (auto& [name, constant] : source.graph.initializers) constant = name_tensor(std::move(constant), name);
  Model model;
  model.name = file.string();
  model.graph = import_onnx_graph(source);
  for (const onnx::ValueInfo& output : source.graph.outputs) model.outputs.push_back(output.name);
  model.architecture = "ONNX";
  if (!source.producer.empty()) model.architecture += " of " + source.producer;
  model.vocabulary = vocabulary_of(model.graph);
  model.generation_defaults = "{}";
  if (!companions.empty() && !is_a_directory(companions)) {
    throw Error(companions.string(), "is no directory", "give the one with tokenizer.json and config.json");
  }
  const std::filesystem::path beside = file.has_parent_path() ? file.parent_path() : ".";
  model.directory = companions.empty() ? beside : companions;
  if (is_there(model.directory / "config.json")) {
    const HfConfig config = HfConfig::read(model.directory);
    model.max_position = max_position_of(config);
    if (model.vocabulary > 0) {
      model.end_ids = config.end_ids(model.vocabulary);
      model.begin_id = config.begin_id(model.vocabulary);
    }
    model.generation_defaults = config.generation_defaults();
    model.chat_template = config.chat_template();
  }
  add_small_sources(model.directory, model.sources);
  for (const std::filesystem::path& part : source.files) {
    model.sources.push_back(digest_source(part.parent_path(), part.filename().string()));
  }
  return model;
}

}  // namespace incipit
