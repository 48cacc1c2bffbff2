// From [batch, seq] to one axis of tokens. Every op is either row-wise in the tokens, and then becomes the decoder op
// that works on rows, or it mixes rows: of those only attention may be left, and becomes a cache that is written and
// read. Nothing else has to be known of the model.
#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <tuple>
#include <utility>

#include "graph/find_logits.h"
#include "graph/ops/activate.h"
#include "graph/ops/add.h"
#include "graph/ops/attention.h"
#include "graph/ops/embedding.h"
#include "graph/ops/gather_rows.h"
#include "graph/ops/kv_write.h"
#include "graph/ops/layer_norm.h"
#include "graph/ops/linear.h"
#include "graph/ops/multiply.h"
#include "graph/ops/rms_norm.h"
#include "graph/ops/rotary.h"
#include "graph/ops/scale.h"
#include "graph/ops/slice_columns.h"
#include "graph/ops/soft_cap.h"
#include "passes/causal_mask.h"
#include "passes/decoder_inputs.h"
#include "passes/pass.h"
#include "passes/passes.h"
#include "passes/primitive_match.h"
#include "passes/rewrite.h"
#include "passes/rotary_fit.h"
#include "passes/token_axes.h"
#include "passes/token_rows.h"

namespace incipit {
namespace {

using Kind = TokenAxes::Kind;

class Packer : TokenRows {
 public:
  Packer(const Graph& graph, const DecoderInputs& inputs)
      : TokenRows(graph), inputs_(inputs), rotary_fits_(graph, inputs) {
    const Dim tokens = Dim::symbol("T");
    ids_ = packed_.add_input("ids", {DType::i32, {tokens}});
    position_ = packed_.add_input("position", {DType::i32, {tokens}});
    rows_ = packed_.add_input("rows", {DType::i32, {Dim::symbol("R")}});
    put(inputs.ids, ids_, id_axes());
    if (inputs.position != none) put(inputs.position, position_, id_axes());
  }

  /// The decoder, or an Error naming the first op that is not row-wise.
  Graph pack(ValueId logits) {
    for (const NodeId n : graph_.order()) pack_node(n);
    const auto found = values_.find(logits);
    if (found == values_.end()) throw_reason(logits);
    if (layers_ == 0) throw Error(graph_.value(logits).name, "depends on no token but its own");
    if (found->second.axes.features().size() != 1) {
      throw Error(graph_.value(logits).name, "is no matrix of logits, a row a token");
    }
    // An embedding, a reward or a class is no choice of a token.
    if (const int64_t width = found->second.axes.width(); width != tokens_) {
      throw Error(graph_.value(logits).name, "has " + std::to_string(width) + " numbers a token, and there are " +
                                                 std::to_string(tokens_) + " tokens to choose from");
    }
    const ValueId chosen = packed_.add("sampled_rows", ops::GatherRows{}, {found->second.value, rows_});
    // The name is the product's, until it is pruned.
    if (const ValueId taken = packed_.find("logits"); taken != none) packed_.rename(taken, "all_logits");
    packed_.rename(chosen, "logits");
    packed_.set_outputs({chosen});
    packed_.remove_unused();
    return std::move(packed_);
  }

 private:
  TokenAxes id_axes() const { return TokenAxes::of_ids(inputs_.batch, inputs_.seq); }

  [[noreturn]] void throw_reason(ValueId value) const {
    const auto reason = reasons_.find(value);
    if (reason == reasons_.end()) throw Error(graph_.value(value).name, "does not depend on the ids");
    throw Error(reason->second.first, reason->second.second);
  }

  void pack_node(NodeId n) {
    const Node& node = graph_.node(n);
    try {
      pack_op(n);
    } catch (const Refusal& refusal) {
      // The cause is the first op that could not be packed, not those behind it.
      std::pair<std::string, std::string> reason{node.name, std::string(node.op->name()) + " " + refusal.fault};
      for (const ValueId input : std::span(node.inputs).first(token_operands(n))) {
        // Integers are extents, whose computation is of no tokens anyway.
        const auto earlier = reasons_.find(input);
        if (earlier == reasons_.end() || !is_floating(graph_.value(input).type.dtype)) continue;
        reason = earlier->second;
        break;
      }
      for (const ValueId output : node.outputs) {
        if (!values_.contains(output)) reasons_.emplace(output, reason);
      }
    }
  }

