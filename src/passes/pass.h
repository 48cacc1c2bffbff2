// Passes: rewrites of a graph that leave what it computes unchanged (quantize: but for rounding). One file each;
// list.cpp is the one ordered list. Around every pass stands the same wrapper: named, timed, switchable, verified.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "quant/compensated.h"

namespace incipit {

class Graph;
struct NamedWeightFormat;

/// Products that have a format of their own.
struct KeptFormat {
  /// Of their names, or what stands behind a dot in them, as in "layers.0.*": * stands for anything. A product has the
  /// name of its weight ("model.layers.0.mlp.gate_up_proj"), and its own ("lm_head").
  std::string pattern;
  std::string precision;  // a name of weight_formats()
};

/// What a text has shown of a model (calibrate/), as passes use it. Gains stay in their norms then, for statistics are
/// of what stands behind those.
struct Calibration {
  /// Σ x·xᵀ [k, k] of what a product reads, by the product's name: its codes of four bits are
  /// rounded with compensation.
  std::map<std::string, ConstantPtr, std::less<>> moments;
  std::string made;  // how, and of which text, for the manifest
  /// What compensation takes, worked out once a product.
  std::shared_ptr<CompensatedRounding> rounding = std::make_shared<CompensatedRounding>();
};

/// What passes may depend on.
struct PassContext {
  const NamedWeightFormat& format;        // of the weights: --precision
  std::string& note;                      // what whoever builds should know of what the pass could not do
  std::span<const KeptFormat> kept = {};  // later ones come first
  bool widen_four_bits = false;
  const Calibration* calibration = nullptr;
  std::optional<DType> cache = {};  // of keys and values; none: what the precision has
};

struct Pass {
  std::string_view name;
  std::string_view purpose;  // one line, for help and docs
  void (*run)(Graph& graph, const PassContext& context);
};

/// In the order in which they run. A name that is listed twice stands for both places.
std::span<const Pass> passes();

struct PassOptions {
  std::string precision = "f32";     // a name of weight_formats()
  std::vector<KeptFormat> kept;      // products of other formats; throws Error for a pattern that fits none
  std::optional<DType> cache = {};   // of keys and values (--kv-cache); none: what the precision has
  std::vector<std::string> without;  // passes that are switched off
  /// Codes of four bits become bf16 as they are multiplied with rows of bf16, and are not multiplied with codes: an
  /// accelerator's products, which have no sums of codes for each group of inputs.
  bool widen_four_bits = false;
  std::shared_ptr<const Calibration> calibration;
  /// Called after each pass that ran (`inspect --graph --after PASS`).
  std::function<void(std::string_view pass, const Graph& graph)> after;
};

struct PassReport {
  std::string_view name;
  double ms = 0;
  int32_t nodes_before = 0;
  int32_t nodes_after = 0;
  std::string note = {};
};

/// Runs the list over `graph`. Throws Error for an unknown precision or pass name; a graph that a pass leaves invalid
/// is our own bug, told by an Error that names the pass, or by the note of a raising pass, which then has done nothing.
std::vector<PassReport> run_passes(Graph& graph, const PassOptions& options);

}  // namespace incipit
