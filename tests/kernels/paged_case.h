// Random batches over paged caches: KvWrite and Attention.
#pragma once

#include <algorithm>
#include <array>
#include <numeric>

#include "gather_case.h"
#include "kernel_case.h"
#include "kernels/families.h"
#include "kernels/reference/rotated.h"
#include "rotary_case.h"
#include "support/sanitized.h"

namespace incipit {

/// Sequences of a step with shuffled pages in a pool of NaNs. Every sequence has pages for its whole context.
class PagedBatch {
 public:
  /// `tokens` of each sequence follow `first_positions` earlier ones; layer 1 of 2 is used.
  PagedBatch(KvGeometry geometry, const std::vector<int32_t>& first_positions, const std::vector<int32_t>& tokens,
             std::mt19937_64& random)
      : geometry_(geometry) {
    geometry_.layers = 2;
    int32_t pages = 1, most = 1;  // page 0 belongs to nobody
    for (size_t i = 0; i < tokens.size(); ++i) {
      SequenceSpan span;
      span.first_position = first_positions[i];
      span.tokens = tokens[i];
      span.first_token = tokens_;
      tokens_ += tokens[i];
      spans_.push_back(span);
      most = std::max(most, pages_of(span));
      pages += pages_of(span);
    }
    std::vector<int32_t> numbers(static_cast<size_t>(pages - 1));
    std::iota(numbers.begin(), numbers.end(), 1);
    std::shuffle(numbers.begin(), numbers.end(), random);
    tables_.assign(tokens.size() * static_cast<size_t>(most), 0);
    size_t next = 0;
    for (size_t i = 0; i < spans_.size(); ++i) {
      for (int32_t page = 0; page < pages_of(spans_[i]); ++page) {
        tables_[i * static_cast<size_t>(most) + static_cast<size_t>(page)] = numbers[next++];
      }
    }
    stride_ = most;
    pages_ = pages;
    pool_ = GuardedBytes(static_cast<size_t>(pages * geometry_.page_bytes()));
  }

  int32_t tokens() const { return tokens_; }
  std::vector<SequenceSpan>& spans() { return spans_; }
  GuardedBytes& pool() { return pool_; }
  int32_t* table(int32_t sequence) { return tables_.data() + int64_t{sequence} * stride_; }
  PagedCache cache() {
    return {pool_.data(), geometry_.page_bytes(), geometry_.layer_bytes(), tables_.data(), stride_, pages_};
  }

