// The outputs of a product of which the last are keys and values (KvOutputs, kernels/attention_families.h): from sums
// to rows and to pages. epilogue.cuh includes it with CACHE.
//
// Defines, beside those of epilogue.cuh: CACHE (the pages' element type), INTERLEAVED (pairs are neighbours).
//
// Sixteen packed rows, a *block*, are outputs of one kind and one head: the first eight of them and the second eight
// are the halves of eight pairs, where they rotate.
#pragma once

namespace incipit {

/// Where a block's outputs go.
struct PageBlock {
  bool is_there, is_query;
  int32_t bytes;          // from a row's first key to the head's keys, or values
  int32_t first, second;  // where either eight begin: columns of the output, or dims of the head
  int32_t pair;           // the first of eight that rotate; -1: they do not
};

/// Without branches, so that many are looked at together.
inline PageBlock page_block(const LinearFinish& finish, int32_t packed) {
  const LinearPages& pages = finish.pages;
  const bool is_query = packed < pages.first_key, is_value = packed >= pages.first_value;
  const int32_t at = packed - (is_query ? 0 : is_value ? pages.first_value : pages.first_key);
  const int32_t head = is_query ? 0 : pages.head_of(at), dim = at - head * pages.head_dim, half = dim / 2;
  const bool rotates = !is_query & !is_value & (half < pages.rotary_pairs), turns = rotates & !INTERLEAVED;
  return {packed < finish.packed_rows,
          is_query,
          head * pages.head_bytes + (is_value ? pages.half_bytes : 0),
          turns ? half : dim,
          turns ? pages.rotary_pairs + half : dim + 8,
          rotates ? half : -1};
}

/// Where a row's first key is in its page; null: it is no sequence's.
inline std::byte* page_row(const LinearPages& pages, int32_t row) {
  const int32_t sequences = pages.step_sequences();
  // The last sequence that begins at the row or before it. Each has a token at least, and as a rule one.
  int32_t low = 0, high = min(row, sequences - 1);
  for (int32_t probe = high; low < high; probe = (low + high + 1) / 2) {
    if (pages.spans[probe].first_token <= row) {
      low = probe;
    } else {
      high = probe - 1;
    }
  }
  const SequenceSpan& span = pages.spans[low];
  const int32_t number = row - span.first_token, position = span.first_position + number;
  if (number >= span.tokens) return nullptr;
  return pages.cache.page(low, position / pages.page_tokens) +
         position % pages.page_tokens * pages.head_dim * static_cast<int32_t>(sizeof(CACHE));
}

/// The page_row()s of a warp's rows, `count` of them: a lane looks for one of 32, so that all wait at once.
template <int count>
struct WarpPages {
  static constexpr int each = (count + warp_size - 1) / warp_size;
  std::byte* own[each];

