// Rows of attention's queries, and pages of keys and values, on their way to and from shared memory.
//
// A kernel's Layout says where a row's 16 bytes lie there: Layout::at(row, chunk).
#pragma once

#include "kernels/cuda/attention_work.cuh"

namespace incipit {

/// Copies a page's keys or values; tokens from `written` on become zeros.
template <typename Layout, int threads>
void copy_page(uint32_t shared, const CACHE* from, int32_t written, int32_t thread) {
#pragma unroll
  for (int i = 0; i < page_tokens * row_chunks / threads; ++i) {
    const int32_t index = i * threads + thread;
    const int32_t token = index / row_chunks, chunk = index % row_chunks;
    copy_16_or_zeros(shared + Layout::at(token, chunk), from + int64_t{index} * 8, token < written ? 16 : 0);
  }
}

template <typename T>
void load_chunk(const T* from, float (&to)[8]) {
  const auto chunk = *reinterpret_cast<const Elements<T, 8>*>(from);
#pragma unroll
  for (int i = 0; i < 8; ++i) to[i] = to_float(chunk.values[i]);
}
template <>
inline void load_chunk<float>(const float* from, float (&to)[8]) {
  const auto* halves = reinterpret_cast<const float4*>(from);
  const float4 first = halves[0], second = halves[1];
  to[0] = first.x, to[1] = first.y, to[2] = first.z, to[3] = first.w;
  to[4] = second.x, to[5] = second.y, to[6] = second.z, to[7] = second.w;
}

/// Eight dims of a query's head from `dim` on, rotated (AttentionParams::query_in_chunks).
inline void load_query_chunk(const AttentionParams& params, const QUERY* head, const float* table, int32_t dim,
                             bool rotates, bool interleaved, float (&values)[8]) {
  const int32_t pairs = params.rotary_pairs;
  load_chunk(head + dim, values);
  if (!rotates) return;
  // What passes through is loaded like the rest and not used.
  const bool passes = dim >= 2 * pairs;
  if (interleaved) {
    const int32_t pair = passes ? 0 : dim / 2;
    const float4 cosines = *reinterpret_cast<const float4*>(table + pair);
    const float4 sines = *reinterpret_cast<const float4*>(table + pairs + pair);
    const float cosine[4] = {cosines.x, cosines.y, cosines.z, cosines.w};
    const float sine[4] = {sines.x, sines.y, sines.z, sines.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float x = values[2 * i], y = values[2 * i + 1];
      values[2 * i] = passes ? x : rotated(x, y, cosine[i], sine[i], false);
      values[2 * i + 1] = passes ? y : rotated(y, x, cosine[i], sine[i], true);
    }
    return;
  }
  const bool second = dim >= pairs;
  const int32_t pair = passes ? 0 : second ? dim - pairs : dim;
  float others[8], cosines[8], sines[8];
  load_chunk(head + (second ? pair : pair + pairs), others);
  load_chunk(table + pair, cosines);
  load_chunk(table + pairs + pair, sines);
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    values[i] = passes ? values[i] : rotated(values[i], others[i], cosines[i], sines[i], second);
  }
}

/// Writes them as operands, each term into its rows.
inline void store_query_chunk(const float (&values)[8], char* shared, int32_t term_bytes, uint32_t at) {
  uint32_t words[4][terms];
#pragma unroll
  for (int i = 0; i < 4; ++i) Unit::split(values[2 * i], values[2 * i + 1], words[i]);
#pragma unroll
  for (int term = 0; term < terms; ++term) {
    *reinterpret_cast<uint4*>(shared + term * term_bytes + at) =
        uint4{words[0][term], words[1][term], words[2][term], words[3][term]};
  }
}

/// Query rows for one KV head, of one sequence.
struct RowBlock {
  SequenceSpan span;
  int32_t sequence, kv_head;
  int32_t first, queries;  // on the launch's axis
  Group group;

  int32_t rows() const { return queries * group.heads; }
  int32_t position(const AttentionParams& params, int32_t row) const {
    return position_of(params, span, query_of(row));
  }
  int32_t head(int32_t row) const { return kv_head * group.heads + row - group.query_of(row) * group.heads; }
  int32_t query_of(int32_t row) const { return first + group.query_of(row); }
  const QUERY* query(const AttentionParams& params, int32_t row) const {
    return static_cast<const QUERY*>(params.query) + query_of(row) * params.query_stride + head(row) * head_dim;
  }
};

/// Copies queries into shared memory, dim by dim: up to `rows` from `first` on.
template <typename Layout, int rows, int threads_of>
__noinline__ void load_queries_by_dims(const AttentionParams& params, const RowBlock& block, int32_t first,
                                       char* shared, int32_t thread) {
#pragma unroll 1
  for (int32_t index = thread; index < min(rows, block.rows() - first) * head_dim; index += threads_of) {
    const int32_t place = index / head_dim, row = first + place, dim = index % head_dim;
    const int64_t query = block.query_of(row);
    const auto* head = block.query(params, row);
    uint32_t words[terms];
    Unit::split(rotated_dim(params, head, params.table + query * params.table_stride, dim), 0, words);
#pragma unroll
    for (int term = 0; term < terms; ++term) {
      char* to = shared + term * rows * Layout::row_bytes + Layout::at(place, dim / 8) + dim % 8 * 2;
      *reinterpret_cast<uint16_t*>(to) = static_cast<uint16_t>(words[term]);
    }
  }
}

