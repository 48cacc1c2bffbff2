// Keys, rotated or as they are, and values into their pages. One tile is the share of one page: all heads of up to
// page_tokens tokens.
#include <type_traits>

#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/kv_write.cpp"
#include "hwy/foreach_target.h"
//
#include "kernels/cpu/highway_codes-inl.h"
#include "kernels/cpu/highway_rotary-inl.h"

namespace incipit {

#ifndef INCIPIT_KV_WRITE_TILES
#define INCIPIT_KV_WRITE_TILES
namespace {

/// Tokens [first, first + count) of a page, which are rows [row, row + count) of the batch.
struct PageShare {
  int32_t sequence, page;
  int32_t first, count;
  int64_t row;
};

int64_t pages_of(const SequenceSpan& span, int32_t page_tokens) {
  if (span.tokens == 0) return 0;
  return (span.first_position + span.tokens - 1) / page_tokens - span.first_position / page_tokens + 1;
}

int64_t kv_write_tiles(const KvWrite::Problem& problem, const KvWrite::Args& args, const KernelConfig&) {
  int64_t tiles = 0;
  for (int32_t i = 0; i < args.sequences; ++i) tiles += pages_of(args.spans[i], problem.page_tokens);
  return tiles;
}

PageShare kv_write_tile(const KvWrite::Problem& problem, const KvWrite::Args& args, int64_t tile) {
  int32_t sequence = 0;
  for (; tile >= pages_of(args.spans[sequence], problem.page_tokens); ++sequence) {
    tile -= pages_of(args.spans[sequence], problem.page_tokens);
  }
  const SequenceSpan& span = args.spans[sequence];
  const int32_t page = span.first_position / problem.page_tokens + static_cast<int32_t>(tile);
  const int32_t begin = std::max(span.first_position, page * problem.page_tokens);
  const int32_t end = std::min(span.first_position + span.tokens, (page + 1) * problem.page_tokens);
  return {sequence, page, begin % problem.page_tokens, end - begin,
          int64_t{span.first_token} + begin - span.first_position};
}

}  // namespace
#endif

}  // namespace incipit