  WarpPages() = default;
  /// Of fragments of 16 rows that begin `step` apart; none where no packed row from `place` to `end` is a key or value.
  WarpPages(const LinearFinish& finish, const FragmentPlace& place, int32_t step, int32_t end) {
#pragma unroll
    for (int i = 0; i < each; ++i) {
      const int32_t number = i * warp_size + lane_of_warp(), row = place.row + number / 16 * step + number % 16;
      const bool is_there = number < count && row < place.rows && end > finish.pages.first_key;
      own[i] = is_there ? page_row(finish.pages, row) : nullptr;
    }
  }
  /// Of row `first` + `behind`: a multiple of 8 and less than 8, or of 16 and less than 16. All lanes call it.
  std::byte* of(int first, int32_t behind) const {
    const auto mine = reinterpret_cast<unsigned long long>(own[first / warp_size]);
    return reinterpret_cast<std::byte*>(__shfl_sync(all_lanes, mine, first % warp_size + behind));
  }
};

/// Cosine and sine of a pair in a row of the step's table.
inline float2 turn_of(const LinearPages& pages, int32_t row, int32_t pair) {
  const float* at = pages.table + row * pages.table_stride + pair;
  return {at[0], at[pages.rotary_pairs]};
}

/// As load_rotated() of rotation.cuh does it.
inline void rotate_pair(float& first, float& second, const float2& turn) {
  const float x = first, y = second;
  first = fmaf(x, turn.x, -(y * turn.y));
  second = fmaf(x, turn.y, y * turn.x);
}

// ---- one pair
/// Stores what packed row `within` of a block's first eight and the one 8 behind it are. `page`: page_row().
inline void store_page_pair(const LinearFinish& finish, int32_t row, std::byte* page, const PageBlock& block,
                            int32_t within, float first, float second) {
  if (block.is_query) {
    *output_at(finish, row, block.first + within) = from_float<OUTPUT>(first);
    *output_at(finish, row, block.second + within) = from_float<OUTPUT>(second);
  } else if (page != nullptr) {
    CACHE* const head = reinterpret_cast<CACHE*>(page + block.bytes);
    const bool neighbours = INTERLEAVED && block.pair >= 0;
    head[block.first + (neighbours ? 2 * within : within)] = from_float<CACHE>(first);
    head[neighbours ? block.first + 2 * within + 1 : block.second + within] = from_float<CACHE>(second);
  }
}

inline void finish_page_pair(const LinearFinish& finish, int32_t row, float row_scale, int32_t packed, LinearSum first,
                             LinearSum second) {
  const int32_t within = packed % 8;
  const PageBlock block = page_block(finish, packed - within);
  if (!block.is_there) return;
  float values[2]{value_of(first, factors_of(finish, packed), row_scale),
                  value_of(second, factors_of(finish, packed + 8), row_scale)};
  if (block.pair >= 0) rotate_pair(values[0], values[1], turn_of(finish.pages, row, block.pair + within));
  std::byte* const page = block.is_query ? nullptr : page_row(finish.pages, row);
  store_page_pair(finish, row, page, block, within, values[0], values[1]);
}

// ---- fragments
template <typename T>
inline uint32_t pack_two(float first, float second) {
  uint32_t pair = 0;
  if constexpr (sizeof(T) == 2) {
    pair = from_float<T>(first).bits | static_cast<uint32_t>(from_float<T>(second).bits) << 16;
  }
  return pair;
}
template <>
inline uint32_t pack_two<bf16>(float first, float second) {
  return pack_bf16(first, second);
}

/// Two neighbours.
template <typename T>
inline void store_two(T* to, float first, float second) {
  if constexpr (sizeof(T) == 2) {
    *reinterpret_cast<uint32_t*>(to) = pack_two<T>(first, second);
  } else {
    *reinterpret_cast<float2*>(to) = float2{first, second};
  }
}
template <typename T>
inline void store_lane_block(T* to, const PageBlock& block, int32_t within, const float (&first)[2],
                             const float (&second)[2]) {
  if (INTERLEAVED && block.pair >= 0) {
    store_two(to + block.first + 2 * within, first[0], second[0]);
    store_two(to + block.first + 2 * within + 2, first[1], second[1]);
  } else {
    store_two(to + block.first + within, first[0], first[1]);
    store_two(to + block.second + within, second[0], second[1]);
  }
}

/// What of a fragment is finished together: blocks from `first` on, `at_once` or what is left of them.
template <int groups, int at_once>
struct PageChunk {
  static constexpr int rows = 2, blocks = groups / 2;
  float values[rows][at_once][4];  // two of a block's first eight, then two of the second
  int first;

  int count() const { return min(at_once, blocks - first); }
  int32_t packed(const FragmentPlace& place, int block = 0) const { return place.packed + (first + block) * 16; }
  static int32_t row(const FragmentPlace& place, int r) { return place.row + r * 8 + lane_of_warp() / 4; }
  static int32_t within() { return lane_of_warp() % 4 * 2; }