/// Copies queries into shared memory; rows behind the last are zeros.
template <typename Layout, int rows, int threads_of>
void load_queries(const AttentionParams& params, const RowBlock& block, char* shared, int32_t thread) {
  constexpr int32_t term_bytes = rows * Layout::row_bytes;
  if (!params.query_in_chunks) load_queries_by_dims<Layout, rows, threads_of>(params, block, 0, shared, thread);
#pragma unroll 2
  for (int32_t index = thread; index < rows * row_chunks; index += threads_of) {
    const int32_t row = index / row_chunks, chunk = index % row_chunks;
    float values[8] = {};
    if (row < block.rows()) {
      if (!params.query_in_chunks) continue;
      const int64_t query = block.query_of(row);
      load_query_chunk(params, block.query(params, row), params.table + query * params.table_stride, 8 * chunk,
                       params.rotary_pairs > 0, params.interleaved, values);
    }
    store_query_chunk(values, shared, term_bytes, Layout::at(row, chunk));
  }
}

template <int tiles>
WarpRows<tiles> rows_of_warp(const AttentionParams& params, const RowBlock& block, int32_t first, int32_t lane) {
  WarpRows<tiles> rows;
#pragma unroll
  for (int tile = 0; tile < tiles; ++tile) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int32_t row = first + 16 * tile + 8 * half + lane / 4;
      const bool is_row = row < block.rows();
      rows.position[tile][half] = is_row ? block.position(params, row) : -1;
      rows.slope[tile][half] = 0;
#if SLOPES
      if (is_row) rows.slope[tile][half] = params.slopes[block.head(row)] * log2_e;
#endif
    }
  }
  const int32_t end = min(first + 16 * tiles, block.rows());
  if (first < end) {
    rows.earliest = block.position(params, first);
    rows.last = block.position(params, end - 1);
  }
  return rows;
}

/// The pages of a sequence's context for one KV head. A lane holds the number of one in 32.
class Pages {
 public:
  Pages(const AttentionParams& params, const RowBlock& block, int32_t first)
      : params_(&params),
        table_(params.cache.page_tables + int64_t{block.sequence} * params.cache.table_stride),
        first_byte_(params.cache.layer_offset + int64_t{block.kv_head} * 4 * page_tokens * head_dim),
        written_(block.span.first_position + block.span.tokens),
        end_(written_ / page_tokens + 1) {
    load(first);
  }

  /// Copies a page's keys or values; what was not written becomes zeros.
  template <typename Layout, int threads_of>
  void copy(int32_t page, bool values, uint32_t shared, int32_t thread) {
    if (page >= loaded_ + warp_size) load(page);
    const int32_t number = __shfl_sync(all_lanes, number_, page - loaded_);
    const auto* from =
        reinterpret_cast<const CACHE*>(params_->cache.pool + number * params_->cache.page_bytes + first_byte_);
    copy_page<Layout, threads_of>(shared, from + (values ? page_tokens * head_dim : 0), written_ - page * page_tokens,
                                  thread);
  }

 private:
  void load(int32_t first) {
    const int32_t page = first + static_cast<int32_t>(threadIdx.x) % warp_size;
    loaded_ = first;
    number_ = page < end_ && page < params_->cache.table_stride ? table_[page] : 0;
  }

  const AttentionParams* params_;
  const int32_t* table_;
  int64_t first_byte_;
  int32_t written_, end_;
  int32_t loaded_, number_;
};

void store_pair(const AttentionParams& params, int64_t row, int32_t column, float first, float second) {
  auto* to = static_cast<OUTPUT*>(params.output) + row * params.output_stride + column;
  const Elements<OUTPUT, 2> pair{from_float<OUTPUT>(first), from_float<OUTPUT>(second)};
  if (params.output_in_pairs) {
    *reinterpret_cast<Elements<OUTPUT, 2>*>(to) = pair;
  } else {
    to[0] = pair.values[0];
    to[1] = pair.values[1];
  }
}

float factor_of(const AttentionParams& params, float total, float largest, int32_t head) {
  return params.sinks == nullptr ? inverse_total(total, largest)
                                 : inverse_total(total, largest, params.sinks[head] * log2_e);
}

template <int tiles>
void store_rows(const AttentionParams& params, const RowBlock& block, int32_t first, int32_t lane,
                const RowSums<tiles>& sums) {
#pragma unroll
  for (int tile = 0; tile < tiles; ++tile) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int32_t row = first + 16 * tile + 8 * half + lane / 4;
      if (row >= block.rows()) continue;
      const int32_t head = block.head(row);
      const float factor = factor_of(params, sums.total[tile][half], sums.largest[tile][half], head);
#pragma unroll
      for (int dim = 0; dim < dim_tiles; ++dim) {
        store_pair(params, block.query_of(row), head * head_dim + 8 * dim + 2 * (lane & 3),
                   sums.values[tile][dim][2 * half] * factor, sums.values[tile][dim][2 * half + 1] * factor);
      }
    }
  }
}

/// The queries of a tile: the last ones of a sequence first, which see most.
inline RowBlock tile_of(const AttentionParams& params, const Sharing& sharing, int32_t item) {
  const Place place = sharing.find(item);
  const Group& group = sharing.group();
  RowBlock block{params.spans[place.sequence], place.sequence, place.index % params.kv_heads, 0, 0, group};
  const Share share = share_of(params, group, block.span);
  const int32_t first_query = (share.tiles - 1 - place.index / params.kv_heads) * group.tile_queries;
  block.first = share.queries.first + first_query;
  block.queries = min(group.tile_queries, share.queries.count - first_query);
  return block;
}

/// Zeros behind the last head of some queries.
void store_pads(const AttentionParams& params, int32_t first, int32_t queries, int32_t thread, int32_t step) {
  const int32_t width = params.heads * head_dim, pads = params.padded_width - width;
  for (int32_t i = thread; i < queries * pads; i += step) {
    static_cast<OUTPUT*>(params.output)[(first + i / pads) * params.output_stride + width + i % pads] = OUTPUT{};
  }
}

}  // namespace incipit
