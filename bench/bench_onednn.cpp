// oneDNN's matmul on the linear family's benchmark shapes: the yardstick beside ours in the same run. bf16 × bf16 → f32
// and u8 × s8 → s32 (its fastest int8 form), weights in the layout it asks for, no bias, gate or residual.
#include <benchmark/benchmark.h>

#include <dnnl.hpp>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>

#include "linear_case.h"

namespace incipit {

void register_onednn();

namespace {

using dnnl::memory;

void measure(benchmark::State& state, const BenchStep<Linear>& step) {
  const bool codes = step.problem.format == WeightFormat::i8;
  const auto input_type = codes                                       ? memory::data_type::u8
                          : step.problem.format == WeightFormat::bf16 ? memory::data_type::bf16
                                                                      : memory::data_type::f32;
  const auto weight_type = codes ? memory::data_type::s8 : input_type;
  const auto output_type = codes ? memory::data_type::s32 : memory::data_type::f32;
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  const memory::dim m = step.rows, n = step.problem.n, k = step.problem.k;
  const memory::desc input({m, k}, input_type, memory::format_tag::ab);
  const memory::desc weight({k, n}, weight_type, memory::format_tag::any);
  const memory::desc output({m, n}, output_type, memory::format_tag::ab);
  const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(input, weight, output), engine);
  const dnnl::matmul product(description);
  memory input_memory(input, engine), weight_memory(description.weights_desc(), engine), output_memory(output, engine);
  // Bytes 0x3f: a number near 1 in f32 and bf16, 63 in int8.
  std::memset(input_memory.get_data_handle(), 0x3f, input.get_size());
  std::memset(weight_memory.get_data_handle(), 0x3f, description.weights_desc().get_size());
  const std::unordered_map<int, memory> arguments{
      {DNNL_ARG_SRC, input_memory}, {DNNL_ARG_WEIGHTS, weight_memory}, {DNNL_ARG_DST, output_memory}};
  for (auto _ : state) {
    product.execute(stream, arguments);
    stream.wait();
  }
  const auto rate = benchmark::Counter::kIsIterationInvariantRate;
  state.counters["work"] = benchmark::Counter(step.work, rate);
  state.counters["bytes"] = benchmark::Counter(step.bytes, rate);
}

}  // namespace

void register_onednn() {
  std::set<std::tuple<WeightFormat, int32_t, int32_t, int32_t>> seen;
  for (const BenchStep<Linear>& step : KernelCase<Linear>::bench_steps()) {
    const auto& problem = step.problem;
    if (problem.format == WeightFormat::f16) continue;  // oneDNN 2.6 multiplies f16 on no CPU
    if (!seen.emplace(problem.format, step.rows, problem.n, problem.k).second) continue;
    const std::string name = "onednn/" + to_text(problem.format) + "/rows=" + std::to_string(step.rows) +
                             "/n=" + std::to_string(problem.n) + " k=" + std::to_string(problem.k);
    benchmark::RegisterBenchmark(name.c_str(), [step](benchmark::State& state) {
      measure(state, step);
    })->UseRealTime();
  }
}

}  // namespace incipit
