// A plain graph's part of the plan.
#pragma once

#include <vector>

#include "compile/pack.h"
#include "compile/plan_draft.h"
#include "engine/plan_generated.h"

namespace incipit {

/// `constants`: where they were written, one for each of the graph's.
flatbuffers::Offset<plan::PlainGraph> write_plain_graph(flatbuffers::FlatBufferBuilder& builder,
                                                        const DraftGraph& graph,
                                                        const std::vector<WrittenPlane>& constants);

}  // namespace incipit
