// Measures every kernel of the table that this machine can run, each configuration, on its family's benchmark steps,
// with all of the process's cores. `--benchmark_filter=linear/avx512_bf16.*rows=1/` chooses.
//
// Rates: `work` counts multiply-adds as two operations; `bytes` what a step must read and write at least.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "all_cases.h"
#include "base/cpu.h"
#include "base/thread_pool.h"
#include "kernels/problem.h"

namespace incipit {

#if defined(INCIPIT_ONEDNN)
void register_onednn();
#endif

namespace {

ThreadPool& pool() {
  static ThreadPool all_cores;
  return all_cores;
}

template <typename Family>
void measure(benchmark::State& state, const Kernel<Family>& kernel, const KernelConfig& config,
             const BenchStep<Family>& step) {
  KernelCase<Family> data(step.problem, step.rows, 1);
  data.reset();
  const size_t scratch_bytes = kernel.scratch_bytes(step.problem, config, step.rows);
  std::vector<GuardedBytes> scratch;
  for (int i = 0; i < pool().threads(); ++i) scratch.emplace_back(scratch_bytes);
  const int64_t tiles = kernel.tiles(step.problem, data.args(), config);
  for (auto _ : state) {
    for (GuardedBytes& bytes : scratch) begin_step(bytes.data(), scratch_bytes);
    pool().parallel_for(tiles, [&](int64_t tile, int worker) {
      kernel.run(step.problem, data.args(), config, tile, scratch[static_cast<size_t>(worker)].data());
    });
  }
  const auto rate = benchmark::Counter::kIsIterationInvariantRate;
  if (step.work > 0) state.counters["work"] = benchmark::Counter(step.work, rate);
  state.counters["bytes"] = benchmark::Counter(step.bytes, rate);
}

template <typename Family>
void register_family() {
  for (const BenchStep<Family>& step : KernelCase<Family>::bench_steps()) {
    for (const Kernel<Family>& kernel : Family::kernels()) {
      if (!cpu_features().includes(kernel.needs) || !kernel.accepts(step.problem)) continue;
      for (const KernelConfig& config : kernel.configs) {
        const std::string name = std::string(kernel.name) + "/" + std::string(config.name) +
                                 "/rows=" + std::to_string(step.rows) + "/" + to_text(step.problem);
        benchmark::RegisterBenchmark(name.c_str(), [&kernel, &config, step](benchmark::State& state) {
          measure<Family>(state, kernel, config, step);
        })->UseRealTime();
      }
    }
  }
}

template <typename... Families>
void register_all(std::tuple<FamilyTag<Families>...>) {
  (register_family<Families>(), ...);
}

}  // namespace
}  // namespace incipit

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  incipit::register_all(incipit::KernelFamilies{});
#if defined(INCIPIT_ONEDNN)
  incipit::register_onednn();
#endif
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
