// Writes a Hugging Face checkpoint of a known geometry with random weights, in shards: what the memory of a build is
// measured on, without fetching gigabytes.
//
//   write_checkpoint GEOMETRY DIRECTORY [MEGABYTES_A_SHARD]
//
// Matrices are bf16 and the same as `incipit build --geometry GEOMETRY` makes up. There is no tokenizer, and rope_theta
// is always 10000: sizes are what counts.
#include <fmt/format.h>

#include <boost/json.hpp>
#include <filesystem>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "graph/graph.h"
#include "graph/ops/attention.h"
#include "graph/slabs.h"
#include "import/import.h"

namespace incipit {
namespace {

struct Weight {
  std::string name;
  ConstantPtr values;
  uint64_t bytes() const { return static_cast<uint64_t>(element_count(values->shape())) * size_of(values->dtype()); }
};

/// The checkpoint's tensors; frequencies are no tensors of it.
std::vector<Weight> weights_of(const Graph& graph) {
  std::vector<Weight> weights;
  for (const ValueId id : graph.constants()) {
    const Value& value = graph.value(id);
    if (value.name.ends_with(".weight")) weights.push_back({value.name, value.constant});
  }
  return weights;
}

boost::json::object config_of(const Model& model) {
  const Graph& graph = model.graph;
  int64_t layers = 0, hidden = 0, feed_forward = 0;
  const ops::Attention* attention = nullptr;
  for (const NodeId id : graph.order()) {
    if (const auto* found = graph.op_as<ops::Attention>(id)) attention = found, ++layers;
  }
  INCIPIT_ASSERT(attention != nullptr);
  bool tied = true;
  for (const Weight& weight : weights_of(graph)) {
    const Shape& shape = weight.values->shape();
    if (weight.name == "model.embed_tokens.weight") hidden = shape[1];
    if (weight.name == "model.layers.0.mlp.up_proj.weight") feed_forward = shape[0];
    if (weight.name == "lm_head.weight") tied = false;
  }
  return {{"architectures", {model.architecture}},
          {"model_type", "llama"},
          {"vocab_size", model.vocabulary},
          {"hidden_size", hidden},
          {"intermediate_size", feed_forward},
          {"num_hidden_layers", layers},
          {"num_attention_heads", attention->heads},
          {"num_key_value_heads", attention->kv_heads},
          {"head_dim", attention->head_dim},
          {"max_position_embeddings", model.max_position},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"hidden_act", "silu"},
          {"tie_word_embeddings", tied},
          {"torch_dtype", "bfloat16"}};
}

void write_text(const std::filesystem::path& path, const boost::json::object& object) {
  AtomicFile file(path);
  const std::string text = boost::json::serialize(object);
  file.write(text);
  file.commit();
}

/// The safetensors format (base/safetensors.h), a slab of rows at a time.
void write_shard(const std::filesystem::path& path, std::span<const Weight> weights) {
  boost::json::object header;
  uint64_t offset = 0;
  for (const Weight& weight : weights) {
    boost::json::array shape(weight.values->shape().begin(), weight.values->shape().end());
    header[weight.name] = {{"dtype", weight.values->dtype() == DType::f32 ? "F32" : "BF16"},
                           {"shape", std::move(shape)},
                           {"data_offsets", {offset, offset + weight.bytes()}}};
    offset += weight.bytes();
  }
  std::string text = boost::json::serialize(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t length = text.size();
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(text);
  for (const Weight& weight : weights) {
    std::vector<std::byte> slab;
    for_each_slab(weight.values->rows(), weight.values->row_elements(), [&](int64_t first, int64_t count) {
      slab.resize(static_cast<size_t>(count * weight.values->row_elements()) * size_of(weight.values->dtype()));
      weight.values->read(first, count, slab.data());
      file.write(slab);
    });
  }
  file.commit();
}

void write_checkpoint(const std::string& geometry, const std::filesystem::path& directory, uint64_t shard_bytes) {
  const Model model = import_geometry(geometry, 0);
  const std::vector<Weight> weights = weights_of(model.graph);
  std::vector<std::span<const Weight>> shards;
  for (size_t first = 0; first < weights.size();) {
    size_t end = first + 1;
    for (uint64_t bytes = weights[first].bytes(); end < weights.size(); ++end) {
      if ((bytes += weights[end].bytes()) > shard_bytes) break;
    }
    shards.push_back(std::span(weights).subspan(first, end - first));
    first = end;
  }
  std::filesystem::create_directories(directory);
  boost::json::object places;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    write_shard(directory / name, shards[i]);
    for (const Weight& weight : shards[i]) places[weight.name] = name;
    fmt::print("{}\n", (directory / name).string());
  }
  write_text(directory / "model.safetensors.index.json", {{"metadata", boost::json::object()}, {"weight_map", places}});
  write_text(directory / "config.json", config_of(model));
}

}  // namespace
}  // namespace incipit

int main(int count, char** arguments) {
  try {
    if (count < 3 || count > 4) {
      throw incipit::Error("write_checkpoint", "takes a geometry, a directory and perhaps the megabytes of a shard");
    }
    const uint64_t megabytes = count == 4 ? std::stoull(arguments[3]) : 4000;
    incipit::write_checkpoint(arguments[1], arguments[2], megabytes * 1000000);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
