#pragma once

#include "engine/engine.h"
#include "kernels/sampling.h"

namespace incipit {

/// The engine's generation defaults as sampling parameters. Throws Error for a text that is no JSON.
SamplingParameters generation_defaults(const Engine& engine);

}  // namespace incipit
