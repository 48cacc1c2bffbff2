// `build --calibrate`: what a text shows of a model goes into the engine.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "base/progress.h"
#include "calibrate/calibrate.h"
#include "compile/compile.h"
#include "graph/model.h"

namespace incipit::cli {

struct CalibratedBuild {
  std::filesystem::path text, output;
  Rounding rounding = Rounding::best;
};

/// Sets `compiled.calibration` to the choice that is the best on what was held out of the text, and gives a line on all
/// choices. Works in a folder beside the output. Throws Error where the model has no tokenizer, is no decoder, or the
/// text shows too little.
std::string calibrate_build(const CalibratedBuild& build, const std::function<Model()>& make_model,
                            CompileOptions& compiled, Progress& progress);

}  // namespace incipit::cli
