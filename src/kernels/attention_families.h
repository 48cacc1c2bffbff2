// The families of attention: rotary tables and rotations, keys and values, attention itself. families.h includes them
// with the others and says how they are written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/dtype.h"
#include "kernels/batch.h"
#include "kernels/layout.h"
#include "kernels/weight_layout.h"

namespace incipit {

template <typename Family>
struct Kernel;

/// Cosines and sines of a step, shared by all layers of one rotary base:
/// out[r, i] = factor · cos(position[r] · inverse_frequency[i]), out[r, pairs + i] = the sine; i < pairs. The factor
/// grows with the position where there is a growth (base/rotary.h).
/// Angles are formed and reduced in double from the f32 frequency: exact for any position.
struct RotaryTable {
  struct Problem {
    static constexpr std::string_view family = "rotary_table";
    int32_t pairs = 0;
    float factor = 1;
    float growth = 0;
    int32_t growth_length = 1;  // positions, at least 1
    template <typename V>
    void fields(V& v) {
      v("pairs", pairs), v("factor", factor), v("growth", growth), v("growth_length", growth_length);
    }
  };
  struct Args {
    int32_t rows;
    const int32_t* positions;
    const float* inverse_frequencies;  // [pairs]
    float* output;
    int64_t output_stride;
  };
  static void reference(const Problem&, const Args&);
  static std::span<const Kernel<RotaryTable>> kernels();
};

/// Rotates the first 2·pairs dims of each head by the step's table; the rest pass through. `interleaved` pairs dims
/// (2i, 2i+1), otherwise (i, pairs + i) as in Llama. May run in place when dtypes agree.
struct Rotary {
  struct Problem {
    static constexpr std::string_view family = "rotary";
    int32_t heads = 0, head_dim = 0, pairs = 0;
    bool interleaved = false;
    DType input = DType::f32, output = DType::f32;  // f32 | bf16
    template <typename V>
    void fields(V& v) {
      v("heads", heads), v("head_dim", head_dim), v("pairs", pairs), v("interleaved", interleaved), v("input", input),
          v("output", output);
    }
  };
  struct Args {
    int32_t rows;
    const std::byte* input;
    int64_t input_stride;
    const float* table;  // [rows, 2·pairs]
    int64_t table_stride;
    std::byte* output;
    int64_t output_stride;
    bool pad_output;
  };
  static void reference(const Problem&, const Args&);
  static std::span<const Kernel<Rotary>> kernels();
};

/// Writes the step's keys and values into their pages. k, v: rows of kv_heads · head_dim. With rotary_pairs the keys
/// are first rotated as Rotary does it, by `table`. An i8 cache gets codes of each token's key and value of a head,
/// with a scale of their own, by base/codes.h.
struct KvWrite {
  struct Problem {
    static constexpr std::string_view family = "kv_write";
    int32_t kv_heads = 0, head_dim = 0, page_tokens = 32;
    DType input = DType::f32;  // f32 | bf16
    DType cache = DType::f32;  // f32 | bf16 | f16 | i8
    int32_t rotary_pairs = 0;  // 0: no rotation
    bool interleaved = false;
    PageLayout pages = PageLayout::vnni;
    template <typename V>
    void fields(V& v) {
      v("kv_heads", kv_heads), v("head_dim", head_dim), v("page_tokens", page_tokens), v("pages", pages),
          v("input", input), v("cache", cache), v("rotary_pairs", rotary_pairs), v("interleaved", interleaved);
    }
    KvGeometry geometry() const { return {1, kv_heads, head_dim, page_tokens, cache, pages}; }
  };
  struct Args {
    int32_t sequences;
    const SequenceSpan* spans;
    PagedCache cache;
    const std::byte* keys;
    int64_t key_stride;
    const std::byte* values;
    int64_t value_stride;
    const float* table = nullptr;  // [tokens, 2·rotary_pairs]
    int64_t table_stride = 0;
  };
  static void reference(const Problem&, const Args&);
  static std::span<const Kernel<KvWrite>> kernels();
};

/// The last outputs of a product, where they are keys, then values, which it writes into their pages itself as KvWrite
/// does it. Numbers are rounded once: to the cache's dtype, keys when they are rotated. An i8 cache has none: the scale
/// of a head is known when all of it is.
struct KvOutputs {
  int32_t kv_heads = 0;  // 0: there are none
  int32_t head_dim = 0, page_tokens = 32;
  PageLayout pages = PageLayout::vnni;
  DType cache = DType::f32;
  int32_t rotary_pairs = 0;
  bool interleaved = false;
  template <typename V>
  void fields(V& v) {
    v("kv_heads", kv_heads), v("head_dim", head_dim), v("page_tokens", page_tokens), v("pages", pages),
        v("cache", cache), v("rotary_pairs", rotary_pairs), v("interleaved", interleaved);
  }

