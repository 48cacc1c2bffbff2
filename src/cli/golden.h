// Golden logits of an engine that was just built, or is measured (measure/golden.h), and the model's own beside them.
#pragma once

#include <functional>

#include "engine/plan_generated.h"
#include "graph/model.h"
#include "measure/golden.h"

namespace incipit::cli {

/// The largest error of logits, relative to the largest of them, that the coarsest format of the weights explains.
double format_tolerance(const plan::Plan& plan);

/// Lets an engine alone compute its golden logits, held against nothing.
GoldenLogits record_golden(Gateway& gateway);

/// What the model's graph gives for the longest prompt of up to 8 tokens, computed by the scalar references of its ops,
/// where that takes no more than seconds and little memory; else `golden` says why not. Throws Error naming the engine
/// where it is another thing than what the engine computed.
void hold_against_reference(GoldenLogits& golden, const Engine& engine, const std::function<Model()>& make_model);

}  // namespace incipit::cli