 private:
  int32_t pages_of(const SequenceSpan& span) const {
    return (span.first_position + span.tokens + geometry_.tokens - 1) / geometry_.tokens;
  }
  KvGeometry geometry_;
  std::vector<SequenceSpan> spans_;
  std::vector<int32_t> tables_;
  int32_t stride_ = 0, tokens_ = 0, pages_ = 0;
  GuardedBytes pool_;
};

/// Sequences of a step: what each has before it, and its tokens.
struct StepContexts {
  std::vector<int32_t> first_positions, tokens;
};

/// Cuts `rows` into one to three shares and gives each a start; starts are odd, even, at page bounds and at zero.
inline void random_spans(int32_t rows, std::mt19937_64& random, std::vector<int32_t>& first_positions,
                         std::vector<int32_t>& shares) {
  const int32_t sequences = std::min<int32_t>(rows, 1 + static_cast<int32_t>(random() % 3));
  for (int32_t left = sequences; left > 0; --left) {
    const int32_t share =
        left == 1 ? rows : 1 + static_cast<int32_t>(random() % static_cast<uint64_t>(rows - left + 1));
    constexpr int32_t starts[] = {0, 1, 16, 31, 32, 63, 64, 150};
    first_positions.push_back(starts[random() % 8]);
    shares.push_back(share);
    rows -= share;
  }
}

/// Many sequences of a token each about the ends of pages of 64 tokens, then one that goes over such ends.
inline void spans_at_page_ends(int32_t rows, std::vector<int32_t>& first_positions, std::vector<int32_t>& shares) {
  constexpr int32_t positions[] = {63, 64, 0, 127, 62, 128, 65};
  for (int32_t i = 0; i < rows / 2; ++i) {
    first_positions.push_back(positions[i % 7]);
    shares.push_back(1);
  }
  first_positions.push_back(61);
  shares.push_back(rows - rows / 2);
}

template <>
class KernelCase<KvWrite> {
 public:
  static std::vector<KvWrite::Problem> test_problems() {
    std::vector<KvWrite::Problem> problems;
    for (const DType input : {DType::f32, DType::bf16}) {
      for (const DType cache : {DType::f32, DType::bf16, DType::f16, DType::i8}) {
        problems.push_back({2, 64, 32, input, cache});
        problems.push_back({3, 80, 16, input, cache});
        problems.push_back({1, 2, 32, input, cache});
        problems.push_back({2, 6, 64, input, cache});
        problems.push_back({1, 256, 16, input, cache});
        for (const bool interleaved : {false, true}) {
          problems.push_back({2, 64, 32, input, cache, 32, interleaved});
          problems.push_back({3, 80, 16, input, cache, 10, interleaved});
          problems.push_back({1, 96, 32, input, cache, 37, interleaved});
        }
      }
    }
    return problems;
  }
  static std::vector<int32_t> test_rows() { return standard_rows(); }
  static std::vector<BenchStep<KvWrite>> bench_steps() {
    return {{{16, 64, 32, DType::f32, DType::bf16}, 1024, 0, 12.0 * (1 << 20)},
            {{16, 64, 32, DType::bf16, DType::bf16}, 1024, 0, 8.0 * (1 << 20)},
            {{16, 64, 32, DType::bf16, DType::bf16, 32}, 1024, 0, 8.25 * (1 << 20)},
            {{16, 64, 32, DType::f32, DType::f16}, 1024, 0, 12.0 * (1 << 20)},
            {{16, 64, 32, DType::f32, DType::i8, 32}, 1024, 0, 10.375 * (1 << 20)},
            {{16, 64, 32, DType::f32, DType::f32}, 1024, 0, 16.0 * (1 << 20)}};
  }
  KernelCase(const KvWrite::Problem& problem, int32_t rows, uint64_t seed)
      : problem_(problem), random_(seed), batch_(make_batch(problem, rows, random_)) {
    const int64_t width = int64_t{problem.kv_heads} * problem.head_dim;
    keys_ = random_output(problem.input, rows, width, seed / 2);
    values_ = random_output(problem.input, rows, width, seed);
    table_ = random_output(DType::f32, rows, 2 * problem.rotary_pairs, seed / 4);
    keys_.fill_random(random_);
    values_.fill_random(random_);
    table_.fill_random(random_);
    args_ = {static_cast<int32_t>(batch_.spans().size()),
             batch_.spans().data(),
             batch_.cache(),
             keys_.data(),
             keys_.stride,
             values_.data(),
             values_.stride,
             reinterpret_cast<const float*>(table_.data()),
             table_.stride};
  }
  const KvWrite::Args& args() const { return args_; }
  void reset() { batch_.pool().poison(); }
  /// Exact but for rotated elements, and nothing else of the pool is touched.
  std::string mismatch() {
    std::vector<std::byte> got(batch_.pool().data(), batch_.pool().data() + batch_.pool().size());
    if (!batch_.pool().guard_intact()) return "the pool was written beyond its end";
    batch_.pool().poison();
    KvWrite::reference(problem_, args_);
    take_rotated_keys(got);
    const auto differ = std::mismatch(got.begin(), got.end(), batch_.pool().data());
    return differ.first == got.end() ? "" : "pool differs at byte " + std::to_string(differ.first - got.begin());
  }

 private:
  static PagedBatch make_batch(const KvWrite::Problem& problem, int32_t rows, std::mt19937_64& random) {
    std::vector<int32_t> first_positions, shares;
    random_spans(rows, random, first_positions, shares);
    return PagedBatch(problem.geometry(), first_positions, shares, random);
  }

