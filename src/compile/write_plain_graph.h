// A plain graph's part of the plan.
#pragma once

#include <vector>

#include "compile/pack.h"
#include "compile/plan_draft.h"
#include "engine/plan_generated.h"

namespace incipit {

/// `written`: where the draft's constants are.
flatbuffers::Offset<plan::PlainGraph> write_plain_graph(flatbuffers::FlatBufferBuilder& builder, const PlanDraft& draft,
                                                        const std::vector<WrittenPlane>& written);

}  // namespace incipit
