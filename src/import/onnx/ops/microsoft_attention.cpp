#include "import/onnx/ops/microsoft_attention.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>

#include "import/onnx/ops/heads.h"

namespace incipit::onnx {
namespace {

using Values = std::vector<ValueId>;
namespace p = primitives;

/// Until the next value is made.
/// An attribute that is not known here might change what the node computes.
void refuse_other_attributes(const Call& call, std::initializer_list<std::string_view> known) {
  for (const auto& [name, attribute] : call.node().attributes) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      call.refuse("has the attribute '" + name + "', which is not supported");
    }
  }
}

void refuse_set(const Call& call, std::initializer_list<std::string_view> attributes) {
  for (const std::string_view attribute : attributes) {
    const int64_t value = call.integer(attribute, 0);
    if (value > 0)
      call.refuse("has " + std::string(attribute) + " " + std::to_string(value) + ", which is not supported");
  }
}

void refuse_inputs(const Call& call, size_t first, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    if (call.has(first)) call.refuse("has the input " + std::string(name) + ", which is not supported");
    ++first;
  }
}

/// Attribute `scale`, where 0 and none are 1/√(width of a head of q).
float scale_of(Call& call, ValueId q) {
  const float given = call.number("scale", 0);
  return given != 0 ? given : 1 / std::sqrt(static_cast<float>(known_width(call, q)));
}

/// Parts of x along an axis, of these sizes.
Values parts_of(Call& call, ValueId x, int64_t axis, const std::vector<int64_t>& sizes) {
  return call.add_all(p::Split{axis, static_cast<int64_t>(sizes.size())}, {x, call.list(sizes)});
}

ValueId without_axis(Call& call, ValueId x, int64_t axis) { return call.add(p::Squeeze{}, {x, call.list({axis})}); }

/// i64[1, S]: the positions of x's rows, which begin at `first` i64[1], or at 0.
ValueId positions_of(Call& call, ValueId first, ValueId x) {
  const ValueId length = without_axis(call, extent_of(call, x, 2), 0);
  const ValueId start = first == none ? call.scalar(int64_t{0}) : without_axis(call, first, 0);
  const ValueId end = first == none ? length : call.add(p::Binary{p::Binary::add}, {start, length});
  const ValueId range = call.add(p::Range{}, {start, end, call.scalar(int64_t{1})});
  return call.add(p::Unsqueeze{}, {range, call.list({0})});
}

/// What is added to the scores because of input i, none without it: mask_filter_value for keys that it hides, where it
/// is not above 0 ([B, L] or [B, S, L]) or which are behind the number that it says ([B]). A query that sees no key
/// thus weighs those that are only hidden, as in ONNX Runtime.
ValueId hidden_by(Call& call, size_t i, ValueId q, ValueId k) {
  if (!call.has(i)) return none;
  const std::vector<Dim> shape = call.type(i).shape;
  ValueId seen = none;
  if (shape.size() == 1) {
    if (shape[0] != call.type(0).shape[0]) {
      call.refuse("has a mask " + call.type(i).text() + ", which is not a length for each sequence",
                  "export it with a mask [batch, total length]");
    }
    const ValueId length = in_dtype(call, call.input(i), DType::i64);
    const ValueId keys = without_axis(call, extent_of(call, k, 2), 0);
    const ValueId key = call.add(p::Range{}, {call.scalar(int64_t{0}), keys, call.scalar(int64_t{1})});
    seen = call.add(p::Binary{p::Binary::less}, {key, call.add(p::Unsqueeze{}, {length, call.list({1, 2, 3})})});
  } else {
    if (shape.size() != 2 && shape.size() != 3) call.refuse("has a mask " + call.type(i).text());
    const std::vector<int64_t> axes = shape.size() == 2 ? std::vector<int64_t>{1, 2} : std::vector<int64_t>{1};
    const ValueId given = in_dtype(call, call.input(i), DType::i64);
    const ValueId positive = call.add(p::Binary{p::Binary::greater}, {given, call.scalar(int64_t{0})});
    seen = call.add(p::Unsqueeze{}, {positive, call.list(axes)});
  }
  const DType dtype = call.type_of(q).dtype;
  const float filter = call.number("mask_filter_value", -10000);
  return call.add(p::Where{}, {seen, call.scalar(dtype, 0), call.scalar(dtype, filter)});
}

/// Both of what is added to the scores.
ValueId joined_mask(Call& call, ValueId mask, ValueId bias) {
  if (mask == none || bias == none) return mask == none ? bias : mask;
  return call.add(p::Binary{p::Binary::add}, {mask, bias});
}

}  // namespace

