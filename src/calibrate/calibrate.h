// What a build in fewer bits makes of a text: of several choices the one that is the closest to the model on a part of
// the text that none of them has seen.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/progress.h"
#include "compile/compile.h"
#include "graph/model.h"
#include "measure/compare_engines.h"
#include "session/gateway.h"

namespace incipit {

/// Windows of a text. Every tenth is held out.
struct CalibrationWindows {
  std::vector<std::vector<int32_t>> seen;
  std::vector<int32_t> held_out;  // one behind the other
  int32_t window = 0;             // tokens of one
};

/// Of at most `largest` tokens each, and so many that some are held out. Throws Error naming "text" where it is too
/// short for that.
CalibrationWindows calibration_windows(std::span<const int32_t> tokens, int32_t largest);

/// How codes are chosen.
enum class Rounding : uint8_t { best, nearest, compensated };

struct CalibrateOptions {
  Rounding rounding = Rounding::best;
  std::string text_name;         // for the manifest
  std::filesystem::path folder;  // for engines and statistics on the way
  int32_t window = 512;          // tokens, or as many as the engine's context holds
};

struct CalibrationChoice {
  std::string name;  // "nearest", "gptq"
  std::shared_ptr<const Calibration> calibration;
  EngineComparison held_out;  // of an engine made so with the f32 one
};

struct CalibrationFound {
  std::vector<CalibrationChoice> choices;
  size_t best = 0;
  int64_t seen_tokens = 0, held_out_tokens = 0;

  const CalibrationChoice& chosen() const { return choices[best]; }
};

/// The options of the engine that statistics are of: f32, for this machine, as calibrated builds have their graph.
CompileOptions calibrated_reference(const CompileOptions& compiled);

/// Looks at what the products of `reference` (an engine of calibrated_reference) read, makes an engine of every choice,
/// as `compiled` says but without tuning, and compares each with the reference on what was held out: the smallest mean
/// divergence wins. Throws Error as compile, for a text that is too short, and where nothing can be calibrated.
CalibrationFound calibrate(Gateway& reference, std::span<const int32_t> tokens,
                           const std::function<Model()>& make_model, const CompileOptions& compiled,
                           const CalibrateOptions& options, Progress& progress);

}  // namespace incipit