  void scale(const LinearFinish& finish, const LinearSum (&sums)[groups * 4], const FragmentPlace& place,
             const float (&row_scales)[rows]) {
#pragma unroll
    for (int i = 0; i < at_once * 4; ++i) {
      if (i / 4 >= count()) continue;
      const PackedFactors factors = factors_of(finish, packed(place, i / 4) + i % 4 / 2 * 8 + within() + i % 2);
#pragma unroll
      for (int r = 0; r < rows; ++r) {
        values[r][i / 4][i % 4] =
            value_of(sums[(first + i / 4) * 8 + i % 4 / 2 * 4 + r * 2 + i % 2], factors, row_scales[r]);
      }
    }
  }

  /// Turns are loaded `together` blocks at a time: their wait is what they cost.
  template <int together>
  void rotate(const LinearFinish& finish, const FragmentPlace& place) {
    const LinearPages& pages = finish.pages;
    if (pages.rotary_pairs == 0 || packed(place) >= pages.first_value || packed(place, count()) <= pages.first_key) {
      return;
    }
#pragma unroll
    for (int begin = 0; begin < at_once; begin += together) {
      int32_t pair[together];
      float2 cosines[together][rows], sines[together][rows];
#pragma unroll
      for (int i = 0; i < together; ++i) {
        if (begin + i >= count()) continue;
        pair[i] = page_block(finish, packed(place, begin + i)).pair;
#pragma unroll
        for (int r = 0; r < rows; ++r) {
          const float* const turns = pages.table + min(row(place, r), place.rows - 1) * pages.table_stride;
          const float* const at = turns + within() + max(pair[i], 0);
          cosines[i][r] = *reinterpret_cast<const float2*>(at);
          sines[i][r] = *reinterpret_cast<const float2*>(at + pages.rotary_pairs);
        }
      }
#pragma unroll
      for (int i = 0; i < together; ++i) {
        if (begin + i >= count()) continue;
#pragma unroll
        for (int r = 0; r < rows; ++r) {
          float(&v)[4] = values[r][begin + i];
          float turned[4]{v[0], v[1], v[2], v[3]};
          rotate_pair(turned[0], turned[2], {cosines[i][r].x, sines[i][r].x});
          rotate_pair(turned[1], turned[3], {cosines[i][r].y, sines[i][r].y});
#pragma unroll
          for (int k = 0; k < 4; ++k) v[k] = pair[i] >= 0 ? turned[k] : v[k];
        }
      }
    }
  }

  /// Four blocks: a quad's lanes exchange what they have of eight groups, so that each stores 16 bytes of two: of four
  /// first ones and of four second ones where blocks rotate, else of four after four, which are neighbours.
  void store_four(const LinearFinish& finish, const FragmentPlace& place, std::byte* const (&page)[rows], int b) const {
    const int32_t lane = lane_of_warp();
    bool rotates = false;
#pragma unroll
    for (int i = 0; i < 4; ++i) rotates |= page_block(finish, packed(place, b + i)).pair >= 0;
    const int32_t group[2]{rotates ? lane % 4 * 2 : lane % 4, rotates ? lane % 4 * 2 + 1 : lane % 4 + 4};  // own
    PageBlock own[2];
#pragma unroll
    for (int h = 0; h < 2; ++h) own[h] = page_block(finish, packed(place, b + group[h] / 2));
#pragma unroll
    for (int r = 0; r < rows; ++r) {
      uint32_t of_group[8], words[2][4];
#pragma unroll
      for (int g = 0; g < 8; ++g) {
        const float(&v)[4] = values[r][b + g / 2];
        const bool is_query = packed(place, b + g / 2) < finish.pages.first_key;
        of_group[g] = is_query ? pack_two<OUTPUT>(v[g % 2 * 2], v[g % 2 * 2 + 1])
                               : pack_two<CACHE>(v[g % 2 * 2], v[g % 2 * 2 + 1]);
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        words[0][i] = rotates ? of_group[2 * i] : of_group[i];
        words[1][i] = rotates ? of_group[2 * i + 1] : of_group[4 + i];
      }
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        transpose_quad(words[h]);
        std::byte* to = page[r] == nullptr ? nullptr : page[r] + own[h].bytes;
        if (own[h].is_query) {
          to = row(place, r) < place.rows ? reinterpret_cast<std::byte*>(output_at(finish, row(place, r), 0)) : nullptr;
        }
        if (to == nullptr || !own[h].is_there) continue;
        to += (group[h] % 2 == 0 ? own[h].first : own[h].second) * 2;
        *reinterpret_cast<uint4*>(to) = uint4{words[h][0], words[h][1], words[h][2], words[h][3]};
      }
    }
  }

