#include "measure/gpu_ceilings.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <string>
#include <utility>

#include "base/progress.h"
#include "device/launch.h"
#include "engine/engine.h"
#include "engine/plan_items.h"
#include "kernels/problem.h"
#include "measure/work.h"
#include "workload/workload.h"

namespace incipit {
namespace {

/// Of one shape, which every yardstick of an arithmetic has.
struct YardstickShape {
  int32_t rows = 0, n = 0, k = 0;
};

/// The shortest time of a yardstick: of one run, or of runs for so many seconds.
double shortest_run(Device& device, LinearWorkload& workload, const Yardstick& yardstick, const YardstickShape& shape,
                    double seconds) {
  double best = std::numeric_limits<double>::infinity(), spent = 0;
  do {
    check_interrupt();
    const auto launch =
        prepare(device, *yardstick.kernel, *yardstick.config, yardstick.problem, workload.next(shape.rows), shape.rows);
    const double run = device.time(*launch);
    best = std::min(best, run);
    spent += run;
  } while (spent < seconds);
  return best;
}

struct Fastest {
  Yardstick yardstick;
  double seconds = std::numeric_limits<double>::infinity();
};

/// Each runs once, and the fastest of them for longer. Those of one problem share its operands.
Fastest find_fastest(Device& device, std::vector<Yardstick> list, const YardstickShape& shape, double seconds) {
  std::map<std::string, std::vector<Yardstick>> by_problem;
  for (Yardstick& yardstick : list) {
    yardstick.problem.n = shape.n;
    yardstick.problem.k = shape.k;
    by_problem[to_text(yardstick.problem) + " " + std::string(yardstick.kernel->layout->name)].push_back(yardstick);
  }
  Fastest fastest;
  for (const auto& [name, of_problem] : by_problem) {
    const Yardstick& first = of_problem.front();
    LinearWorkload workload(device, first.problem, first.kernel->layout, shape.rows);
    for (const Yardstick& yardstick : of_problem) {
      shortest_run(device, workload, yardstick, shape, 0);  // caches and clocks are cold
      const double run = shortest_run(device, workload, yardstick, shape, 0);
      if (run < fastest.seconds) fastest = {yardstick, run};
    }
  }
  const Yardstick& best = fastest.yardstick;
  LinearWorkload workload(device, best.problem, best.kernel->layout, shape.rows);
  fastest.seconds = std::min(fastest.seconds, shortest_run(device, workload, best, shape, seconds));
  return fastest;
}

/// Bytes a second, read and written.
double copy_bandwidth(Device& device, size_t bytes) {
  constexpr int rounds = 8, copies = 8;  // the host's clock is looked at once a round
  using Clock = std::chrono::steady_clock;
  const DeviceAddress from = device.allocate(bytes, "a copy that is measured");
  const DeviceAddress to = device.allocate(bytes, "a copy that is measured");
  double best = 0;
  for (int round = 0; round < rounds; ++round) {
    check_interrupt();
    device.wait(device.record_event());
    const auto start = Clock::now();
    for (int i = 0; i < copies; ++i) device.copy_on_device(to, from, bytes);
    device.wait(device.record_event());
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, 2.0 * copies * static_cast<double>(bytes) / seconds);
  }
  device.release(to);
  device.release(from);
  return best;
}

}  // namespace

std::vector<Yardstick> yardsticks_of(const plan::Plan& plan) {
  std::map<std::string, Yardstick> by_function;
  for (const plan::Step* step : items(plan.steps())) {
    if (family_of(text(step->problem())) != Linear::Problem::family) continue;
    const auto problem = problem_from_text<Linear::Problem>(text(step->problem()));
    if (problem.kv.any()) continue;  // its heads are of the model's size
    for (const plan::KernelUse* use : items(step->kernels())) {
      const Kernel<Linear>* kernel = find_kernel<Linear>(text(use->kernel()));
      const KernelConfig* config = kernel == nullptr ? nullptr : find_config(*kernel, text(use->config()));
      if (config == nullptr) continue;  // the engine does not run here
      Linear::Problem large = problem;
      large.n = large.k = YardstickSizes{}.extent;
      if (!kernel->accepts(large)) continue;  // its functions are of the model's size
      // Functions of a processor have no names, and what is not n and k makes them what they are.
      std::string function(text(use->function()));
      if (function.empty()) {
        Linear::Problem shapeless = problem;
        shapeless.n = shapeless.k = 0;
        function = to_text(shapeless) + " " + std::string(kernel->name) + " " + std::string(config->name);
      }
      by_function.try_emplace(std::move(function), Yardstick{problem, kernel, config});
    }
  }
  std::vector<Yardstick> list;
  for (auto& [function, yardstick] : by_function) list.push_back(yardstick);
  return list;
}

Ceilings measure_by_products(Device& device, std::vector<Yardstick>& yardsticks, const YardstickSizes& sizes) {
  std::map<DType, std::vector<Yardstick>> by_arithmetic;
  for (const Yardstick& yardstick : yardsticks) {
    by_arithmetic[yardstick.problem.format.activation].push_back(yardstick);
  }
  yardsticks.clear();
  Ceilings ceilings;
  ceilings.bandwidth = copy_bandwidth(device, sizes.copied_bytes);
  for (const auto& [arithmetic, list] : by_arithmetic) {
    const double extent = sizes.extent;
    const Fastest square = find_fastest(device, list, {sizes.extent, sizes.extent, sizes.extent}, sizes.seconds);
    const double rate = 2 * extent * extent * extent / square.seconds;
    (arithmetic == DType::i8 ? ceilings.i8 : arithmetic == DType::bf16 ? ceilings.bf16 : ceilings.f32) = rate;
    const size_t row_bytes = static_cast<size_t>(sizes.extent) * size_of(list.front().problem.format.codes);
    const auto outputs = static_cast<int32_t>(sizes.weight_bytes / row_bytes);
    const Fastest row = find_fastest(device, list, {1, outputs, sizes.extent}, sizes.seconds);
    const double bytes = work_of(to_text(row.yardstick.problem), 1, 1).bytes;
    ceilings.bandwidth = std::max(ceilings.bandwidth, bytes / row.seconds);
    yardsticks.insert(yardsticks.end(), {square.yardstick, row.yardstick});
  }
  ceilings.f16 = ceilings.bf16;
  return ceilings;
}

Ceilings measure_gpu_ceilings(const Engine& engine, std::vector<Yardstick>& yardsticks) {
  const std::unique_ptr<Device> device = make_device(engine.target(), 1);
  device->load_code(engine.section(SectionKind::device_code));
  return measure_by_products(*device, yardsticks, {});
}

}  // namespace incipit