  /// Where a rotated element of a key is as near to the expected one as Rotary's, it becomes that. Of codes, a scale
  /// may be as far off as the rotated number that it was made of, and a code by one where that was near the middle of
  /// two.
  void take_rotated_keys(std::vector<std::byte>& got) {
    if (problem_.rotary_pairs == 0) return;
    const bool coded = problem_.cache == DType::i8;
    const double bound = coded ? 1 : rotation_bound(problem_.cache);
    const KvGeometry geometry = problem_.geometry();
    for (int32_t sequence = 0; sequence < args_.sequences; ++sequence) {
      const SequenceSpan& span = args_.spans[sequence];
      for (int32_t at = span.first_position; at < span.first_position + span.tokens; ++at) {
        for (int64_t head = 0; head < problem_.kv_heads; ++head) {
          const std::byte* keys = args_.cache.page(sequence, at / problem_.page_tokens) + head * geometry.head_bytes();
          std::byte* mine = got.data() + (keys - batch_.pool().data());
          if (coded) {
            const int64_t scales = geometry.scales_offset(), token = at % problem_.page_tokens;
            const float wanted = element_as_float(DType::f32, keys + scales, token);
            const float found = element_as_float(DType::f32, mine + scales, token);
            // Zeros have the scale 1, which nothing else comes near.
            const double near = rotation_bound(DType::f32) / largest_code + 0x1p-22 * double{wanted};
            if (std::abs(double{found} - double{wanted}) <= near) set_element(DType::f32, mine + scales, token, wanted);
          }
          for (int64_t dim = 0; dim < (coded ? problem_.head_dim : 2 * int64_t{problem_.rotary_pairs}); ++dim) {
            const int64_t element = geometry.k_element(at % problem_.page_tokens, dim);
            const float wanted = element_as_float(problem_.cache, keys, element);
            if (std::abs(element_as_float(problem_.cache, mine, element) - wanted) <= bound) {
              set_element(problem_.cache, mine, element, wanted);
            }
          }
        }
      }
    }
  }
  KvWrite::Problem problem_;
  std::mt19937_64 random_;
  PagedBatch batch_;
  Rows keys_, values_, table_;
  KvWrite::Args args_;
};

/// Slopes as ALiBi's, and sinks of which some outweigh all scores and some are nothing beside them.
struct HeadNumbers {
  explicit HeadNumbers(int32_t heads) {
    for (int32_t head = 0; head < heads; ++head) {
      slopes.push_back(std::exp2(-8.0f * static_cast<float>(head) / static_cast<float>(heads) - 0.5f));
      sinks.push_back(std::array{0.5f, -300.0f, 3.0f, 40.0f}[static_cast<size_t>(head % 4)]);
    }
  }
  /// What they add to the size of scores.
  double largest(const Attention::Problem& problem, int32_t context) const {
    return (problem.slopes ? double{slopes[0]} * context : 0) + (problem.sinks ? 300 : 0);
  }
  std::vector<float> slopes, sinks;
};

template <>
class KernelCase<Attention> {
 public:
  static std::vector<Attention::Problem> test_problems() {
    std::vector<Attention::Problem> problems;
    constexpr DType f32 = DType::f32, bf16 = DType::bf16, f16 = DType::f16;
    const auto add = [&](int32_t heads, int32_t kv_heads, int32_t head_dim, int32_t page_tokens, int32_t window,
                         float soft_cap, bool over_rows, DType query, DType cache, DType output,
                         int32_t rotary_pairs = 0, bool interleaved = false, bool slopes = false, bool sinks = false) {
      const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(head_dim)));
      problems.push_back({heads, kv_heads, head_dim, page_tokens, window, scale, soft_cap, over_rows, query, cache,
                          output, rotary_pairs, interleaved});
      problems.back().slopes = slopes;
      problems.back().sinks = sinks;
    };
    for (const DType cache : {f32, bf16, f16, DType::i8}) {
      add(2, 2, 2, 32, 0, 0, false, f32, cache, f32);
      add(2, 1, 16, 16, 0, 0, true, bf16, cache, bf16);
      add(4, 4, 64, 32, 0, 0, false, bf16, cache, bf16);
      add(6, 2, 64, 32, 0, 0, true, f32, cache, f32);
      add(8, 1, 80, 32, 0, 0, false, bf16, cache, f32);
      add(3, 1, 96, 64, 0, 0, false, f32, cache, bf16);
      add(2, 2, 128, 32, 0, 0, false, bf16, cache, f32);
      add(2, 1, 256, 32, 0, 0, true, bf16, cache, f32);
      add(4, 2, 64, 32, 5, 0, false, bf16, cache, f32);
      add(4, 2, 64, 16, 64, 0, true, f32, cache, f32);
      add(2, 2, 64, 32, 70, 0.7f, false, bf16, cache, f32);
      add(2, 1, 34, 32, 1, 0, false, f32, cache, f32);
      add(2, 1, 64, 32, 0, 30, true, bf16, cache, f32);
      add(6, 2, 64, 32, 0, 0, false, bf16, cache, f32, 0, false, true);
      add(4, 4, 48, 16, 0, 5, true, f32, cache, bf16, 0, false, true);
      add(6, 3, 64, 32, 40, 0, false, f32, cache, f32, 32, false, false, true);
      add(6, 2, 64, 32, 0, 0, true, bf16, cache, bf16, 0, false, true, true);
      for (const DType query : {f32, bf16}) {
        add(4, 2, 64, 32, 0, 0, false, query, cache, f32, 32);
        add(4, 2, 64, 32, 0, 0, true, query, cache, f32, 32, true);
        add(2, 1, 96, 32, 0, 0, true, query, cache, f32, 37);
        add(3, 1, 96, 32, 0, 0, false, query, cache, f32, 11, true);
      }
    }
    return problems;
  }
  static std::vector<int32_t> test_rows() {
    if (sanitized) return {1, 33, 70};
    return {1, 2, 5, 33, 70};
  }
  static std::vector<BenchStep<Attention>> bench_steps() {
    std::vector<BenchStep<Attention>> steps;
    for (const DType cache : {DType::bf16, DType::f16, DType::f32, DType::i8}) {
      const double bytes = cache == DType::f32 ? 4 : cache == DType::i8 ? 68.0 / 64 : 2;
      const DType rows = cache == DType::bf16 ? DType::bf16 : DType::f32;
      // llama-0.5b: a prompt of 1024, and one token at 1024.
      const Attention::Problem problem{16, 16, 64, 32, 0, 0.125f, 0, false, rows, cache, rows};
      steps.push_back({problem, 1024, 2.0 * 1024 * 1024 * 64 * 16, 4.0 * (1 << 20) * bytes});
      steps.push_back({problem, 1, 4.0 * 1024 * 64 * 16, 2.0 * (1 << 20) * bytes});
      Attention::Problem rotated = problem;
      rotated.rotary_pairs = 32;
      steps.push_back({rotated, 1024, 2.0 * 1024 * 1024 * 64 * 16, (4.0 * bytes + 0.25) * (1 << 20)});
    }
    return steps;
  }

  KernelCase(const Attention::Problem& problem, int32_t rows, uint64_t seed)
      : KernelCase(problem, random_contexts(rows, seed), seed) {}
  KernelCase(const Attention::Problem& problem, const StepContexts& contexts, uint64_t seed)
      : problem_(problem),
        random_(seed),
        batch_(problem.geometry(), contexts.first_positions, contexts.tokens, random_),
        heads_of_(problem.heads) {
    const int64_t width = int64_t{problem.heads} * problem.head_dim;
    const int32_t rows = batch_.tokens();
    int32_t row = 0;
    for (SequenceSpan& span : batch_.spans()) {
      longest_ = std::max(longest_, span.first_position + span.tokens);
      if (!problem.over_rows) continue;
      span.rows = std::max(1, span.tokens / 2);
      span.first_row = row;
      row += span.rows;
      for (int32_t i = 0; i < span.rows; ++i) {  // every second token, and the last
        positions_.push_back(span.first_position + (i + 1 == span.rows ? span.tokens - 1 : 2 * i));
      }
    }
    query_ = random_output(problem.query, problem.over_rows ? row : rows, width, seed / 2);
    output_ = random_output(problem.output, query_.rows, width, seed);
    query_.fill_random(random_);
    table_ = random_output(DType::f32, query_.rows, 2 * problem.rotary_pairs, seed / 4);
    table_.fill_random(random_);
    write_context();
    forget_pages_behind_windows();
    args_ = {static_cast<int32_t>(batch_.spans().size()),
             batch_.spans().data(),
             batch_.cache(),
             positions_.data(),
             query_.data(),
             query_.stride,
             output_.data(),
             output_.stride,
             query_.rows,
             is_whole(output_),
             reinterpret_cast<const float*>(table_.data()),
             table_.stride};
    args_.slopes = heads_of_.slopes.data();
    args_.sinks = heads_of_.sinks.data();
  }
  const Attention::Args& args() const { return args_; }
  Rows& output() { return output_; }
  void reset() { output_.bytes.poison(); }

  std::string mismatch() {
    if (expected_.rows == 0) {
      expected_ = Rows::whole(problem_.output, query_.rows, query_.width);
      Attention::Args args = args_;
      args.output = expected_.data(), args.output_stride = expected_.stride;
      Attention::reference(problem_, args);
      for (int64_t row = 0; row < query_.rows; ++row) {
        for (int32_t head = 0; head < problem_.heads; ++head) query_norms_.push_back(query_norm(row, head));
      }
    }
    return rows_mismatch("output", output_, expected_, args_.pad_output, [&](int64_t row, int64_t column) {
      // out = Σ w·v / Σ w with |v| <= 1: weights off by a factor in 1 ± e move it by at most 2e.
      const double u = half_ulp_f32;
      const double norm = query_norms_[static_cast<size_t>(row * problem_.heads + column / problem_.head_dim)];
      // A score is at most |q|·|k|·scale, |k| <= √head_dim; it errs by the order of its sum, a few roundings (also of
      // the soft cap, slope <= 1; of the rotation) and, with a bf16 cache, by the rounding of the query.
      const double score = norm * std::sqrt(problem_.head_dim) * static_cast<double>(problem_.scale);
      const bool rotates = problem_.rotary_pairs > 0;
      const bool rounds_query = problem_.cache == DType::bf16 && (problem_.query == DType::f32 || rotates);
      const double score_error = ((problem_.head_dim + (rotates ? 18 : 12)) * u + (rounds_query ? 0x1p-9 : 0)) * score +
                                 8 * u * static_cast<double>(problem_.soft_cap) +
                                 8 * u * heads_of_.largest(problem_, longest_);
      // Then the exponential, the sums over the context with a rescaling every block, and bf16 weights.
      const double weight_error = score_error + (longest_ + 16) * u + (problem_.cache == DType::bf16 ? 0x1p-9 : 0);
      const double value = std::abs(expected_.get(row, column));
      return 2 * weight_error * (1 + weight_error) + 2 * unit_roundoff(problem_.output) * (value + 2 * weight_error);
    });
  }

 private:
  static StepContexts random_contexts(int32_t rows, uint64_t seed) {
    std::mt19937_64 random(seed);
    StepContexts contexts;
    random_spans(rows, random, contexts.first_positions, contexts.tokens);
    if (rows == 1) contexts.first_positions = {1023};
    if (rows == 1024) contexts = {{0}, {1024}};
    return contexts;
  }

  /// |q| of one head, rotated.
  double query_norm(int64_t row, int32_t head) {
    std::vector<float> query(static_cast<size_t>(problem_.head_dim));
    load_rotated(problem_.query, query_.data(), row * query_.stride + int64_t{head} * problem_.head_dim,
                 args_.table + row * args_.table_stride, problem_.rotary_pairs, problem_.interleaved, query);
    return std::sqrt(std::inner_product(query.begin(), query.end(), query.begin(), 0.0));
  }

  /// Keys and values at every position up to the end of each span.
  void write_context() {
    KvWrite::Problem problem{problem_.kv_heads, problem_.head_dim, problem_.page_tokens, DType::f32, problem_.cache};
    problem.pages = problem_.pages;
    for (size_t i = 0; i < batch_.spans().size(); ++i) {
      SequenceSpan span = batch_.spans()[i];
      span.tokens += span.first_position;
      span.first_position = span.first_token = 0;
      const int64_t width = int64_t{problem_.kv_heads} * problem_.head_dim;
      Rows keys = Rows::whole(DType::f32, span.tokens, width), values = Rows::whole(DType::f32, span.tokens, width);
      keys.fill_random(random_);
      values.fill_random(random_);
      PagedCache cache = batch_.cache();
      cache.page_tables = batch_.table(static_cast<int32_t>(i));
      KvWrite::reference(problem, {1, &span, cache, keys.data(), keys.stride, values.data(), values.stride});
    }
  }

  /// Pages that no query of the step can see go back to their owner.
  void forget_pages_behind_windows() {
    if (problem_.window == 0) return;
    for (size_t i = 0; i < batch_.spans().size(); ++i) {
      const int32_t seen = std::max(0, batch_.spans()[i].first_position - problem_.window + 1);
      std::fill_n(batch_.table(static_cast<int32_t>(i)), seen / problem_.page_tokens, 0);
    }
  }

  Attention::Problem problem_;
  std::mt19937_64 random_;
  PagedBatch batch_;
  HeadNumbers heads_of_;
  std::vector<int32_t> positions_;
  Rows query_, table_, output_, expected_;
  std::vector<double> query_norms_;  // [rows][heads], once there is expected_
  int32_t longest_ = 0;              // context
  Attention::Args args_;
};

}  // namespace incipit
