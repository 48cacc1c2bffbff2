// A decoder of two layers with random f32 weights, as an engine with a hand-written plan and as plain loops.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/plan_bytes.h"
#include "kernels/layout.h"
#include "support/temporary_directory.h"

namespace incipit {

class TinyModel {
 public:
  static constexpr int32_t vocabulary = 80, hidden = 48, layers = 2, heads = 4, kv_heads = 2, head_dim = 8, ff = 56;
  static constexpr int32_t queries = heads * head_dim, keys = kv_heads * head_dim, pairs = head_dim / 2;
  static constexpr int32_t max_context = 128, slots = 4, max_tokens = 64, max_rows = 40;
  static constexpr float epsilon = 1e-5f;

  /// To run on a target: an accelerator has pages of its own.
  explicit TinyModel(const Target& target = {});

  int32_t page_tokens() const { return pages_.tokens; }

  /// Logits [tokens, vocabulary] of a whole text, in double precision.
  std::vector<float> forward(std::span<const int32_t> tokens) const;

  /// The plan: the last layer's queries and MLP are computed for sampled rows alone. Weight planes are still to be
  /// placed.
  plan::PlanT plan() const;
  /// Writes the engine, after `change` had its way with the plan.
  void write(const std::filesystem::path& path, const std::function<void(plan::PlanT&)>& change = {}) const;

 private:
  struct Layer {
    std::vector<float> input_gain;   // (hidden)
    std::vector<float> query;        // (queries, hidden)
    std::vector<float> key, value;   // (keys, hidden)
    std::vector<float> output;       // (hidden, queries)
    std::vector<float> middle_gain;  // (hidden)
    std::vector<float> gate, up;     // (ff, hidden)
    std::vector<float> down;         // (hidden, ff)
  };
  struct NamedWeight {
    plan::WeightT weight;
    std::vector<float> values;
  };
  std::vector<NamedWeight> weights() const;

  Target target_;
  PageFormat pages_;
  std::vector<float> table_;  // (vocabulary, hidden)
  std::vector<float> frequencies_;
  std::vector<Layer> layers_;
  std::vector<float> final_gain_;
  std::vector<float> head_;  // (vocabulary, hidden)
};

/// The engine of a TinyModel in a file of its own.
class TinyEngine {
 public:
  explicit TinyEngine(const std::function<void(plan::PlanT&)>& change = {}, const Target& target = {}) : model(target) {
    model.write(directory / "tiny.engine", change);
  }
  std::shared_ptr<const Engine> open() const { return Engine::open(directory / "tiny.engine"); }

  TinyModel model;

 private:
  TemporaryDirectory directory;
};

/// Random tokens of the model's vocabulary.
std::vector<int32_t> some_text(size_t length, uint32_t seed);

inline const Target shadow(Backend::shadow, 0);

}  // namespace incipit
