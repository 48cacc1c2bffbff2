// Builds decoder graphs: the parts that architectures are put together from. Nodes are named after the checkpoint's
// modules, constants after its tensors. Biases and residuals are nodes of their own here; passes fuse them.
#pragma once

#include <string>
#include <string_view>

#include "graph/model.h"
#include "graph/ops/router.h"
#include "import/hf/decoder_geometry.h"
#include "import/hf/tensor_source.h"

namespace incipit {

enum class Bias { absent, present };
inline Bias bias_if(bool present) { return present ? Bias::present : Bias::absent; }

/// What attention reads, each f32[T, its heads · head_dim].
struct Projections {
  ValueId query = none, key = none, value = none;
};

/// Rotary frequencies in the graph; without them nothing turns.
struct RotaryValue {
  ValueId inverse_frequency = none;
  float factor = 1;
  float growth = 0;  // of queries (base/rotary.h)
  int64_t growth_length = 1;
  bool interleaved = false;  // pairs neighbours, not halves
};

/// Norms of query and key: none, one for every head, or one over all of them.
enum class HeadNorm : uint8_t { absent, each, whole };

struct AttentionSpec {
  float scale = 1;     // of the products q·k
  float soft_cap = 0;  // of the scaled products; 0: none
  int64_t window = 0;  // positions a query sees, itself included; 0: all
  RotaryValue rotary;
  HeadNorm norm = HeadNorm::absent;
  bool norm_after_rotary = false;
  ValueId slopes = none;  // DecoderBuilder::alibi
  bool sinks = false;     // MODULE.sinks [heads]
  std::string_view query_norm = "q_norm", key_norm = "k_norm", output = "o_proj";
};

/// A sparse MLP: gated ones, of which a router chooses some for each token, and one that all tokens take. Names are of
/// tensors and modules within the MLP's; one that is empty stands for what is not there.
struct ExpertSpec {
  int64_t count = 0, width = 0;
  ops::Router router;  // how many are chosen, and by what rule
  std::string_view router_module = "gate";
  std::string_view correction = {};  // [count], or [1, count]: added to the scores for the choice alone
  bool correction_is_row = false;
  Bias bias = Bias::absent;  // of the router and of the experts' products
  bool clamped = false;      // gpt-oss's activation, not the geometry's
  /// An expert's products, as MODULE.experts.N.NAME.weight; or all experts' in one tensor:
  std::string_view gate = "gate_proj", up = "up_proj", down = "down_proj";
  std::string_view all_gate_up = "experts.gate_up_proj";  // [count, 2·width, hidden]
  std::string_view all_down = "experts.down_proj";        // [count, hidden, width]
  bool transposed = false;  // [count, hidden, 2·width], gate and up by turns, and [count, width, hidden]
  std::string_view shared = {};
  int64_t shared_width = 0;
  std::string_view shared_gate = {};  // a product of one output, whose sigmoid multiplies the shared MLP's result
};

/// Rows of all parts; as f32 where a checkpoint mixes element types.
ConstantPtr concatenate_mixed(std::vector<ConstantPtr> parts);

class DecoderBuilder {
 public:
  /// Adds the inputs ids, position and rows. `weights` must outlive the builder.
  DecoderBuilder(const DecoderGeometry& geometry, TensorSource& weights);

  /// ids → f32[T, hidden], times `scale`.
  ValueId embedding(const std::string& module, float scale = 1);
  /// position → f32[T, hidden]: a learned row for each of max_position positions, behind `first` rows of no position.
  ValueId position_embedding(const std::string& module, int64_t first = 0);

  /// x [N, W] → RmsNorm(x), for each of `groups` equal groups of columns (heads) with the same gain.
  ValueId rms_norm(const std::string& module, ValueId x, int64_t groups = 1);
  /// x [N, W] → LayerNorm(x), with gain and, unless the geometry's norms have none, bias.
  ValueId layer_norm(const std::string& module, ValueId x);
  /// The geometry's norm.
  ValueId norm(const std::string& module, ValueId x);
  /// The geometry's norm for each of `heads` heads. An RMS norm has one gain for all of them; a layer norm has one for
  /// each: MODULE.weight [heads, head_dim], or MODULE.norms.N.weight.
  ValueId head_norm(const std::string& module, ValueId x, int64_t heads);

  /// x [N, K] → [N, outputs] = x·Wᵀ (+ bias), of the tensors MODULE.weight [outputs, K] and MODULE.bias.
  ValueId linear(const std::string& module, ValueId x, int64_t outputs, Bias bias = Bias::absent);
  /// The same with weights that are no tensors of the checkpoint as they stand; `bias` may be null.
  ValueId product(const std::string& module, ValueId x, ConstantPtr weight, ConstantPtr bias = nullptr);

