// Every kernel family: its problem, its arguments, its scalar reference and its kernels (kernel.h says what these are).
//
// "rows" below are the leading axis of activations (tokens, or sampled rows). Strides count elements. Reference
// functions compute in double or float with the plainest loops and define what every kernel must return.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/activation.h"
#include "base/dtype.h"
#include "base/routing.h"
#include "kernels/attention_families.h"
#include "kernels/batch.h"
#include "kernels/layout.h"
#include "kernels/weight_layout.h"

namespace incipit {

template <typename Family>
struct Kernel;

/// out[r, :] = table[ids[r], :]. The ids are tokens, or positions where a model learned a vector for each.
struct Embedding {
  struct Problem {
    static constexpr std::string_view family = "embedding";
    int32_t vocabulary = 0, width = 0;
    DType table = DType::f32;   // f32, bf16 or f16, row-major [vocabulary, width], unpadded
    DType output = DType::f32;  // f32
    float scale = 1;            // multiplies every element
    template <typename V>
    void fields(V& v) {
      v("vocabulary", vocabulary), v("width", width), v("table", table), v("output", output), v("scale", scale);
    }
  };
  struct Args {
    int32_t rows;
    const int32_t* ids;  // in [0, vocabulary)
    const std::byte* table;
    std::byte* output;
    int64_t output_stride;
    bool pad_output = true;  // as Linear's
  };
  static void reference(const Problem&, const Args&);
  static std::span<const Kernel<Embedding>> kernels();
};

/// The embedding row gathered back from a *packed* weight (tied embeddings keep one copy): same result as Embedding
/// on the dequantised weight.
struct PackedEmbedding {
  struct Problem {
    static constexpr std::string_view family = "packed_embedding";
    int32_t vocabulary = 0, width = 0;
    WeightFormat format = WeightFormat::f32;
    float scale = 1;
    WeightShape weight() const { return weight_shape(format, vocabulary, width, false); }
    template <typename V>
    void fields(V& v) {
      v("vocabulary", vocabulary), v("width", width), v("format", format), v("scale", scale);
    }
  };
  struct Args {
    int32_t rows;
    const int32_t* ids;
    PackedWeight table;
    float* output;  // f32 rows
    int64_t output_stride;
    bool pad_output = true;  // as Linear's
  };
  static void reference(const Problem&, const Args&, const WeightLayout& layout = panel16);
  static std::span<const Kernel<PackedEmbedding>> kernels();
};

/// That a product's input is the RMS norm of f32 rows, without gain and groups, which a kernel may read in its place
/// (Kernel::normalizes).
struct InputNorm {
  bool any = false;
  float epsilon = 0;
  template <typename V>
  void fields(V& v) {
    v("norm", any), v("epsilon", epsilon);
  }
};

/// out[r, j] = activation(Σ_k in[r, k] · W[j, k] + bias[j]) + residual[r, j].
/// The input is what the format says; i8 rows have a scale each (product = code·code·scale·scale, sums exact in i32).
/// A format of i8 rows also takes f32 or bf16 ones, which the kernel quantises as QuantizeRows does it, to the same
/// bits. Accumulates in f32. When gated, n counts gate and up rows and the output has n/2 columns. A product without
/// activation and residual may write its last outputs into pages (KvOutputs); the others, if any, are its output.
struct Linear {
  struct Problem {
    static constexpr std::string_view family = "linear";
    int32_t n = 0, k = 0;
    WeightFormat format = WeightFormat::f32;
    DType input = DType::f32;   // as the format; any where that is i8
    DType output = DType::f32;  // f32 | bf16
    bool bias = false;          // f32 [n], in packed order, zero padded
    bool residual = false;      // f32 rows, added last; may alias the output
    Activation activation = Activation::none;
    KvOutputs kv = {};
    InputNorm norm = {};  // of an input of f32 or bf16
    int32_t output_width() const { return is_gated(activation) ? n / 2 : n - 2 * static_cast<int32_t>(kv.width()); }
    /// An accelerator's kernels write such keys and values, or there are none.
    bool fits_kv() const { return !kv.any() || (activation == Activation::none && !residual && kv.fits_blocks(n)); }
    /// The kernel makes the codes of its input.
    bool quantizes() const { return format.multiplies_codes() && input != DType::i8; }
    WeightShape weight() const { return {format, n, k, kv.any() ? kv.pairs(n) : gate_and_up(n, is_gated(activation))}; }
    template <typename V>
    void fields(V& v) {
      v("n", n), v("k", k), v("format", format), v("input", input), v("output", output), v("bias", bias),
          v("residual", residual), v("activation", activation);
      bool has_kv = kv.any(), has_norm = norm.any;
      if constexpr (requires { v.is_next("kv_heads"); }) has_kv = v.is_next("kv_heads");
      if (has_kv) kv.fields(v);
      if constexpr (requires { v.is_next("norm"); }) has_norm = v.is_next("norm");
      if (has_norm) norm.fields(v);
    }
  };
  struct Args {
    int32_t rows;
    const std::byte* input;  // rows padded with zeros to 64 elements, and rows_behind() them (layout.h)
    int64_t input_stride;
    const float* input_scales;  // [rows], i8 input only
    PackedWeight weight;
    const float* bias;
    const float* residual;  // and rows_behind() them
    int64_t residual_stride;
    std::byte* output;
    int64_t output_stride;
    /// The output is a whole buffer: write zeros up to row_stride(output_width) (or the stride, if less).
    bool pad_output;
    KvOutputs::Args kv = {};
    const float* unnormed = nullptr;  // with a norm: the rows that it is of
    int64_t unnormed_stride = 0;
  };
  static void reference(const Problem&, const Args&, const WeightLayout& layout = panel16);
  static std::span<const Kernel<Linear>> kernels();
};

/// RMS norm, optionally of a sum: s = x (+ addend); out = s · rsqrt(mean(s²) + epsilon) (· gain). With `add`, s is
/// written too. An i8 output is quantised per row as QuantizeRows does it, but for the last rounding.
/// With `groups` above 1 each of as many equal column groups (a head's query or key) has its own mean, and the gain, of
/// a group's width, is shared; then there is no addend and no i8 output.
struct RmsNorm {
  struct Problem {
    static constexpr std::string_view family = "rms_norm";
    int32_t width = 0;
    float epsilon = 0;
    bool gain = false;          // f32 [group_width()]
    bool add = false;           // a second f32 input, and the sum as a second f32 output
    DType output = DType::f32;  // f32 | bf16 | i8 (+ scales)
    int32_t groups = 1;         // divides the width
    int32_t group_width() const { return width / groups; }
    template <typename V>
    void fields(V& v) {
      v("width", width), v("epsilon", epsilon), v("gain", gain), v("add", add), v("output", output),
          v("groups", groups);
    }
  };
  struct Args {
    int32_t rows;
    const float* input;  // may be the f32 output itself
    int64_t input_stride;
    const float* addend;
    int64_t addend_stride;
    const float* gain;
    float* sum;  // may alias input or addend
    int64_t sum_stride;
    std::byte* output;
    int64_t output_stride;
    float* output_scales;    // [rows], i8 only
    bool pad_output = true;  // as Linear's; the sum is padded too
  };
  static void reference(const Problem&, const Args&);
  static std::span<const Kernel<RmsNorm>> kernels();
};

/// Layer norm (Ba, Kiros, Hinton, 2016): out = (x − mean(x)) · rsqrt(variance(x) + epsilon) (· gain) (+ bias), the
/// variance being mean((x − mean(x))²). An i8 output is quantised per row as QuantizeRows does it.
/// With `groups` above 1 each of as many equal column groups (a head) has its own mean and variance, and its own part
/// of gain and bias; then there is no i8 output.
struct LayerNorm {
  struct Problem {
    static constexpr std::string_view family = "layer_norm";
    int32_t width = 0;
    float epsilon = 0;
    bool gain = false, bias = false;  // f32 [width] each
    DType output = DType::f32;        // f32 | bf16 | i8 (+ scales)
    int32_t groups = 1;               // divides the width
    int32_t group_width() const { return width / groups; }
    template <typename V>
    void fields(V& v) {
      v("width", width), v("epsilon", epsilon), v("gain", gain), v("bias", bias), v("output", output),
          v("groups", groups);
    }
  };
  struct Args {
    int32_t rows;
    const float* input;
    int64_t input_stride;
    const float* gain;
    const float* bias;
    std::byte* output;
    int64_t output_stride;
    float* output_scales;    // [rows], i8 only
    bool pad_output = true;  // as Linear's
  };
  static void reference(const Problem&, const Args&);
  static std::span<const Kernel<LayerNorm>> kernels();
};

/// Codes of rows, by the rule of base/codes.h.
/// Each of `groups` equal column groups has a scale of its own.
struct QuantizeRows {
  struct Problem {
    static constexpr std::string_view family = "quantize_rows";
    int32_t width = 0;
    DType input = DType::f32;  // f32 | bf16
    int32_t groups = 1;        // divides the width
    int32_t group_width() const { return width / groups; }
    template <typename V>
    void fields(V& v) {
      v("width", width), v("input", input), v("groups", groups);
    }
  };
  struct Args {
    int32_t rows;
    const std::byte* input;
    int64_t input_stride;
    int8_t* output;
    int64_t output_stride;
    float* scales;           // [rows, groups]
    bool pad_output = true;  // as Linear's; the scales have no padding of theirs
    int64_t scale_stride = 1;
  };
  static void reference(const Problem&, const Args&);
  static std::span<const Kernel<QuantizeRows>> kernels();
};

/// Columnwise work on whole rows. `copy` converts dtypes; add/multiply take two inputs; activations one;
/// gate takes gate (first) and up (second): activation(first) · second; soft_cap: factor · tanh(x / factor);
/// xielu takes the four numbers of its curve (base/xielu.h) as one second row.
enum class ElementwiseOp : uint8_t { copy, add, multiply, activate, gate, scale, soft_cap, xielu };
constexpr std::array<std::string_view, 8> elementwise_names{"copy", "add",   "multiply", "activate",
                                                            "gate", "scale", "soft_cap", "xielu"};
constexpr const auto& enumeration_names(ElementwiseOp) { return elementwise_names; }

struct Elementwise {
  struct Problem {
    static constexpr std::string_view family = "elementwise";
    ElementwiseOp op = ElementwiseOp::copy;
    Activation activation = Activation::none;  // for activate and gate: an ungated one
    int32_t width = 0;
    DType first = DType::f32, second = DType::f32, output = DType::f32;  // f32 | bf16
    float factor = 1;                                                    // for scale and soft_cap
    bool row_vector = false;  // the second input is one row (a bias, gain or curve), used for every row
    int32_t second_width() const { return op == ElementwiseOp::xielu ? 4 : width; }
    template <typename V>
    void fields(V& v) {
      v("op", op), v("activation", activation), v("width", width), v("first", first), v("second", second),
          v("output", output), v("factor", factor), v("row_vector", row_vector);
    }
  };
  struct Args {
    int32_t rows;
    const std::byte* first;
    int64_t first_stride;
    const std::byte* second;
    int64_t second_stride;
    std::byte* output;  // may alias an input
    int64_t output_stride;
    bool pad_output;
  };
  static void reference(const Problem&, const Args&);
  static std::span<const Kernel<Elementwise>> kernels();
};

/// out[r, :] = in[index[r], :], whatever the dtype: rows of activations, codes, and their scales (width 1).
struct GatherRows {
  struct Problem {
    static constexpr std::string_view family = "gather_rows";
    int32_t width = 0;
    DType dtype = DType::f32;
    template <typename V>
    void fields(V& v) {
      v("width", width), v("dtype", dtype);
    }
  };
  struct Args {
    int32_t rows;  // of the output
    const int32_t* index;
    const std::byte* input;
    int64_t input_stride;
    std::byte* output;
    int64_t output_stride;
    bool pad_output;
  };
  static void reference(const Problem&, const Args&);
  static std::span<const Kernel<GatherRows>> kernels();
};

/// Chooses a row's experts and their weights by the rule of base/routing.h.
struct Router {
  struct Problem : Routing {
    static constexpr std::string_view family = "router";
    bool correction = false;  // f32 [experts]
    template <typename V>
    void fields(V& v) {
      v("experts", experts), v("top_k", top_k), v("normalize", normalize), v("scores", scores), v("floor", floor),
          v("scale", scale), v("groups", groups), v("top_groups", top_groups), v("group_best", group_best),
          v("jitter", jitter), v("correction", correction);
    }
  };
  struct Args {
    int32_t rows;
    const float* logits;  // [rows, experts]
    int64_t logit_stride;
    int32_t* expert;  // [rows, top_k]
    int64_t expert_stride;
    float* weight;  // [rows, top_k]
    int64_t weight_stride;
    bool pad_output;  // both outputs are whole buffers
    const float* correction = nullptr;
  };
  static void reference(const Problem&, const Args&);
  static std::span<const Kernel<Router>> kernels();
};

/// The experts' products: out[r, slot · M + j] = activation(Σ_k in[r, (slot ·) k] · W[e][j, k] + bias[e][j]) with
/// e = expert[r, slot], for top_k slots a row. Linear's rules hold for formats, accumulation and gates; M is
/// output_width(). The weight holds the packed experts one after another. Of an expert that no slot names no byte is
/// read. A slot whose expert is out of range is left unwritten.
struct ExpertLinear {
  struct Problem {
    static constexpr std::string_view family = "expert_linear";
    int32_t experts = 0, top_k = 0;
    int32_t n = 0, k = 0;  // of one expert; n counts gate and up rows when gated
    WeightFormat format = WeightFormat::f32;
    DType input = DType::f32;   // as the format
    DType output = DType::f32;  // as Linear's
    bool shared = false;        // the slots of a row have one input; otherwise slot s has columns [s·k, (s+1)·k)
    Activation activation = Activation::none;
    bool slot_scales = false;  // of i8 inputs that are not shared: a scale a slot, not a row
    bool bias = false;         // f32 [experts][n], each expert's in packed order, zero padded
    int32_t output_width() const { return is_gated(activation) ? n / 2 : n; }
    int64_t input_width() const { return shared ? k : int64_t{k} * top_k; }
    int64_t slots_width() const { return int64_t{output_width()} * top_k; }
    WeightShape weight() const { return weight_shape(format, n, k, is_gated(activation)); }  // of one expert
    template <typename V>
    void fields(V& v) {
      v("experts", experts), v("top_k", top_k), v("n", n), v("k", k), v("format", format), v("input", input),
          v("output", output), v("shared", shared), v("activation", activation), v("slot_scales", slot_scales),
          v("bias", bias);
    }
  };
  struct Args {
    int32_t rows;
    const std::byte* input;
    int64_t input_stride;
    const float* input_scales;  // [rows], with slot_scales [rows, top_k]; i8 only
    int64_t input_scale_stride;
    const int32_t* expert;  // [rows, top_k]
    int64_t expert_stride;
    PackedWeight weight;  // of all experts
    std::byte* output;
    int64_t output_stride;
    bool pad_output;  // as Linear's
    const float* bias = nullptr;
  };
  static void reference(const Problem&, const Args&, const WeightLayout& layout = panel16);
  static std::span<const Kernel<ExpertLinear>> kernels();
};

/// out[r, :] = Σ_slot weight[r, slot] · in[r, slot · width …] (+ residual[r, :]), summed in the order of the slots.
struct WeightedSum {
  struct Problem {
    static constexpr std::string_view family = "weighted_sum";
    int32_t width = 0, slots = 0;
    bool residual = false;  // may alias the output
    template <typename V>
    void fields(V& v) {
      v("width", width), v("slots", slots), v("residual", residual);
    }
  };
  struct Args {
    int32_t rows;
    const float* input;  // [rows, slots · width]
    int64_t input_stride;
    const float* weight;  // [rows, slots]
    int64_t weight_stride;
    const float* residual;
    int64_t residual_stride;
    float* output;
    int64_t output_stride;
    bool pad_output;  // as Linear's
  };
  static void reference(const Problem&, const Args&);
  static std::span<const Kernel<WeightedSum>> kernels();
};

}  // namespace incipit