Values group_query_attention(Call& call) {
  refuse_other_attributes(
      call, {"num_heads", "kv_num_heads", "scale", "softcap", "local_window_size", "do_rotary", "rotary_interleaved",
             "smooth_softmax", "qk_output", "k_quant_type", "v_quant_type", "kv_cache_bit_width"});
  refuse_set(call, {"smooth_softmax", "qk_output", "kv_cache_bit_width"});
  for (const std::string_view attribute : {"k_quant_type", "v_quant_type"}) {
    if (call.text(attribute, "NONE") != "NONE") call.refuse("has a quantised cache (" + std::string(attribute) + ")");
  }
  refuse_inputs(call, 11, {"head_sink", "k_scale", "v_scale"});
  const int64_t heads = head_count(call, "num_heads"), kv_heads = head_count(call, "kv_num_heads");
  ValueId q = call.input(0), k = call.optional(1), v = call.optional(2);
  if (k == none || v == none) {
    if (k != v) call.refuse("has keys without values, or values without keys");
    const int64_t row = known_width(call, q);
    const int64_t all_heads = heads > row || kv_heads > row ? row + 1 : heads + 2 * kv_heads;
    if (row % all_heads != 0) call.refuse("has packed rows that its heads cannot share");
    const int64_t width = row / all_heads;
    const Values parts = parts_of(call, q, 2, {heads * width, kv_heads * width, kv_heads * width});
    q = parts[0], k = parts[1], v = parts[2];
  }
  q = split_heads(call, q, heads);
  k = split_heads(call, k, kv_heads);
  v = split_heads(call, v, kv_heads);
  const ValueId past_keys = call.optional(3), past_values = call.optional(4);
  const ValueId first = past_keys == none ? none : extent_of(call, past_keys, 2);
  if (call.integer("do_rotary", 0) != 0) {
    const p::RotaryEmbedding rotary{call.integer("rotary_interleaved", 0) != 0};
    const DType dtype = call.type_of(q).dtype;
    const ValueId cosines = in_dtype(call, call.input(7), dtype), sines = in_dtype(call, call.input(8), dtype);
    const ValueId positions = call.has(9) ? call.input(9) : positions_of(call, first, q);
    q = call.add(rotary, {q, cosines, sines, positions});
    k = call.add(rotary, {k, cosines, sines, positions});
  }
  k = behind_past(call, past_keys, k);
  v = behind_past(call, past_values, v);
  p::Sdpa sdpa{scale_of(call, q), true};
  // As many keys as that, a query's own among them.
  sdpa.window = std::max<int64_t>(0, call.integer("local_window_size", -1));
  sdpa.soft_cap = call.number("softcap", 0);
  ValueId lengths = none;
  if (call.has(5)) {  // of each sequence, less 1
    const ValueId last = call.add(p::Reshape{}, {in_dtype(call, call.input(5), DType::i64), call.list({-1})});
    lengths = call.add(p::Binary{p::Binary::add}, {last, call.scalar(int64_t{1})});
  }
  const ValueId y = call.add(sdpa, {q, k, v, call.optional(10), first, lengths});
  return {join_heads(call, y), k, v};
}

Values multi_head_attention(Call& call) {
  refuse_other_attributes(call, {"num_heads", "mask_filter_value", "scale", "unidirectional"});
  refuse_inputs(call, 8, {"past_sequence_length", "cache_indirection"});
  const int64_t heads = head_count(call, "num_heads");
  ValueId q = call.input(0), k = call.optional(1), v = call.optional(2);
  // Parts that stand side by side on axis 3 of [B, S, H, parts, D], as rows.
  const auto unpacked = [&](ValueId packed, int64_t count) {
    const std::vector<Dim>& shape = call.type_of(packed).shape;
    if (shape[2] != Dim(heads)) call.refuse("has packed rows of " + shape[2].text() + " heads");
    const int64_t row = (shape[2] * Dim(known_width(call, packed))).constant();
    Values rows = parts_of(call, packed, 3, std::vector<int64_t>(static_cast<size_t>(count), 1));
    for (ValueId& part : rows) part = call.add(p::Reshape{}, {part, call.list({0, 0, row})});
    return rows;
  };
  if (call.rank(0) == 5 && k == none && v == none) {
    const Values rows = unpacked(q, 3);
    q = rows[0], k = rows[1], v = rows[2];
  } else if (k != none && call.rank(1) == 5 && v == none) {
    const Values rows = unpacked(k, 2);
    k = rows[0], v = rows[1];
  }
  if (k == none || v == none) call.refuse("has no keys or no values");
  const bool has_split_keys = call.type_of(k).shape.size() == 4;
  if (call.has(3)) {
    if (has_split_keys) call.refuse("has a bias for keys that are split into heads");
    const int64_t q_row = known_width(call, q), k_row = known_width(call, k), v_row = known_width(call, v);
    const Values parts = parts_of(call, call.input(3), 0, {q_row, k_row, v_row});
    q = call.add(p::Binary{p::Binary::add}, {q, parts[0]});
    k = call.add(p::Binary{p::Binary::add}, {k, parts[1]});
    v = call.add(p::Binary{p::Binary::add}, {v, parts[2]});
  }
  q = split_heads(call, q, heads);
  if (!has_split_keys) {
    k = split_heads(call, k, heads);
    v = split_heads(call, v, heads);
  }
  const ValueId past_keys = call.optional(6), past_values = call.optional(7);
  k = behind_past(call, past_keys, k);
  v = behind_past(call, past_values, v);
  const ValueId hidden = hidden_by(call, 4, q, k);
  const p::Sdpa sdpa{scale_of(call, q), call.integer("unidirectional", 0) != 0};
  const ValueId first = sdpa.causal && past_keys != none ? extent_of(call, past_keys, 2) : none;
  const ValueId y = call.add(sdpa, {q, k, v, joined_mask(call, hidden, call.optional(5)), first});
  return {join_heads(call, y), k, v};
}

