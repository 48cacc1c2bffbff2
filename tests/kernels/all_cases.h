// The list of every kernel family. A family that is not here has neither test nor benchmark: each of table.cpp's
// sections needs its line.
#pragma once

#include <tuple>

#include "elementwise_case.h"
#include "gather_case.h"
#include "linear_case.h"
#include "norm_case.h"
#include "paged_case.h"
#include "rotary_case.h"
#include "sampling_case.h"

namespace incipit {

using AllFamilies = std::tuple<Linear, Embedding, PackedEmbedding, RmsNorm, QuantizeRows, Elementwise, GatherRows,
                               RotaryTable, Rotary, KvWrite, Attention, ResolveTokens, Sample>;

}  // namespace incipit