  void store_one(const LinearFinish& finish, const FragmentPlace& place, std::byte* const (&page)[rows], int b) const {
    const PageBlock block = page_block(finish, packed(place, b));
    if (!block.is_there) return;
#pragma unroll
    for (int r = 0; r < rows; ++r) {
      const float(&v)[4] = values[r][b];
      const float one[2]{v[0], v[1]}, two[2]{v[2], v[3]};
      if (block.is_query) {
        if (row(place, r) < place.rows)
          store_lane_block(output_at(finish, row(place, r), 0), block, within(), one, two);
      } else if (page[r] != nullptr) {
        store_lane_block(reinterpret_cast<CACHE*>(page[r] + block.bytes), block, within(), one, two);
      }
    }
  }

  void store(const LinearFinish& finish, const FragmentPlace& place, std::byte* const (&page)[rows]) const {
    constexpr bool exchanges = sizeof(OUTPUT) == 2 && sizeof(CACHE) == 2 && !INTERLEAVED;
#pragma unroll
    for (int b = 0; b < at_once; b += 4) {
      if (exchanges && b + 4 <= count()) {
        store_four(finish, place, page, b);
        continue;
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        if (b + i < count()) store_one(finish, place, page, b + i);
      }
    }
  }
};

/// As finish_fragments() of epilogue.cuh.
template <int fragments, int groups>
inline void finish_page_fragments(const LinearFinish& finish, const LinearSum (&sums)[fragments][groups * 4],
                                  const FragmentPlace& place, const RowScales& scales,
                                  const WarpPages<fragments * 16>& pages) {
  static_assert(groups % 2 == 0);
  constexpr int lane_sums = fragments * groups * 4;
  // Blocks that are finished, and turned, together, as registers allow.
  constexpr int at_once = lane_sums > (BIAS ? 112 : 128) || linear_codes || EPILOGUE_BATCH < 8 ? 4 : 8;
  constexpr int together = lane_sums > (BIAS ? 160 : 176) ? 1 : lane_sums > 160 ? 2 : at_once;
  const int32_t behind = lane_of_warp() / 4;
  // Of all fragments first what is of the same outputs: nothing of these is kept for long.
#pragma unroll
  for (int first = 0; first < groups / 2; first += at_once) {
#pragma unroll
    for (int fragment = 0; fragment < fragments; ++fragment) {
      FragmentPlace own = place;
      own.row += fragment * place.step;
      std::byte* const page[2]{pages.of(fragment * 16, behind), pages.of(fragment * 16 + 8, behind)};
      const float row_scales[2]{scales.of(own.row + behind, place.rows), scales.of(own.row + 8 + behind, place.rows)};
      PageChunk<groups, at_once> chunk;
      chunk.first = first;
      chunk.scale(finish, sums[fragment], own, row_scales);
      chunk.template rotate<together>(finish, own);
      chunk.store(finish, own, page);
    }
  }
}

/// Swapped: what a fragment's rows of activations need, beside their sums. A few rows' turns are loaded long before.
template <int groups>
struct SwappedPages {
  static constexpr bool ahead = groups == 1;
  WarpPages<groups * 8> pages;
  float2 turn[groups * 2];

