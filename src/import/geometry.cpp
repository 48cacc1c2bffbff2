// Bare geometries: the shapes of known models, for engines that measure speed.
#include <array>

#include "base/error.h"
#include "import/hf/llama.h"
#include "import/hf/tensor_source.h"
#include "import/import.h"

namespace incipit {
namespace {

struct NamedGeometry {
  std::string_view name;
  int64_t hidden, layers, heads, head_dim, kv_heads, feed_forward, vocabulary;
  double rope_theta;
  bool tied;
  int64_t max_position;
};

constexpr std::array<NamedGeometry, 5> geometries{{
    {"llama-0.5b", 1024, 24, 16, 64, 16, 2816, 32000, 1e4, false, 4096},
    {"llama-1b", 2048, 16, 32, 64, 8, 8192, 128256, 5e5, true, 4096},
    {"llama-7b", 4096, 32, 32, 128, 32, 11008, 32000, 1e4, false, 4096},
    {"llama3-8b", 4096, 32, 32, 128, 8, 14336, 128256, 5e5, false, 4096},
    {"classics-16m", 384, 8, 6, 64, 2, 1024, 8192, 1e4, true, 2048},
}};

}  // namespace

std::vector<std::string> geometry_names() {
  std::vector<std::string> names;
  names.reserve(geometries.size());
  for (const NamedGeometry& known : geometries) names.emplace_back(known.name);
  return names;
}

Model import_geometry(std::string_view name, uint64_t seed) {
  std::string names;
  for (const NamedGeometry& known : geometries) {
    if (known.name != name) {
      names += names.empty() ? "" : ", ";
      names += known.name;
      continue;
    }
    DecoderGeometry geometry;
    geometry.vocabulary = known.vocabulary;
    geometry.hidden = known.hidden;
    geometry.layers = known.layers;
    geometry.heads = known.heads;
    geometry.kv_heads = known.kv_heads;
    geometry.head_dim = known.head_dim;
    geometry.feed_forward = known.feed_forward;
    geometry.max_position = known.max_position;
    geometry.tied = known.tied;
    RandomTensors weights(seed, known.tied);
    Model model;
    model.name = "geometry " + std::string(name);
    build_llama_decoder(geometry, plain_rope(known.rope_theta, known.head_dim), {}, {}, weights, model);
    model.architecture = "LlamaForCausalLM";
    model.generation_defaults = "{}";
    return model;
  }
  throw Error("geometry " + std::string(name), "is not known", "use one of " + names);
}

}  // namespace incipit