  /// How many of a node's first inputs may hold tokens: masks and tables of cosines stand behind them.
  size_t token_operands(NodeId n) const {
    if (graph_.op_as<ops::Sdpa>(n) != nullptr) return 3;
    return graph_.op_as<ops::RotaryEmbedding>(n) != nullptr ? 1 : graph_.node(n).inputs.size();
  }

  void pack_op(NodeId n) {
    const Node& node = graph_.node(n);
    if (const auto* op = graph_.op_as<ops::Gather>(n)) return gather(node, *op);
    if (graph_.op_as<ops::Cast>(n)) return convert(node);
    if (const auto* op = graph_.op_as<ops::Unary>(n)) return unary(node, *op);
    if (const auto* op = graph_.op_as<ops::Binary>(n)) return binary(node, *op);
    if (graph_.op_as<ops::MatMul>(n)) return product(node);
    if (graph_.op_as<ops::Reshape>(n) || graph_.op_as<ops::Squeeze>(n) || graph_.op_as<ops::Unsqueeze>(n) ||
        graph_.op_as<ops::Flatten>(n)) {
      return reshape_axes(node);
    }
    if (const auto* op = graph_.op_as<ops::Transpose>(n)) return transpose_axes(node, *op);
    if (graph_.op_as<ops::Slice>(n)) return slice(node);
    if (const auto* op = graph_.op_as<ops::Split>(n)) return split(node, *op);
    if (const auto* op = graph_.op_as<ops::Concat>(n)) return join(node, *op);
    if (const auto* op = graph_.op_as<ops::RmsNormalization>(n)) return rms_norm(node, *op);
    if (const auto* op = graph_.op_as<ops::LayerNormalization>(n)) return layer_norm(node, *op);
    if (const auto* op = graph_.op_as<ops::RotaryEmbedding>(n)) return rotary(node, *op);
    if (const auto* op = graph_.op_as<ops::Sdpa>(n)) return attention(node, *op);
    throw Refusal{"has no row-wise form"};
  }

  // ---- elements

  void gather(const Node& node, const ops::Gather& op) {
    const ConstantPtr table = weight_of(node.inputs[0]);
    if (op.axis == 0 && table != nullptr && table->shape().size() == 2) return embed(node, table);
    // The last token's alone: `rows` chooses among all of them.
    const PackedValue& x = rows_of(node.inputs[0]);
    const size_t axis = axis_of(op.axis, x);
    const auto index = known_integers(graph_, node.inputs[1]);
    if (x.axes.kind(axis) != Kind::seq || !index || index->size() != 1 || index->front() != -1) {
      throw Refusal{"picks elements of tokens by an index"};
    }
    const bool keeps_axis = rank_of(graph_, node.inputs[1]) == 1;
    put(node.outputs[0], x.value, keeps_axis ? x.axes.last_only(axis) : x.axes.without(axis));
  }

  void embed(const Node& node, const ConstantPtr& table) {
    PackedValue index;
    if (const PackedValue* found = find(node.inputs[1])) {
      index = *found;
    } else if (is_position(graph_, inputs_, node.inputs[1])) {
      index = {position_, id_axes()};
      if (rank_of(graph_, node.inputs[1]) == 1) index.axes = index.axes.without(0);
    } else {
      throw Refusal{"reads rows by " + called(node.inputs[1]) + ", which is neither the ids nor the positions"};
    }
    if (index.value == ids_) tokens_ = table->rows();
    const ValueId weight = add_weight(called(node.inputs[0]), table);
    put(node.outputs[0], packed_.add(node.name, ops::Embedding{}, {index.value, weight}),
        index.axes.with_feature(table->row_elements()));
  }

