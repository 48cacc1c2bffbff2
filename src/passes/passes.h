// The passes, one file each, in the order of list.cpp. What each of them does, with an example: docs/passes.md.
#pragma once

namespace incipit {

class Graph;
struct PassContext;

/// Nodes whose inputs are all small constants become constants, and so do integers that shapes are computed with where
/// they are known.
void fold_constants(Graph& graph, const PassContext& context);
/// Primitives that change nothing go: conversions to the type that is there, reshapes to the same shape, dropout.
void simplify_primitives(Graph& graph, const PassContext& context);
/// x·sigmoid(x) and the two forms of GELU become one function.
void raise_activations(Graph& graph, const PassContext& context);
/// x / sqrt(mean(x²) + ε) and its relatives become RmsNormalization and LayerNormalization, with gain and bias.
void raise_norms(Graph& graph, const PassContext& context);
/// x·cos + turn(x)·sin becomes RotaryEmbedding.
void raise_rotary(Graph& graph, const PassContext& context);
/// softmax(q·kᵀ·scale + mask)·v becomes Sdpa, which repeats no keys and values; a causal mask becomes an attribute.
void raise_attention(Graph& graph, const PassContext& context);
/// A decoder [batch, seq] gets one axis of tokens, and a cache that is written and read; others stay as they are.
void pack_tokens(Graph& graph, const PassContext& context);
/// In a graph that is no decoder, primitives on rows become the ops that kernels compute: products with weights, norms,
/// sums and activations.
void raise_rows(Graph& graph, const PassContext& context);
/// Drops nodes and constants that no output depends on.
void remove_unused(Graph& graph, const PassContext& context);
/// A multiplication by a number goes into a constant or attribute of what makes the value: an embedding's scale, a
/// norm's gain, a product's weight and bias (a tied head's input instead); of what reads it: the scale of attention,
/// the weights of products.
void fold_scale(Graph& graph, const PassContext& context);
/// The gain of a norm is multiplied into the columns of the weights behind it, where all its uses are products whose
/// weights have no other use (a tied head keeps its norm's gain). In four bits gains stay.
void fold_norm_gain(Graph& graph, const PassContext& context);
/// GatherRows moves up through row-wise ops, so that in the last layer only the sampled rows have a query, attention
/// output and MLP.
void prune_last_positions(Graph& graph, const PassContext& context);
/// The q, k and v products of a layer that share their input become one, sliced by columns.
void merge_qkv(Graph& graph, const PassContext& context);
/// The gate and up products of an MLP become one, sliced by columns.
void merge_gate_up(Graph& graph, const PassContext& context);
/// activation(gate) · up moves into the epilogue of the merged product. The experts' gate and up products merge here.
void fuse_gate(Graph& graph, const PassContext& context);
/// Bias, activation and residual move into the Linear before them, a residual also into the experts' weighted sum.
void fuse_epilogues(Graph& graph, const PassContext& context);
/// A residual sum that no Linear took, and its norm, become AddRmsNorm.
void fuse_residual_norm(Graph& graph, const PassContext& context);
/// Rotary becomes a table that the layers share, and its application.
void share_rotary(Graph& graph, const PassContext& context);
/// The application of a table moves into what reads the rotated heads: the write of keys, the attention of queries.
void fuse_rotary(Graph& graph, const PassContext& context);
/// Weights take the format of the precision, activations are converted in front of products, caches get their dtype;
/// constants end in a dtype that kernels read.
void quantize(Graph& graph, const PassContext& context);
/// A conversion moves into the op that produces its input.
void fuse_conversions(Graph& graph, const PassContext& context);
/// What is left of quantising moves into the one product that reads it.
void fuse_quantization(Graph& graph, const PassContext& context);
/// Keys and values that are a product's last columns, and nothing else's: its kernel may write them into their pages.
void fuse_kv_write(Graph& graph, const PassContext& context);

}  // namespace incipit
