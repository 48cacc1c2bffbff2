// One function a family, each in its own file; resolve_step.cpp lists them.
#pragma once

#include <memory>

#include "runtime/step.h"

namespace incipit {

std::unique_ptr<Step> resolve_attention(const StepSource& source);
std::unique_ptr<Step> resolve_elementwise(const StepSource& source);
std::unique_ptr<Step> resolve_embedding(const StepSource& source);
std::unique_ptr<Step> resolve_expert_linear(const StepSource& source);
std::unique_ptr<Step> resolve_gather_rows(const StepSource& source);
std::unique_ptr<Step> resolve_kv_write(const StepSource& source);
std::unique_ptr<Step> resolve_layer_norm(const StepSource& source);
std::unique_ptr<Step> resolve_linear(const StepSource& source);
std::unique_ptr<Step> resolve_packed_embedding(const StepSource& source);
std::unique_ptr<Step> resolve_quantize_rows(const StepSource& source);
std::unique_ptr<Step> resolve_resolve_tokens(const StepSource& source);
std::unique_ptr<Step> resolve_rms_norm(const StepSource& source);
std::unique_ptr<Step> resolve_rotary(const StepSource& source);
std::unique_ptr<Step> resolve_rotary_table(const StepSource& source);
std::unique_ptr<Step> resolve_router(const StepSource& source);
std::unique_ptr<Step> resolve_sample(const StepSource& source);
std::unique_ptr<Step> resolve_weighted_sum(const StepSource& source);

}  // namespace incipit
