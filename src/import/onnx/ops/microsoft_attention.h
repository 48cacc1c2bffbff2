// ONNX Runtime's operators of attention (domain com.microsoft), each brought into RotaryEmbedding, Concat with the past
// and Sdpa. https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
#pragma once

#include "import/onnx/call.h"

namespace incipit::onnx {

std::vector<ValueId> microsoft_attention(Call& call);
/// The past is taken as whole: as many positions as came before, the same for every sequence; what is longer is refused
/// when it is computed.
std::vector<ValueId> group_query_attention(Call& call);
std::vector<ValueId> multi_head_attention(Call& call);
std::vector<ValueId> microsoft_rotary_embedding(Call& call);

}  // namespace incipit::onnx
