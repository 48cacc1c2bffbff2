// Attention over whole sequences: whether a query's depends on how its sequence was cut into steps, or on what else the
// step holds, and what becomes of scores that no exponential holds.
#pragma once

#include <algorithm>
#include <functional>

#include "base/target.h"
#include "kernel_checks.h"
#include "paged_case.h"
#include "support/sanitized.h"

namespace incipit {

/// A whole sequence's rows. Not copied: a copy of guarded bytes may be aligned otherwise.
struct Whole {
  Whole(const Attention::Problem& problem, int32_t length, std::mt19937_64& random)
      : width(int64_t{problem.heads} * problem.head_dim),
        queries(Rows::whole(problem.query, length, width)),
        keys(Rows::whole(problem.query, length, int64_t{problem.kv_heads} * problem.head_dim)),
        values(Rows::whole(problem.query, length, keys.width)),
        table(Rows::whole(DType::f32, length, 2 * problem.rotary_pairs)) {
    queries.fill_random(random);
    keys.fill_random(random);
    values.fill_random(random);
    table.fill_random(random);
  }
  int64_t width;
  Rows queries, keys, values, table;
};

/// Runs a step's queries: the kernel's entry is its caller's affair.
using RunAttention = std::function<void(const Kernel<Attention>&, const KernelConfig&, const Attention::Problem&,
                                        const Attention::Args&, int32_t rows)>;

/// Whether the contexts of single queries are split into tiles, which a pool then runs.
enum class Contexts { whole, split };

/// Runs two sequences in steps of the given sizes (a sequence that has ended stands aside) and returns both outputs.
inline std::vector<Rows> run_in_steps(const Kernel<Attention>& kernel, const KernelConfig& config,
                                      const Attention::Problem& problem, std::vector<Whole>& sequences,
                                      const std::vector<int32_t>& steps, Contexts contexts = Contexts::whole,
                                      const RunAttention& run = {}) {
  std::mt19937_64 random(1);
  std::vector<Rows> outputs;
  std::vector<int32_t> lengths;
  for (Whole& whole : sequences) {
    outputs.push_back(Rows::whole(problem.output, whole.queries.rows, whole.width));
    lengths.push_back(whole.queries.rows);
  }
  PagedBatch batch(problem.geometry(), std::vector<int32_t>(lengths.size(), 0), lengths, random);
  std::vector<int32_t> done(lengths.size(), 0);
  const int32_t longest = *std::max_element(lengths.begin(), lengths.end());
  const size_t shared = kernel.workspace_bytes == nullptr ? 0 : kernel.workspace_bytes(problem, config, longest);
  GuardedBytes workspace(shared);
  std::fill_n(workspace.data(), shared, std::byte{0});
  const HeadNumbers heads_of(problem.heads);
  for (size_t step = 0; done != lengths; ++step) {
    const int32_t most = steps[step % steps.size()];
    // A step's spans keep the page tables of their sequences: all sequences take part, some with nothing.
    std::vector<SequenceSpan> spans;
    int32_t tokens = 0;
    for (size_t i = 0; i < lengths.size(); ++i) {
      const int32_t share = std::min(most, lengths[i] - done[i]);
      spans.push_back({static_cast<int32_t>(i), tokens, share, done[i], 0, 0});
      tokens += share;
    }
    Rows queries = Rows::whole(problem.query, tokens, sequences[0].width);
    Rows keys = Rows::whole(problem.query, tokens, sequences[0].keys.width);
    Rows values = Rows::whole(problem.query, tokens, keys.width);
    Rows table = Rows::whole(DType::f32, tokens, sequences[0].table.width);
    Rows output = Rows::whole(problem.output, tokens, sequences[0].width);
    for (size_t i = 0; i < lengths.size(); ++i) {
      for (int32_t t = 0; t < spans[i].tokens; ++t) {
        for (int64_t c = 0; c < queries.width; ++c) {
          queries.set(spans[i].first_token + t, c, sequences[i].queries.get(done[i] + t, c));
        }
        for (int64_t c = 0; c < keys.width; ++c) {
          keys.set(spans[i].first_token + t, c, sequences[i].keys.get(done[i] + t, c));
          values.set(spans[i].first_token + t, c, sequences[i].values.get(done[i] + t, c));
        }
        for (int64_t c = 0; c < table.width; ++c) {
          table.set(spans[i].first_token + t, c, sequences[i].table.get(done[i] + t, c));
        }
      }
    }
    const auto count = static_cast<int32_t>(spans.size());
    KvWrite::Problem written{problem.kv_heads, problem.head_dim, problem.page_tokens, problem.query, problem.cache};
    written.pages = problem.pages;
    KvWrite::reference(written,
                       {count, spans.data(), batch.cache(), keys.data(), keys.stride, values.data(), values.stride});
    Attention::Args args{count,         spans.data(),  batch.cache(), nullptr, queries.data(),          queries.stride,
                         output.data(), output.stride, tokens,        true,    table.bytes.as<float>(), table.stride};
    args.slopes = heads_of.slopes.data();
    args.sinks = heads_of.sinks.data();
    for (const SequenceSpan& span : spans) args.most_queries = std::max(args.most_queries, span.tokens);
    if (contexts == Contexts::split) {
      args.longest_context = INT32_MAX;  // so that all are split
      args.workers = 2;
      args.workspace = workspace.data();
      args.workspace_bytes = static_cast<int64_t>(shared);
    }
    if (run) {
      run(kernel, config, problem, args, tokens);
    } else {
      const bool by_pool = contexts == Contexts::split && step % 4 == 0;
      run_kernel<Attention>(kernel, problem, args, config, tokens, by_pool ? TileOrder::pool : TileOrder::shuffled);
    }
    for (size_t i = 0; i < lengths.size(); ++i) {
      for (int32_t t = 0; t < spans[i].tokens; ++t) {
        for (int64_t c = 0; c < queries.width; ++c) {
          outputs[i].set(done[i] + t, c, output.get(spans[i].first_token + t, c));
        }
      }
      done[i] += spans[i].tokens;
    }
  }
  EXPECT_TRUE(workspace.guard_intact()) << kernel.name;
  return outputs;
}

/// The kernel's configurations with the smallest parts; under sanitizers the first and the last.
inline std::vector<KernelConfig> small_parts(const Kernel<Attention>& kernel) {
  std::vector<KernelConfig> configs(kernel.configs.begin(), kernel.configs.end());
  if (sanitized && configs.size() > 2) configs.erase(configs.begin() + 1, configs.end() - 1);
  for (KernelConfig& config : configs) config.values[2] = 1;
  return configs;
}

/// These, and before them the kernel's own; under sanitizers, which run the same code for both, these alone.
inline std::vector<KernelConfig> whole_and_small_parts(const Kernel<Attention>& kernel) {
  std::vector<KernelConfig> configs = small_parts(kernel);
  if (!sanitized) configs.insert(configs.begin(), kernel.configs.begin(), kernel.configs.end());
  return configs;
}

/// Kernels against the reference where contexts have several parts.
inline void check_parts(std::span<const Kernel<Attention>> table) {
  std::vector<std::vector<KernelConfig>> configs;
  std::vector<Kernel<Attention>> small(table.begin(), table.end());
  for (Kernel<Attention>& kernel : small) {
    configs.push_back(small_parts(kernel));
    kernel.configs = configs.back();
  }
  check_kernels<Attention>(small);
}

/// Scores that rise or fall by 46 units of log2 from each token to the next: all weight is the last or the first
/// token's.
inline void check_steep_scores(std::span<const Kernel<Attention>> table) {
  for (const DType cache : {DType::f32, DType::bf16, DType::f16, DType::i8}) {
    const DType dtype = cache == DType::bf16 ? DType::bf16 : DType::f32;
    const float rounding = cache == DType::i8 ? 0.5f / largest_code : 0;  // of values, at most 1
    for (const float slope : {256.0f, -256.0f}) {
      const Attention::Problem problem{4, 2, 64, 32, 0, 0.125f, 0, false, dtype, cache, dtype};
      std::mt19937_64 random(5);
      std::vector<Whole> sequences;
      sequences.emplace_back(problem, 250, random);
      Whole& whole = sequences[0];
      for (int32_t t = 0; t < whole.queries.rows; ++t) {
        for (int64_t c = 0; c < whole.queries.width; ++c) whole.queries.set(t, c, c % 64 == 5 ? 1.0f : 0.0f);
        for (int64_t c = 0; c < whole.keys.width; ++c) {
          whole.keys.set(t, c, c % 64 == 5 ? slope * static_cast<float>(t) : 0.0f);
        }
      }
      for (const Kernel<Attention>& kernel : table) {
        if (!kernel.accepts(problem) || !this_machine().includes(kernel.needs)) continue;
        for (const KernelConfig& config : whole_and_small_parts(kernel)) {
          std::vector<Rows> got = run_in_steps(kernel, config, problem, sequences, {whole.queries.rows});
          for (int32_t t = 0; t < whole.queries.rows; ++t) {
            for (int64_t c = 0; c < whole.width; ++c) {
              const float want = whole.values.get(slope > 0 ? t : 0, c / 128 * 64 + c % 64);
              ASSERT_NEAR(got[0].get(t, c), want, 1e-3f + rounding + 5e-3f * std::abs(want))
                  << kernel.name << " " << config.name << " token " << t << " slope " << slope;
            }
          }
        }
      }
    }
  }
}

/// What check_chunking() is for.
inline std::vector<Attention::Problem> chunked_problems() {
  std::vector<Attention::Problem> problems;
  for (const DType cache : {DType::f32, DType::bf16, DType::f16, DType::i8}) {
    const DType dtype = cache == DType::bf16 ? DType::bf16 : DType::f32;
    for (const int32_t window : {0, 50}) {
      if (sanitized && (window == 0) == (cache == DType::bf16)) continue;
      Attention::Problem& problem =
          problems.emplace_back(Attention::Problem{6, 2, 64, 32, window, 0.125f, 0, false, dtype, cache, dtype});
      problem.rotary_pairs = window > 0 ? 27 : 0;
      problem.slopes = window == 0;
      problem.sinks = window > 0;
    }
  }
  return problems;
}

/// Holds two sequences in steps of odd sizes, together and alone, their contexts whole and split, against the same in
/// one step: bit for bit.
inline void check_chunking(std::span<const Kernel<Attention>> table, const Attention::Problem& problem,
                           const RunAttention& run = {}) {
  std::mt19937_64 random(3);
  std::vector<Whole> two, second;
  two.emplace_back(problem, 301, random);
  std::mt19937_64 again = random;
  two.emplace_back(problem, 97, random);
  second.emplace_back(problem, 97, again);
  for (const Kernel<Attention>& kernel : table) {
    const Target machine = this_machine(run ? Backend::cuda : Backend::cpu);
    if (!kernel.accepts(problem) || !machine.includes(kernel.needs)) continue;
    const std::vector<KernelConfig> configs =
        run ? std::vector<KernelConfig>(kernel.configs.begin(), kernel.configs.end()) : whole_and_small_parts(kernel);
    for (const KernelConfig& config : configs) {
      std::vector<Rows> whole = run_in_steps(kernel, config, problem, two, {301}, Contexts::whole, run);
      const auto same = [](Rows& a, Rows& b) {
        return std::memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()) == 0;
      };
      const Contexts contexts = !run && config.values[2] == 1 ? Contexts::split : Contexts::whole;
      std::vector<std::vector<int32_t>> cuts{{64, 1, 33}};
      if (!sanitized) cuts.insert(cuts.end(), {{7}, {1}});
      for (const std::vector<int32_t>& steps : cuts) {
        std::vector<Rows> cut = run_in_steps(kernel, config, problem, two, steps, contexts, run);
        EXPECT_TRUE(same(cut[0], whole[0]) && same(cut[1], whole[1]))
            << kernel.name << " " << config.name << ": " << to_text(problem);
      }
      std::vector<Rows> alone = run_in_steps(kernel, config, problem, second, {13}, Contexts::whole, run);
      EXPECT_TRUE(same(alone[0], whole[1])) << kernel.name << " " << config.name << ": " << to_text(problem);
    }
  }
}
/// The processor's kernels.
inline void check_chunking(std::span<const Kernel<Attention>> table) {
  for (const Attention::Problem& problem : chunked_problems()) check_chunking(table, problem);
}

}  // namespace incipit