  // Conversions among floating types are the build's to choose; ids may be converted among integers.
  void convert(const Node& node) {
    const PackedValue& x = tokens(node.inputs[0]);
    const auto is_index = [](DType dtype) { return dtype == DType::i32 || dtype == DType::i64; };
    const DType from = graph_.value(node.inputs[0]).type.dtype, to = graph_.value(node.outputs[0]).type.dtype;
    if (!(is_floating(from) && is_floating(to)) && !(is_index(from) && is_index(to))) {
      throw Refusal{"converts numbers of tokens between integers and floating types"};
    }
    put(node.outputs[0], x.value, x.axes, x.holds_past);
  }

  void unary(const Node& node, const ops::Unary& op) {
    const PackedValue& x = rows_of(node.inputs[0]);
    if (op.function == op.neg) return put(node.outputs[0], scaled(node.name, x.value, -1), x.axes);
    const std::optional<Activation> kind = activation_of(op);
    if (!kind) throw Refusal{std::string(name_of(op.function)) + " is no activation of decoders"};
    ops::Activate activate;
    activate.kind = *kind;
    put(node.outputs[0], packed_.add(node.name, std::move(activate), {x.value}), x.axes);
  }

  // cap·tanh(x / cap).
  bool soft_cap(const Node& node) {
    const auto outer = match_with_number(graph_, node.outputs[0], ops::Binary::mul);
    const ValueId inner = outer ? match_unary(graph_, past_casts(graph_, outer->value), ops::Unary::tanh) : none;
    const auto divided = inner == none ? std::nullopt : match_with_number(graph_, inner, ops::Binary::div);
    if (!divided || divided->number != outer->number) return false;
    const PackedValue& x = rows_of(divided->value);
    ops::SoftCap op;
    op.cap = static_cast<float>(outer->number);
    put(node.outputs[0], packed_.add(node.name, std::move(op), {x.value}), x.axes);
    return true;
  }

  ValueId scaled(const std::string& name, ValueId x, double factor) {
    if (factor == 1) return x;
    ops::Scale op;
    op.factor = static_cast<float>(factor);
    return packed_.add(name, std::move(op), {x});
  }

  void binary(const Node& node, const ops::Binary& op) {
    const ValueId result = node.outputs[0];
    if (soft_cap(node)) return;
    for (const auto function : {op.mul, op.div}) {
      const auto factor = match_with_number(graph_, result, function);
      if (!factor || find(factor->value) == nullptr) continue;
      const PackedValue& x = rows_of(factor->value);
      const double number = function == op.mul ? factor->number : 1 / factor->number;
      return put(result, scaled(node.name, x.value, number), x.axes);
    }
    if (op.function != op.add && op.function != op.sub && op.function != op.mul) {
      throw Refusal{std::string(name_of(op.function)) + " of two values has no row-wise form"};
    }
    if (find(node.inputs[0]) != nullptr && find(node.inputs[1]) != nullptr) {
      const PackedValue &x = rows_of(node.inputs[0]), &y = rows_of(node.inputs[1]);
      if (!x.axes.same_rows(y.axes)) throw Refusal{"combines values of different shape"};
      return put(result, combined(node.name, op.function, x.value, y.value), x.axes);
    }
    const bool constant_first = find(node.inputs[0]) == nullptr;
    const PackedValue& x = rows_of(node.inputs[constant_first ? 1 : 0]);
    const ValueId operand = node.inputs[constant_first ? 0 : 1];
    const ConstantPtr vector = vector_for(operand, x);
    if (vector == nullptr || (op.function == op.sub && constant_first)) {
      throw Refusal{"combines tokens with " + called(operand) + ", which is no constant vector over their features"};
    }
    put(result, combined(node.name, op.function, x.value, packed_.add_constant(called(operand), vector)), x.axes);
  }

  ValueId combined(const std::string& name, ops::Binary::Function function, ValueId x, ValueId y) {
    if (function == ops::Binary::mul) return packed_.add(name, ops::Multiply{}, {x, y});
    if (function == ops::Binary::sub) y = scaled(name + ".negative", y, -1);
    return packed_.add(name, ops::Add{}, {x, y});
  }

