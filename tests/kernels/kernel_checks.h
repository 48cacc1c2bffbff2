// Runs kernels of any family on random steps and holds them against the family's reference.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "base/cpu.h"
#include "base/thread_pool.h"
#include "kernel_case.h"
#include "kernels/kernel.h"
#include "kernels/problem.h"

namespace incipit {

/// How the tiles of a step are run.
enum class TileOrder { shuffled, pool };

/// Runs every tile once. Scratch starts as NaNs.
template <typename Family>
void run_kernel(const Kernel<Family>& kernel, const typename Family::Problem& problem,
                const typename Family::Args& args, const KernelConfig& config, int32_t rows, TileOrder order) {
  const size_t scratch_bytes = kernel.scratch_bytes(problem, config, rows);
  const int64_t tiles = kernel.tiles(problem, args, config);
  if (order == TileOrder::pool) {
    static ThreadPool pool(3);
    std::vector<GuardedBytes> scratch;
    for (int i = 0; i < pool.threads(); ++i) {
      scratch.emplace_back(scratch_bytes);
      begin_step(scratch.back().data(), scratch_bytes);
    }
    pool.parallel_for(tiles, [&](int64_t tile, int worker) {
      kernel.run(problem, args, config, tile, scratch[static_cast<size_t>(worker)].data());
    });
    for (GuardedBytes& bytes : scratch) EXPECT_TRUE(bytes.guard_intact()) << kernel.name << " overran its scratch";
    return;
  }
  GuardedBytes scratch(scratch_bytes);
  begin_step(scratch.data(), scratch_bytes);
  std::vector<int64_t> tile_order(static_cast<size_t>(tiles));
  std::iota(tile_order.begin(), tile_order.end(), 0);
  std::shuffle(tile_order.begin(), tile_order.end(), std::mt19937_64(7));
  for (const int64_t tile : tile_order) kernel.run(problem, args, config, tile, scratch.data());
  EXPECT_TRUE(scratch.guard_intact()) << kernel.name << " overran its scratch";
}

/// Holds each of `table`'s kernels that this machine can run against the reference: every test problem it accepts,
/// every row count, every configuration, tiles shuffled and by a pool. Fails for a kernel that accepts no problem.
template <typename Family>
void check_kernels(std::span<const Kernel<Family>> table) {
  std::set<std::string_view> reached;
  const auto runs_here = [](const Kernel<Family>& kernel) { return cpu_features().includes(kernel.needs); };
  uint64_t seed = 1;
  for (const auto& problem : KernelCase<Family>::test_problems()) {
    const std::string text = to_text(problem);
    EXPECT_EQ(to_text(problem_from_text<typename Family::Problem>(text)), text);
    for (const int32_t rows : KernelCase<Family>::test_rows()) {
      KernelCase<Family> step(problem, rows, ++seed);
      for (const Kernel<Family>& kernel : table) {
        if (!kernel.accepts(problem)) continue;
        reached.insert(kernel.name);
        if (!runs_here(kernel)) continue;
        for (const KernelConfig& config : kernel.configs) {
          for (const TileOrder order : {TileOrder::shuffled, TileOrder::pool}) {
            step.reset();
            run_kernel<Family>(kernel, problem, step.args(), config, rows, order);
            const std::string wrong = step.mismatch();
            ASSERT_EQ(wrong, "") << kernel.name << " " << config.name << ", rows " << rows << ", seed " << seed << ": "
                                 << text << (order == TileOrder::pool ? ", by the pool" : ", shuffled");
          }
        }
      }
    }
  }
  std::set<std::string_view> names;
  for (const Kernel<Family>& kernel : table) {
    EXPECT_TRUE(names.insert(kernel.name).second) << kernel.name << " stands twice in the table";
    EXPECT_TRUE(reached.contains(kernel.name)) << kernel.name << " accepts none of its family's test problems";
    EXPECT_FALSE(kernel.configs.empty()) << kernel.name;
    if (!runs_here(kernel)) {
      std::printf("not run: %s needs %s\n", std::string(kernel.name).c_str(), to_string(kernel.needs).c_str());
    }
  }
}

}  // namespace incipit
