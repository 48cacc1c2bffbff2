#include "passes/decoder_inputs.h"

namespace incipit {
namespace {

bool is_integer(DType dtype) { return dtype == DType::i32 || dtype == DType::i64; }

bool holds_one_number(const Value& input) {
  const std::vector<Dim>& shape = input.type.shape;
  return is_integer(input.type.dtype) && (shape.empty() || (shape.size() == 1 && shape[0] == Dim(1)));
}

// past_key_values.3.key, past_key_3, past_3: Optimum's, ONNX Runtime's and older names.
bool is_past(const Value& input) { return input.name.starts_with("past") && input.type.shape.size() == 4; }

}  // namespace

std::optional<DecoderInputs> find_decoder_inputs(const Graph& graph) {
  DecoderInputs found;
  for (const ValueId id : graph.inputs()) {
    const Value& input = graph.value(id);
    const std::vector<Dim>& shape = input.type.shape;
    if (input.name == "input_ids" && is_integer(input.type.dtype) && shape.size() == 2) {
      found.ids = id;
      found.batch = shape[0];
      found.seq = shape[1];
    } else if (input.name == "attention_mask" && shape.size() == 2) {
      found.attention_mask = id;
    } else if (input.name == "position_ids" && is_integer(input.type.dtype) && shape.size() == 2) {
      found.position = id;
    } else if (input.name == "seqlens_k" && is_integer(input.type.dtype) && (shape.size() == 1 || shape.size() == 2)) {
      found.last_key = id;
    } else if (input.name == "total_sequence_length" && holds_one_number(input)) {
      found.total_length = id;
    } else if (is_past(input)) {
      found.past.push_back(id);
      found.past_length = shape[2];
    } else {
      return std::nullopt;
    }
  }
  if (found.ids == none) return std::nullopt;
  return found;
}

}  // namespace incipit
