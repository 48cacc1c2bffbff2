// Measures every kernel of the table that this machine can run, each configuration, on its family's benchmark steps,
// with all of the process's cores. `--benchmark_filter=linear/avx512_bf16.*rows=1/` chooses.
//
// Rates: `work` counts multiply-adds as two operations; `bytes` what a step must read and write at least.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "all_cases.h"
#include "base/target.h"
#include "device/launch.h"
#include "kernels/problem.h"

namespace incipit {

#if defined(INCIPIT_ONEDNN)
void register_onednn();
#endif

namespace {

Device& device() {
  static const std::unique_ptr<Device> all_cores = make_cpu_device(0);
  return *all_cores;
}

template <typename Family>
void measure(benchmark::State& state, const Kernel<Family>& kernel, const KernelConfig& config,
             const BenchStep<Family>& step) {
  KernelCase<Family> data(step.problem, step.rows, 1);
  data.reset();
  const auto launch = prepare(device(), kernel, config, step.problem, data.args(), step.rows);
  for (auto _ : state) device().launch(*launch);
  const auto rate = benchmark::Counter::kIsIterationInvariantRate;
  if (step.work > 0) state.counters["work"] = benchmark::Counter(step.work, rate);
  state.counters["bytes"] = benchmark::Counter(step.bytes, rate);
}

template <typename Family>
void register_family() {
  for (const BenchStep<Family>& step : KernelCase<Family>::bench_steps()) {
    for (const Kernel<Family>& kernel : Family::kernels()) {
      if (!this_machine().includes(kernel.needs) || !kernel.accepts(step.problem)) continue;
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