  void product(const Node& node) {
    const PackedValue& x = rows_of(node.inputs[0]);
    if (find(node.inputs[1]) != nullptr) throw Refusal{"multiplies tokens with one another"};
    const ConstantPtr weight = weight_of(node.inputs[1]);
    if (weight == nullptr || weight->shape().size() != 2) throw Refusal{"multiplies by what is no constant matrix"};
    if (x.axes.features() != std::vector<int64_t>{weight->shape()[0]}) throw Refusal{"multiplies a part of a token"};
    const ValueId rows = add_weight(called(node.inputs[1]), weight_rows(node.inputs[1]));
    put(node.outputs[0], packed_.add(node.name, ops::Linear{}, {x.value, rows}),
        x.axes.with_extent(x.axes.rank() - 1, weight->shape()[1]));
  }

  // ---- axes

  void reshape_axes(const Node& node) {
    const PackedValue& x = tokens(node.inputs[0]);
    const auto axes = x.axes.reshaped(graph_.value(node.outputs[0]).type.shape);
    if (!axes) {
      throw Refusal{"mixes tokens: " + graph_.value(node.inputs[0]).type.text() + " becomes " +
                    graph_.value(node.outputs[0]).type.text()};
    }
    put(node.outputs[0], x.value, *axes, x.holds_past);
  }

  void transpose_axes(const Node& node, const ops::Transpose& op) {
    const PackedValue& x = tokens(node.inputs[0]);
    const auto axes = x.axes.transposed(op.perm);
    if (!axes) throw Refusal{"reorders the features of a token"};
    put(node.outputs[0], x.value, *axes, x.holds_past);
  }

  void slice(const Node& node) {
    const PackedValue& x = rows_of(node.inputs[0]);
    const auto single = [&](size_t i) -> std::optional<int64_t> {
      const auto numbers = i < node.inputs.size() ? known_integers(graph_, node.inputs[i]) : std::nullopt;
      return numbers && numbers->size() == 1 ? std::optional(numbers->front()) : std::nullopt;
    };
    const std::optional<int64_t> start = single(1), end = single(2), along = single(3);
    if (!start || !end || !along || (node.inputs.size() > 4 && single(4) != 1)) {
      throw Refusal{"cuts several axes, in steps, or at places that the build does not know"};
    }
    const size_t axis = axis_of(*along, x);
    if (x.axes.kind(axis) == Kind::seq && *start == -1 && *end >= INT32_MAX) {
      return put(node.outputs[0], x.value, x.axes.last_only(axis));
    }
    if (x.axes.kind(axis) != Kind::feature) throw Refusal{"cuts the axis of tokens"};
    const primitives::SliceRange range = primitives::slice_range(x.axes.extent(axis), *start, *end, 1);
    put_columns(node.outputs[0], x, axis, range.first, range.count);
  }

  void split(const Node& node, const ops::Split& op) {
    const PackedValue x = rows_of(node.inputs[0]);
    const size_t axis = axis_of(op.axis, x);
    if (x.axes.kind(axis) != Kind::feature) throw Refusal{"cuts the axis of tokens"};
    int64_t start = 0;
    for (const ValueId output : node.outputs) {
      const Dim& extent = graph_.value(output).type.shape[axis];
      if (!extent.is_constant()) throw Refusal{"cuts at places that the build does not know"};
      put_columns(output, x, axis, start, extent.constant());
      start += extent.constant();
    }
  }

  void put_columns(ValueId output, const PackedValue& x, size_t axis, int64_t start, int64_t count) {
    if (count < 1) throw Refusal{"takes nothing of a token"};
    const ValueId part = columns(called(output), x.value, x.axes.columns(axis, start, count));
    put(output, part, x.axes.with_extent(axis, count));
  }