  /// Of the lane's rows the i-th.
  static int32_t row(const FragmentPlace& place, int i) {
    return place.row + i / 2 * 8 + lane_of_warp() % 4 * 2 + i % 2;
  }
  void load_turns(const LinearFinish& finish, const PageBlock& block, const FragmentPlace& place) {
#pragma unroll
    for (int i = 0; i < groups * 2; ++i) {
      const bool turns = block.pair >= 0 && row(place, i) < place.rows;
      turn[i] = turns ? turn_of(finish.pages, row(place, i), block.pair + lane_of_warp() / 4) : float2{};
    }
  }
};

template <int groups>
inline void load_pages(SwappedPages<groups>& operands, const LinearFinish& finish, const FragmentPlace& place) {
  operands.pages = WarpPages<groups * 8>(finish, place, 16, place.packed + 16);
  if constexpr (SwappedPages<groups>::ahead) operands.load_turns(finish, page_block(finish, place.packed), place);
}

template <int groups>
inline void finish_swapped_pages(const LinearFinish& finish, const LinearSum (&sums)[groups * 4],
                                 const PackedFactors (&factors)[2], SwappedPages<groups> operands,
                                 const FragmentPlace& place, const RowScales& scales) {
  const PageBlock block = page_block(finish, place.packed);
  if constexpr (!SwappedPages<groups>::ahead) operands.load_turns(finish, block, place);
#pragma unroll
  for (int i = 0; i < groups * 2; ++i) {
    const int32_t row = operands.row(place, i);
    std::byte* const page = operands.pages.of(i / 2 * 8, lane_of_warp() % 4 * 2 + i % 2);
    if (row >= place.rows || !block.is_there) continue;
    const float row_scale = scales.of(row, place.rows);
    float first = value_of(sums[i / 2 * 4 + i % 2], factors[0], row_scale);
    float second = value_of(sums[i / 2 * 4 + 2 + i % 2], factors[1], row_scale);
    if (block.pair >= 0) rotate_pair(first, second, operands.turn[i]);
    store_page_pair(finish, row, page, block, lane_of_warp() / 4, first, second);
  }
}

/// Eight dims, or four, of rows of groups: where a lane stores what it has of them.
template <int groups>
struct SwappedStores {
  const LinearFinish& finish;
  const FragmentPlace& place;
  const PageBlock& block;
  const WarpPages<groups * 8>& pages;

  /// Of row `first` + `behind` of the tile, the dims or columns from the block's first ones on; null: nowhere. All
  /// lanes call it.
  std::byte* at(int first, int32_t behind) const {
    std::byte* const page = pages.of(first, behind);
    const int32_t row = place.row + first + behind;
    if (row >= place.rows) return nullptr;
    if (block.is_query) return reinterpret_cast<std::byte*>(output_at(finish, row, 0));
    return page == nullptr ? nullptr : page + block.bytes;
  }
  /// What two groups have of the block's halves, turned: a quad's lanes exchange it, so that each stores 16 bytes.
  void four(int g, uint32_t (&words)[4]) const {
    const int32_t lane = lane_of_warp();
    transpose_quad(words);
    std::byte* const to = at(g * 8, lane % 4 / 2 * 8 + lane / 4);
    if (to == nullptr) return;
    *reinterpret_cast<uint4*>(to + (lane % 2 == 0 ? block.first : block.second) * 2) =
        uint4{words[0], words[1], words[2], words[3]};
  }
  /// The same of one group.
  void two(int g, uint32_t first, uint32_t second, bool neighbours) const {
    const int32_t lane = lane_of_warp();
    std::byte* const to = at(g * 8, lane / 4);
    if (to == nullptr) return;
    if (neighbours) {
      *reinterpret_cast<uint2*>(to + (block.first + lane % 4 * 4) * 2) =
          uint2{__byte_perm(first, second, 0x5410), __byte_perm(first, second, 0x7632)};
    } else {
      *reinterpret_cast<uint32_t*>(to + (block.first + lane % 4 * 2) * 2) = first;
      *reinterpret_cast<uint32_t*>(to + (block.second + lane % 4 * 2) * 2) = second;
    }
  }
};