  ValueId add(const std::string& name, ValueId x, ValueId y);
  /// x itself where the factor is 1.
  ValueId scale(const std::string& name, ValueId x, float factor);
  /// x itself where the cap is 0.
  ValueId soft_cap(const std::string& name, ValueId x, float cap);
  /// The geometry's activation.
  ValueId activate(const std::string& name, ValueId x);

  RotaryValue rotary(const std::string& name, const Rope& rope);
  /// A slope for every head, halving in a geometric row (Press et al.: ALiBi, 2022), times `scale`.
  ValueId alibi(float scale = 1);
  /// The usual attention: scores divided by √head_dim.
  AttentionSpec plain_attention(const RotaryValue& rotary) const;
  /// q_proj, k_proj and v_proj; or where the checkpoint has them in one, qkv_proj.
  Projections project(const std::string& module, ValueId x, Bias bias = Bias::absent);
  /// Their rows in one tensor: MODULE.qkv_proj.
  Projections project_merged(const std::string& module, ValueId x, Bias bias = Bias::absent);
  /// The same of a tensor whose rows lie by KV head: its query heads', its own, its values'.
  Projections project_grouped(const std::string& module, ValueId x, Bias bias = Bias::absent);
  /// Norms and rotates query and key, writes the cache, attends: → f32[T, heads · head_dim].
  ValueId attend(const std::string& module, int64_t layer, const Projections& projections, const AttentionSpec& spec);
  /// project, attend and the output's product: f32[T, hidden] → f32[T, hidden].
  ValueId self_attention(const std::string& module, int64_t layer, ValueId x, const AttentionSpec& spec,
                         Bias query_key_value = Bias::absent, Bias output = Bias::absent);

  /// The same with a norm for every head of query (q_norm) and key (k_norm), before they turn.
  ValueId normed_self_attention(const std::string& module, int64_t layer, ValueId x, const AttentionSpec& spec,
                                Bias bias = Bias::absent);

  /// activation(gate) · up.
  ValueId gated(const std::string& module, ValueId gate, ValueId up);
  /// down_proj(activation(gate_proj(x)) · up_proj(x)); gate_up_proj in place of both where the checkpoint has it.
  /// Of the geometry's width, where none is given.
  ValueId gated_mlp(const std::string& module, ValueId x, Bias bias = Bias::absent, int64_t width = 0);
  /// The same of MODULE.gate_up_proj.
  ValueId merged_gated_mlp(const std::string& module, ValueId x, Bias bias = Bias::absent, int64_t width = 0);
  /// down(activation(up(x))).
  ValueId plain_mlp(const std::string& module, ValueId x, Bias bias = Bias::absent, std::string_view up = "up_proj",
                    std::string_view down = "down_proj");
  /// xIELU with the curve of MODULE.alpha_p, alpha_n, beta and eps.
  ValueId xielu(const std::string& module, ValueId x);
  /// The sum of the chosen experts' gated MLPs, weighed by the router, and of the shared one's.
  ValueId sparse_mlp(const std::string& module, ValueId x, const ExpertSpec& experts);

  /// The sampled rows of x f32[T, hidden].
  ValueId sampled_rows(ValueId x);
  /// x f32[R, hidden] → logits f32[R, vocabulary], with the embedding table where the weights are tied, by flag or by
  /// equal contents. Throws Error when the head is missing though the flag says untied, or contradicts the flag.
  ValueId output_head(const std::string& module, ValueId x, Bias bias = Bias::absent);
  /// Ends the build: `model`'s graph and sizes.
  void finish(ValueId logits, Model& model);

 private:
  ConstantPtr take(const std::string& tensor, const Shape& shape) { return weights_.take(tensor, shape); }
  ConstantPtr take_gain(const std::string& tensor, int64_t width);
  int64_t width_of(ValueId x) const;
  bool is_merged(const std::string& module, std::string_view part, std::string_view merged) const;
  ValueId rotate(const std::string& name, ValueId x, const RotaryValue& rotary, bool is_query);
  ValueId norm_heads(const std::string& module, ValueId x, int64_t heads, HeadNorm norm);
  int64_t table_width() const { return geometry_.table_width == 0 ? geometry_.hidden : geometry_.table_width; }
  ConstantPtr take_experts(const std::string& module, const ExpertSpec& experts, bool inner);
  ConstantPtr take_expert_biases(const std::string& module, const ExpertSpec& experts, bool inner);
  ValueId expert_product(const std::string& module, ValueId x, ValueId choice, const ExpertSpec& experts, bool inner);
  ValueId shared_mlp(const std::string& module, ValueId x, const ExpertSpec& experts, ValueId sum);

  const DecoderGeometry& geometry_;
  TensorSource& weights_;
  Graph graph_;
  ValueId ids_, position_, rows_;
  ValueId table_ = none;  // the embedding table
};

}  // namespace incipit