  // Keys or values of earlier tokens, and of these.
  void join(const Node& node, const ops::Concat& op) {
    const bool has_past =
        node.inputs.size() == 2 &&
        std::find(inputs_.past.begin(), inputs_.past.end(), past_casts(graph_, node.inputs[0])) != inputs_.past.end();
    const PackedValue& x = rows_of(node.inputs.back());
    const size_t axis = axis_of(op.axis, x);
    if (!has_past || x.axes.kind(axis) != Kind::seq) throw Refusal{"joins values of tokens"};
    put(node.outputs[0], x.value, x.axes.with_past(axis, graph_.value(node.outputs[0]).type.shape.at(axis)), true);
  }

  // ---- what was raised

  /// A vector [width] among the operands of a norm, none where it is absent.
  ValueId norm_vector(const Node& node, size_t input, int64_t width) {
    const ValueId value = input < node.inputs.size() ? node.inputs[input] : none;
    if (value == none) return none;
    const ValueId source = past_casts(graph_, value);
    if (!is_last_axis_vector(graph_, source, Dim(width)))
      throw Refusal{"has a gain or bias that is no constant vector"};
    return packed_.add_constant(called(source), reshape(graph_.value(source).constant, {width}));
  }
  /// The extent that a norm is taken over.
  int64_t normed_width(const PackedValue& x, int64_t axis) const {
    const std::vector<int64_t> features = x.axes.features();
    if (!is_last_axis(axis, x.axes.rank()) || x.axes.kind(x.axes.rank() - 1) != Kind::feature) {
      throw Refusal{"normalises over more than the last axis"};
    }
    return features.back();
  }

  void rms_norm(const Node& node, const ops::RmsNormalization& op) {
    const PackedValue& x = rows_of(node.inputs[0]);
    const int64_t width = normed_width(x, op.axis);
    ops::RmsNorm norm;
    norm.epsilon = op.epsilon;
    norm.groups = x.axes.width() / width;
    put(node.outputs[0], packed_.add(node.name, std::move(norm), {x.value, norm_vector(node, 1, width)}), x.axes);
  }

  void layer_norm(const Node& node, const ops::LayerNormalization& op) {
    const PackedValue& x = rows_of(node.inputs[0]);
    const int64_t width = normed_width(x, op.axis);
    if (width != x.axes.width()) throw Refusal{"normalises parts of tokens"};
    ops::LayerNorm norm;
    norm.epsilon = op.epsilon;
    const ValueId gain = norm_vector(node, 1, width), bias = norm_vector(node, 2, width);
    put(node.outputs[0], packed_.add(node.name, std::move(norm), {x.value, gain, bias}), x.axes);
  }

  /// Heads and their width, of [batch, heads, tokens, width].
  std::pair<int64_t, int64_t> heads_of(ValueId value) const {
    const PackedValue& x = tokens(value);
    const auto within = [&](size_t axis) {
      return x.axes.kind(axis) == Kind::feature || x.axes.kind(axis) == Kind::one;
    };
    if (x.axes.rank() != 4 || !within(1) || x.axes.kind(2) != Kind::seq || !within(3))
      throw Refusal{"works on what has no heads"};
    return {extent_of(graph_, value, 1).constant(), extent_of(graph_, value, 3).constant()};
  }

  void rotary(const Node& node, const ops::RotaryEmbedding& op) {
    const PackedValue& x = rows_of(node.inputs[0]);
    const RotaryFit* const fit = rotary_fits_.of(node);
    if (fit == nullptr) throw Refusal{"rotates by angles that are not proportional to the positions"};
    ops::Rotary rotary;
    std::tie(rotary.heads, rotary.head_dim) = heads_of(node.inputs[0]);
    rotary.factor = fit->factor;
    rotary.interleaved = op.interleaved;
    put(node.outputs[0], packed_.add(node.name, std::move(rotary), {x.value, position_, frequencies(*fit)}), x.axes);
  }

  ValueId frequencies(const RotaryFit& fit) {
    for (const auto& [known, value] : frequencies_) {
      if (known == fit.inverse_frequency) return value;
    }
    const std::span<const float> values(fit.inverse_frequency);
    const ValueId made =
        packed_.add_constant("inverse_frequency", make_constant(Tensor::of({std::ssize(values)}, values)));
    frequencies_.emplace_back(fit.inverse_frequency, made);
    return made;
  }