/// As finish_swapped_fragments() of epilogue.cuh: a lane has both of a pair in two rows of every group.
template <int fragments, int groups>
inline void finish_swapped_page_fragments(const LinearFinish& finish, const LinearSum (&sums)[fragments][groups * 4],
                                          const FragmentPlace& place, const RowScales& scales,
                                          const WarpPages<groups * 8>& pages) {
  constexpr bool exchanges = sizeof(OUTPUT) == 2 && sizeof(CACHE) == 2;
  constexpr int batch = fragments * groups > 34 ? 2 : 4;  // groups whose turns are loaded together
  const int32_t lane = lane_of_warp();
#pragma unroll
  for (int fragment = 0; fragment < fragments; ++fragment) {
    const int32_t packed = place.packed + fragment * place.step;
    const PageBlock block = page_block(finish, packed);
    if (!block.is_there) continue;
    const PackedFactors factors[2]{factors_of(finish, packed + lane / 4), factors_of(finish, packed + lane / 4 + 8)};
    const bool rotates = block.pair >= 0, neighbours = INTERLEAVED && rotates;
    const SwappedStores<groups> stores{finish, place, block, pages};
#pragma unroll
    for (int begin = 0; begin < groups; begin += batch) {
      float2 turn[batch][2];
#pragma unroll
      for (int i = 0; i < batch * 2; ++i) {
        if (begin + i / 2 >= groups || !rotates) continue;
        const int32_t row = place.row + (begin + i / 2) * 8 + lane % 4 * 2 + i % 2;
        turn[i / 2][i % 2] = turn_of(finish.pages, min(row, place.rows - 1), block.pair + lane / 4);
      }
      uint32_t words[batch * 2];
#pragma unroll
      for (int b = 0; b < batch; ++b) {
        const int g = begin + b;
        if (g >= groups) continue;
        float first[2], second[2];
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const float row_scale = scales.of(place.row + g * 8 + lane % 4 * 2 + i, place.rows);
          first[i] = value_of(sums[fragment][g * 4 + i], factors[0], row_scale);
          second[i] = value_of(sums[fragment][g * 4 + 2 + i], factors[1], row_scale);
          if (rotates) rotate_pair(first[i], second[i], turn[b][i]);
          if constexpr (!exchanges) {
            const int32_t row = place.row + g * 8 + lane % 4 * 2 + i;
            std::byte* const page = pages.of(g * 8, lane % 4 * 2 + i);
            if (row < place.rows) store_page_pair(finish, row, page, block, lane / 4, first[i], second[i]);
          }
        }
        if constexpr (exchanges) {
          words[b * 2] = transpose_eight(block.is_query ? pack_two<OUTPUT>(first[0], first[1])
                                                        : pack_two<CACHE>(first[0], first[1]));
          words[b * 2 + 1] = transpose_eight(block.is_query ? pack_two<OUTPUT>(second[0], second[1])
                                                            : pack_two<CACHE>(second[0], second[1]));
          if (b % 2 == 0 && g + 1 < groups) continue;
          if (b % 2 == 1 && !neighbours) {
            uint32_t four[4]{words[b * 2 - 2], words[b * 2 - 1], words[b * 2], words[b * 2 + 1]};
            stores.four(g - 1, four);
          } else {
            if (b % 2 == 1) stores.two(g - 1, words[b * 2 - 2], words[b * 2 - 1], neighbours);
            stores.two(g, words[b * 2], words[b * 2 + 1], neighbours);
          }
        }
      }
    }
  }
}

}  // namespace incipit