HWY_BEFORE_NAMESPACE();
namespace incipit {
namespace HWY_NAMESPACE {

constexpr int64_t converted_tokens = 16;

#if HWY_TARGET != HWY_SCALAR
/// A square of units, one vector a row: rows[i] of 4 tokens becomes columns.
using Units32 = hn::Vec<hn::Full128<uint32_t>>;
HWY_INLINE void transpose(Units32 (&rows)[4]) {
  const hn::Full128<uint32_t> d;
  const auto even = hn::InterleaveLower(d, rows[0], rows[2]), odd = hn::InterleaveLower(d, rows[1], rows[3]);
  const auto even_high = hn::InterleaveUpper(d, rows[0], rows[2]), odd_high = hn::InterleaveUpper(d, rows[1], rows[3]);
  rows[0] = hn::InterleaveLower(d, even, odd);
  rows[1] = hn::InterleaveUpper(d, even, odd);
  rows[2] = hn::InterleaveLower(d, even_high, odd_high);
  rows[3] = hn::InterleaveUpper(d, even_high, odd_high);
}

/// 4 units of 4 tokens at `heads`, whose tokens are `units` apart, to 4 rows at `keys`.
HWY_INLINE void write_square(const uint32_t* heads, int64_t units, int64_t page_tokens, uint32_t* keys) {
  const hn::Full128<uint32_t> d;
  Units32 rows[4];
  for (int i = 0; i < 4; ++i) rows[i] = hn::LoadU(d, heads + i * units);
  transpose(rows);
  for (int i = 0; i < 4; ++i) hn::StoreU(rows[i], d, keys + i * page_tokens);
}

/// 8 units of 8 tokens, likewise: pairs of units are transposed as one, then taken apart.
HWY_INLINE void write_square(const uint16_t* heads, int64_t units, int64_t page_tokens, uint16_t* keys) {
  const hn::Full128<uint16_t> d;
  const hn::Full128<uint32_t> pairs;
  Units32 low[4], high[4];  // of 4 tokens each
  for (int i = 0; i < 4; ++i) {
    low[i] = hn::BitCast(pairs, hn::LoadU(d, heads + i * units));
    high[i] = hn::BitCast(pairs, hn::LoadU(d, heads + (i + 4) * units));
  }
  transpose(low);
  transpose(high);
  for (int i = 0; i < 4; ++i) {
    const auto first = hn::BitCast(d, low[i]), second = hn::BitCast(d, high[i]);
    hn::StoreU(hn::ConcatEven(d, second, first), d, keys + 2 * i * page_tokens);
    hn::StoreU(hn::ConcatOdd(d, second, first), d, keys + (2 * i + 1) * page_tokens);
  }
}
#endif

/// The K rows [dim / g][token][g] of `count` tokens, from converted heads [token][head_dim]: a transposition of units.
template <typename Unit>
HWY_INLINE void write_keys(const Unit* heads, int64_t units, int64_t count, int64_t page_tokens, Unit* keys) {
  int64_t whole_units = 0, whole_tokens = 0;
#if HWY_TARGET != HWY_SCALAR
  constexpr int64_t side = 16 / sizeof(Unit);
  whole_units = units / side * side;
  whole_tokens = count / side * side;
  for (int64_t unit = 0; unit < whole_units; unit += side) {
    for (int64_t token = 0; token < whole_tokens; token += side) {
      write_square(heads + token * units + unit, units, page_tokens, keys + unit * page_tokens + token);
    }
  }
#endif
  for (int64_t unit = 0; unit < units; ++unit) {
    for (int64_t token = unit < whole_units ? whole_tokens : 0; token < count; ++token) {
      keys[unit * page_tokens + token] = heads[token * units + unit];
    }
  }
}

/// V [token / g][dim][g].
template <typename Cache>
HWY_INLINE void write_values(const Cache* heads, int64_t head_dim, int64_t first, int64_t count, Cache* values) {
  std::memcpy(values + first * head_dim, heads, static_cast<size_t>(count * head_dim) * sizeof(Cache));
}
HWY_INLINE void write_values(const bf16* heads, int64_t head_dim, int64_t first, int64_t count, bf16* values) {
  for (int64_t i = 0; i < count; ++i) {
    const int64_t token = first + i;
    bf16* pair = values + token / 2 * head_dim * 2;
    const bf16* head = heads + i * head_dim;
    if (token % 2 == 0 && i + 1 < count) {
      auto* words = reinterpret_cast<uint16_t*>(pair);
      const auto* even = reinterpret_cast<const uint16_t*>(head);
      const auto* odd = even + head_dim;
      const HWY_FULL(uint16_t) d;
      const auto n = static_cast<int64_t>(hn::Lanes(d));
      int64_t dim = 0;
      for (; dim + n <= head_dim; dim += n) {
        hn::StoreInterleaved2(hn::LoadU(d, even + dim), hn::LoadU(d, odd + dim), d, words + 2 * dim);
      }
      for (; dim < head_dim; ++dim) {
        words[2 * dim] = even[dim];
        words[2 * dim + 1] = odd[dim];
      }
      ++i;
      continue;
    }
    for (int64_t dim = 0; dim < head_dim; ++dim) pair[2 * dim + token % 2] = head[dim];
  }
}

template <typename Input, typename Cache>
void write_page(const KvWrite::Problem& problem, const KvWrite::Args& args, const PageShare& share,
                std::byte* scratch) {
  using Unit = std::conditional_t<std::is_same_v<Cache, f16>, uint16_t, uint32_t>;  // g elements
  const KvGeometry geometry = problem.geometry();
  const int64_t head_dim = problem.head_dim, pairs = problem.rotary_pairs;
  const int64_t units = head_dim / geometry.group();
  auto* heads = reinterpret_cast<Cache*>(scratch);
  std::byte* page = args.cache.page(share.sequence, share.page);
  for (int64_t head = 0; head < problem.kv_heads; ++head) {
    std::byte* keys = page + head * geometry.head_bytes();
    std::byte* values = keys + geometry.half_bytes();
    for (int64_t done = 0; done < share.count; done += converted_tokens) {
      const int64_t count = std::min(converted_tokens, share.count - done);
      const int64_t row = share.row + done;
      const auto convert = [&](const Input* from, int64_t stride) HWY_ATTR {
        for (int64_t i = 0; i < count; ++i) convert_elements(from + i * stride, head_dim, heads + i * head_dim);
      };
      const auto rotate = [&](const Input* from, int64_t stride) HWY_ATTR {
        const float* table = args.table + row * args.table_stride;
        for (int64_t i = 0; i < count; ++i, table += args.table_stride) {
          rotate_head(from + i * stride, head_dim, table, pairs, problem.interleaved, heads + i * head_dim);
        }
      };
      const Input* from = reinterpret_cast<const Input*>(args.keys) + row * args.key_stride + head * head_dim;
      pairs > 0 ? rotate(from, args.key_stride) : convert(from, args.key_stride);
      write_keys(reinterpret_cast<const Unit*>(scratch), units, count, problem.page_tokens,
                 reinterpret_cast<Unit*>(keys) + share.first + done);
      from = reinterpret_cast<const Input*>(args.values) + row * args.value_stride + head * head_dim;
      convert(from, args.value_stride);
      write_values(heads, head_dim, share.first + done, count, reinterpret_cast<Cache*>(values));
    }
  }
}

/// A page of codes. A head's numbers are rotated, or widened, to floats in scratch, and become codes there.
template <typename Input>
void write_coded_page(const KvWrite::Problem& problem, const KvWrite::Args& args, const PageShare& share,
                      std::byte* scratch) {
  const KvGeometry geometry = problem.geometry();
  const int64_t head_dim = problem.head_dim, page_tokens = problem.page_tokens;
  auto* numbers = reinterpret_cast<float*>(scratch);
  auto* codes = reinterpret_cast<int8_t*>(numbers + head_dim);
  std::byte* page = args.cache.page(share.sequence, share.page);
  for (int64_t head = 0; head < problem.kv_heads; ++head) {
    auto* keys = reinterpret_cast<int8_t*>(page + head * geometry.head_bytes()) + share.first;
    auto* values = reinterpret_cast<int8_t*>(page + head * geometry.head_bytes() + geometry.half_bytes());
    auto* key_scales = reinterpret_cast<float*>(page + head * geometry.head_bytes() + geometry.scales_offset());
    auto* value_scales = reinterpret_cast<float*>(values + geometry.scales_offset());
    for (int64_t done = 0; done < share.count; done += converted_tokens) {
      const int64_t count = std::min(converted_tokens, share.count - done);
      for (int64_t i = 0; i < count; ++i) {
        const int64_t row = share.row + done + i, token = share.first + done + i;
        const Input* key = reinterpret_cast<const Input*>(args.keys) + row * args.key_stride + head * head_dim;
        if (problem.rotary_pairs > 0) {
          rotate_head(key, head_dim, args.table + row * args.table_stride, problem.rotary_pairs, problem.interleaved,
                      numbers);
          key_scales[token] = quantize_row(numbers, head_dim, codes + i * head_dim);
        } else {
          key_scales[token] = quantize_row(key, head_dim, codes + i * head_dim);
        }
        const Input* value = reinterpret_cast<const Input*>(args.values) + row * args.value_stride + head * head_dim;
        value_scales[token] = quantize_row(value, head_dim, values + token * head_dim);
      }
      for (int64_t dim = 0; dim < head_dim; ++dim) {
        for (int64_t i = 0; i < count; ++i) keys[dim * page_tokens + done + i] = codes[i * head_dim + dim];
      }
    }
  }
}

template <typename Input>
void write_page_from(const KvWrite::Problem& problem, const KvWrite::Args& args, const PageShare& share,
                     std::byte* scratch) {
  switch (problem.cache) {
    case DType::bf16: return write_page<Input, bf16>(problem, args, share, scratch);
    case DType::f16: return write_page<Input, f16>(problem, args, share, scratch);
    case DType::i8: return write_coded_page<Input>(problem, args, share, scratch);
    default: return write_page<Input, float>(problem, args, share, scratch);
  }
}

void run_kv_write(const KvWrite::Problem& problem, const KvWrite::Args& args, const KernelConfig&, int64_t tile,
                  std::byte* scratch) {
  const PageShare share = kv_write_tile(problem, args, tile);
  problem.input == DType::f32 ? write_page_from<float>(problem, args, share, scratch)
                              : write_page_from<bf16>(problem, args, share, scratch);
}

}  // namespace HWY_NAMESPACE
}  // namespace incipit
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace incipit {

Kernel<KvWrite> kv_write_highway(HighwayTarget target) {
  static constexpr std::string_view names[] = {"kv_write/hwy_baseline", "kv_write/hwy_avx2", "kv_write/hwy_avx3"};
  constexpr HighwayRuns<KvWrite> runs = INCIPIT_HIGHWAY_RUNS(run_kv_write);
  const auto accepts = [](const KvWrite::Problem& p) {
    return p.kv_heads > 0 && p.head_dim > 0 && p.head_dim % 2 == 0 && p.page_tokens % 16 == 0 &&
           p.pages == PageLayout::vnni && p.rotary_pairs >= 0 && 2 * int64_t{p.rotary_pairs} <= p.head_dim &&
           is_row_dtype(p.input) && (is_row_dtype(p.cache) || p.cache == DType::f16 || p.cache == DType::i8);
  };
  const auto scratch = [](const KvWrite::Problem& p, const KernelConfig&, int32_t) {
    return static_cast<size_t>(16 * p.head_dim) * sizeof(float);
  };
  const auto i = static_cast<size_t>(target);
  return {names[i], 2, highway_needs(target), accepts, plain_config, {scratch, kv_write_tiles, runs[i]}};
}

}  // namespace incipit
#endif