  /// What a launch knows of them.
  struct Args {
    int32_t sequences = 0;
    const SequenceSpan* spans = nullptr;
    PagedCache cache;
    const float* table = nullptr;  // [tokens, 2·rotary_pairs]
    int64_t table_stride = 0;
  };

  bool any() const { return kv_heads > 0; }
  int64_t width() const { return int64_t{kv_heads} * head_dim; }  // of the keys
  KvGeometry geometry() const { return {1, kv_heads, head_dim, page_tokens, cache, pages}; }
  /// What rotates together, of a weight of n outputs.
  RowPairs pairs(int64_t n) const {
    const int64_t pairs = rotary_pairs;
    return pairs == 0 ? RowPairs{} : RowPairs{kv_heads, pairs, n - 2 * width(), head_dim - 2 * pairs, interleaved};
  }
  /// Whether sixteen packed rows of k_major8 are outputs of one kind, and of one head: both of each pair where they
  /// rotate.
  bool fits_blocks(int64_t n) const {
    return head_dim > 0 && head_dim % 16 == 0 && rotary_pairs >= 0 && rotary_pairs % 8 == 0 &&
           2 * rotary_pairs <= head_dim && n >= 2 * width() && n % 16 == 0 && pages == PageLayout::rows &&
           cache != DType::i8;
  }
};

/// Attention of query rows over a sequence's pages: out = softmax(scale · q·Kᵀ, masked) · V.
/// A query at position p sees positions [max(0, p − window + 1), p] (window 0: no limit). Query head h reads
/// KV head h / (heads / kv_heads). soft_cap c > 0: scores become c · tanh(score / c) before the mask. With slopes, a
/// head's score of a key is then less by slope · distance. With sinks, e^sink joins the sum that weights are divided
/// by. `over_rows` false: the queries are the step's tokens (row i of a span is token first_token + i, at
/// first_position + i). true: they are the sampled rows; span.rows of them start at first_row, and `positions[row]`
/// gives each one's position. With rotary_pairs the queries are first rotated as Rotary does it, by `table`. Over a
/// bf16 cache a kernel may round queries (rotated ones) and softmax weights to bf16.
struct Attention {
  struct Problem {
    static constexpr std::string_view family = "attention";
    int32_t heads = 0, kv_heads = 0, head_dim = 0, page_tokens = 32, window = 0;
    float scale = 1, soft_cap = 0;
    bool over_rows = false;
    DType query = DType::f32, cache = DType::f32, output = DType::f32;  // f32 | bf16 each, the cache also f16 | i8
    int32_t rotary_pairs = 0;                                           // 0: no rotation
    bool interleaved = false;
    PageLayout pages = PageLayout::vnni;
    bool slopes = false, sinks = false;
    template <typename V>
    void fields(V& v) {
      v("heads", heads), v("kv_heads", kv_heads), v("head_dim", head_dim), v("page_tokens", page_tokens),
          v("pages", pages), v("window", window), v("scale", scale), v("soft_cap", soft_cap), v("over_rows", over_rows),
          v("query", query), v("cache", cache), v("output", output), v("rotary_pairs", rotary_pairs),
          v("interleaved", interleaved), v("slopes", slopes), v("sinks", sinks);
    }
    KvGeometry geometry() const { return {1, kv_heads, head_dim, page_tokens, cache, pages}; }
  };
  struct Args {
    int32_t sequences;
    const SequenceSpan* spans;
    PagedCache cache;
    const int32_t* positions;  // [rows], used when over_rows
    const std::byte* query;
    int64_t query_stride;
    std::byte* output;
    int64_t output_stride;
    int32_t rows;  // all query rows of the step
    bool pad_output;
    const float* table = nullptr;  // [rows, 2·rotary_pairs]
    int64_t table_stride = 0;
    /// Where tiles that share a query meet (Kernel::workspace_bytes); none: no context is split.
    std::byte* workspace = nullptr;
    int64_t workspace_bytes = 0;
    /// What the queries see, summed over all of them, the longest context, and the most queries of a sequence. A
    /// context that would keep one of the device's workers busy while the others wait may be split; results do not
    /// depend on it.
    int64_t contexts = 0;
    int32_t longest_context = 0;
    int32_t most_queries = 0;
    int32_t workers = 1;
    const float* slopes = nullptr;  // [heads]
    const float* sinks = nullptr;   // [heads]
  };
  static void reference(const Problem&, const Args&);
  static std::span<const Kernel<Attention>> kernels();
};

}  // namespace incipit
