// Runs kernels of any family on random steps and holds them against the family's reference.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "base/target.h"
#include "device/launch.h"
#include "kernel_case.h"
#include "kernels/kernel.h"
#include "kernels/problem.h"
#include "support/sanitized.h"

namespace incipit {

/// How the tiles of a step are run: one by one in any order, with scratch that starts as NaNs and is guarded; or by a
/// device, as in a model.
enum class TileOrder { shuffled, pool };

/// Runs every tile once.
template <typename Family>
void run_kernel(const Kernel<Family>& kernel, const typename Family::Problem& problem,
                const typename Family::Args& args, const KernelConfig& config, int32_t rows, TileOrder order) {
  if (order == TileOrder::pool) {
    static const std::unique_ptr<Device> device = make_cpu_device(3);
    const auto launch = prepare(*device, kernel, config, problem, args, rows);
    device->launch(*launch);
    return;
  }
  const size_t scratch_bytes = kernel.processor.scratch_bytes(problem, config, rows);
  const int64_t tiles = kernel.processor.tiles(problem, args, config);
  GuardedBytes scratch(scratch_bytes);
  begin_step(scratch.data(), scratch_bytes);
  std::vector<int64_t> tile_order(static_cast<size_t>(tiles));
  std::iota(tile_order.begin(), tile_order.end(), 0);
  std::shuffle(tile_order.begin(), tile_order.end(), std::mt19937_64(7));
  for (const int64_t tile : tile_order) kernel.processor.run(problem, args, config, tile, scratch.data());
  EXPECT_TRUE(scratch.guard_intact()) << kernel.name << " overran its scratch";
}

/// Holds each of the processor's kernels in `table` that this machine can run against the reference: every test problem
/// it accepts, every row count, every configuration, tiles shuffled and by a pool. Fails for a kernel that accepts no
/// problem.
template <typename Family>
void check_kernels(std::span<const Kernel<Family>> table) {
  std::set<std::string_view> reached;
  uint64_t seed = 1;
  const std::vector<int32_t> all_rows = KernelCase<Family>::test_rows();
  size_t turn_of_problem = 0;
  for (const auto& problem : KernelCase<Family>::test_problems()) {
    const std::string text = to_text(problem);
    EXPECT_EQ(to_text(problem_from_text<typename Family::Problem>(text)), text);
    // Under sanitizers each problem takes every third number of rows, the next problem the ones beside them.
    size_t turn_of_rows = turn_of_problem++;
    for (const int32_t rows : all_rows) {
      if (sanitized && all_rows.size() > 1 && turn_of_rows++ % 3 != 0) continue;
      KernelCase<Family> step(problem, rows, ++seed);
      for (const Kernel<Family>& kernel : table) {
        if (kernel.needs.backend != Backend::cpu || !kernel.accepts(problem)) continue;
        reached.insert(kernel.name);
        if (!this_machine().includes(kernel.needs)) continue;
        for (size_t i = 0; i < kernel.configs.size(); ++i) {
          const KernelConfig& config = kernel.configs[i];
          for (const TileOrder order : {TileOrder::shuffled, TileOrder::pool}) {
            // Under sanitizers each case takes one configuration and one order, the next case the next.
            const size_t turn = 2 * i + (order == TileOrder::pool ? 1 : 0);
            if (sanitized && seed % (2 * kernel.configs.size()) != turn) continue;
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
    if (kernel.needs.backend != Backend::cpu) continue;
    EXPECT_TRUE(reached.contains(kernel.name)) << kernel.name << " accepts none of its family's test problems";
    EXPECT_FALSE(kernel.configs.empty()) << kernel.name;
    if (!this_machine().includes(kernel.needs)) {
      std::printf("not run: %s needs %s\n", std::string(kernel.name).c_str(), to_string(kernel.needs).c_str());
    }
  }
}

}  // namespace incipit