  /// How many tokens one sees, up to itself, 0: all; nothing where it sees others.
  std::optional<int64_t> window_of(const ops::Sdpa& op, ValueId mask) {
    if (mask == none) return op.causal ? std::optional(op.window) : std::nullopt;
    if (!op.causal && op.window > 0) return std::nullopt;
    if (graph_.value(mask).type.dtype == DType::boolean && op.hidden_score > hiding_score) return std::nullopt;
    const auto [found, is_new] = windows_.try_emplace({mask, op.causal});
    if (is_new) found->second = causal_window(graph_, inputs_, mask, op.causal);
    if (!found->second) return std::nullopt;
    const int64_t seen = *found->second;
    return op.window == 0 || seen == 0 ? std::max(op.window, seen) : std::min(op.window, seen);
  }

  void attention(const Node& node, const ops::Sdpa& op) {
    const auto operand = [&](size_t i) { return i < node.inputs.size() ? node.inputs[i] : none; };
    const std::optional<int64_t> window = window_of(op, operand(3));
    if (!window || op.scores != op.none) throw Refusal{"lets tokens see others than those before them"};
    if ((op.causal && !counts_tokens(graph_, inputs_, operand(4), 0)) ||
        (operand(5) != none && !counts_tokens(graph_, inputs_, operand(5), 1))) {
      throw Refusal{"does not begin behind the earlier tokens"};
    }
    const PackedValue &query = rows_of(node.inputs[0]), &key = tokens(node.inputs[1]), &value = tokens(node.inputs[2]);
    const bool has_past = !inputs_.past.empty();
    if (key.holds_past != has_past || value.holds_past != has_past) {
      throw Refusal{"does not read the earlier tokens' keys and values"};
    }
    const auto [heads, head_dim] = heads_of(node.inputs[0]);
    const auto [kv_heads, key_dim] = heads_of(node.inputs[1]);
    if (heads_of(node.inputs[2]) != std::pair(kv_heads, key_dim) || head_dim != key_dim || heads % kv_heads != 0) {
      throw Refusal{"has heads of different size for queries, keys and values"};
    }
    ops::KvWrite write;
    ops::Attention attend;
    write.layer = attend.layer = layers_++;
    write.kv_heads = attend.kv_heads = kv_heads;
    write.head_dim = attend.head_dim = head_dim;
    write.window = attend.window = *window;
    attend.heads = heads;
    attend.scale = op.scale;
    attend.soft_cap = op.soft_cap;
    const ValueId cache = packed_.add(node.name + ".kv_write", std::move(write), {key.value, value.value, position_});
    put(node.outputs[0], packed_.add(node.name, std::move(attend), {query.value, position_, cache}), query.axes);
  }

  const DecoderInputs& inputs_;
  RotaryFits rotary_fits_;
  ValueId ids_ = none, position_ = none, rows_ = none;
  int64_t layers_ = 0, tokens_ = 0;                                 // tokens_: that have an embedding
  std::map<ValueId, std::pair<std::string, std::string>> reasons_;  // why a value has no rows: node, fault
  std::vector<std::pair<std::vector<float>, ValueId>> frequencies_;
  std::map<std::pair<ValueId, bool>, std::optional<int64_t>> windows_;  // by mask, and whether attention is causal
};

/// What embedders call their first output, which is as long as logits and is none.
bool is_hidden_state(std::string_view name) {
  return name == "last_hidden_state" || name == "hidden_states" || name == "token_embeddings";
}

}  // namespace

void pack_tokens(Graph& graph, const PassContext& context) {
  const std::optional<DecoderInputs> inputs = find_decoder_inputs(graph);
  const ValueId logits = find_logits(graph);
  if (!inputs || logits == none) return;
  try {
    if (const std::string& name = graph.value(logits).name; is_hidden_state(name)) {
      throw Error(name, "is no output of logits");
    }
    graph = Packer(graph, *inputs).pack(logits);
  } catch (const Error& error) {
    context.note = error.thing() + ": " + error.fault();
  }
}

}  // namespace incipit
