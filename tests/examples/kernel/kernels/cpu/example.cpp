// A kernel that has its family's reference do the work, in one tile.
#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/rows.h"

namespace incipit {

Kernel<GatherRows> gather_rows_example() {
  const auto accepts = [](const GatherRows::Problem&) { return true; };
  const auto tiles = [](const GatherRows::Problem&, const GatherRows::Args&, const KernelConfig&) -> int64_t {
    return 1;
  };
  const auto run = [](const GatherRows::Problem& problem, const GatherRows::Args& args, const KernelConfig&, int64_t,
                      std::byte*) { GatherRows::reference(problem, args); };
  return {"gather_rows/example", 1, {}, accepts, plain_config, {no_scratch_needed<GatherRows>, tiles, run}};
}

}  // namespace incipit