Values microsoft_attention(Call& call) {
  refuse_other_attributes(call, {"num_heads", "unidirectional", "qkv_hidden_sizes", "scale", "mask_filter_value",
                                 "do_rotary", "past_present_share_buffer", "rotary_embedding_dim"});
  refuse_set(call, {"do_rotary", "past_present_share_buffer"});
  refuse_inputs(call, 6, {"past_sequence_length"});
  const int64_t heads = head_count(call, "num_heads");
  ValueId rows = call.add(p::MatMul{}, {call.input(0), call.input(1)});
  if (call.has(2)) rows = call.add(p::Binary{p::Binary::add}, {rows, call.input(2)});
  const int64_t row = known_width(call, rows);
  const std::vector<int64_t> sizes = call.integers("qkv_hidden_sizes").value_or(std::vector<int64_t>(3, row / 3));
  const bool are_sizes = sizes.size() == 3 &&
                         std::all_of(sizes.begin(), sizes.end(), [&](int64_t size) { return size > 0 && size <= row; });
  if (!are_sizes || sizes[0] + sizes[1] + sizes[2] != row) {
    call.refuse("has rows of " + std::to_string(row) + ", which are not queries, keys and values");
  }
  Values parts = parts_of(call, rows, 2, sizes);
  for (ValueId& part : parts) part = split_heads(call, part, heads);
  ValueId k = parts[1], v = parts[2], first = none;
  const bool is_causal = call.integer("unidirectional", 0) != 0;
  if (call.has(4)) {  // [2, B, H, P, D]: keys and values
    const Values past = parts_of(call, call.input(4), 0, {1, 1});
    const ValueId past_keys = without_axis(call, past[0], 0);
    if (is_causal) first = extent_of(call, past_keys, 2);
    k = behind_past(call, past_keys, k);
    v = behind_past(call, without_axis(call, past[1], 0), v);
  }
  const ValueId hidden = hidden_by(call, 3, parts[0], k);
  const p::Sdpa sdpa{scale_of(call, parts[0]), is_causal};
  const ValueId y = call.add(sdpa, {parts[0], k, v, joined_mask(call, hidden, call.optional(5)), first});
  ValueId present = none;
  if (call.wants(1)) {
    const auto on_axis = [&](ValueId x) { return call.add(p::Unsqueeze{}, {x, call.list({0})}); };
    present = call.add(p::Concat{0}, {on_axis(k), on_axis(v)});
  }
  return {join_heads(call, y), present};
}

Values microsoft_rotary_embedding(Call& call) {
  refuse_other_attributes(call, {"interleaved", "num_heads", "rotary_embedding_dim", "scale", "is_packed_batching"});
  refuse_set(call, {"is_packed_batching"});
  if (call.number("scale", 1) != 1) call.refuse("has a scale, which is not supported");
  const DType dtype = call.type(0).dtype;
  const ValueId cosines = in_dtype(call, call.input(2), dtype), sines = in_dtype(call, call.input(3), dtype);
  const int64_t pairs = known_width(call, cosines), width = call.integer("rotary_embedding_dim", 0);
  if (width != 0 && width != 2 * pairs) {
    call.refuse("turns " + std::to_string(width) + " elements of a head, and has " + std::to_string(pairs) +
                " cosines for them");
  }
  const bool is_flat = call.rank(0) == 3;
  ValueId x = call.input(0);
  if (is_flat) {
    // Without a number of heads, a head is what is turned.
    const int64_t given = call.integer("num_heads", 0);
    const int64_t heads = given > 0 ? given : known_width(call, x) / (2 * pairs);
    if (heads <= 0) call.refuse("turns more than its rows have");
    x = split_heads(call, x, heads);
  }
  if (call.type_of(x).shape.size() != 4) call.refuse("takes " + call.type(0).text() + ", which has no heads");
  // Positions [B, S], or where the first row stands [1].
  const bool is_offset = call.rank(1) == 1;
  const ValueId positions = is_offset ? positions_of(call, call.input(1), x) : call.input(1);
  const p::RotaryEmbedding rotary{call.integer("interleaved", 0) != 0};
  const ValueId turned = call.add(rotary, {x, cosines, sines, positions});
  return {is_flat ? join_heads(call, turned) : turned};
}

}  // namespace incipit::onnx
