#include "measure/limits.h"

#include <algorithm>
#include <span>

#include "base/cuda_driver.h"
#include "base/progress.h"
#include "base/thread_pool.h"
#include "engine/engine.h"
#include "engine/plan_items.h"
#include "measure/gpu_ceilings.h"

namespace incipit {
namespace {

Work work_of_step(std::string_view problem, bool over_rows, const PassShape& shape) {
  if (over_rows && !shape.sampled) return {};
  return work_of(problem, over_rows ? 1 : shape.tokens, shape.first_position + shape.tokens, shape.sequences);
}

bool over_rows(const plan::Step& step) { return step.axis() == plan::Axis::rows; }

void keep_larger(Ceilings& mine, const Ceilings& other) {
  mine.f32 = std::max(mine.f32, other.f32);
  mine.f16 = std::max(mine.f16, other.f16);
  mine.bf16 = std::max(mine.bf16, other.bf16);
  mine.i8 = std::max(mine.i8, other.i8);
  mine.bandwidth = std::max(mine.bandwidth, other.bandwidth);
}

/// The ceilings by which limits are reckoned.
Ceilings effective(const MachineCeilings& ceilings) {
  Ceilings result = ceilings.all_threads;
  result.bandwidth = ceilings.working_set_bandwidth;
  return result;
}

void measure_processor(MachineCeilings& ceilings, const HostMemory& memory, Progress& progress) {
  constexpr int attempts = 4;
  constexpr double together = 0.8;  // of what the threads do one by one: else they did not all have a core
  const std::span<const std::byte> large(memory.data(), memory.size());
  const auto working_set = static_cast<size_t>(std::max<int64_t>(ceilings.working_set_bytes, 1 << 16));
  Ceilings& all = ceilings.all_threads;
  ThreadPool pool(ceilings.threads);
  progress.stage("measuring the machine", 0);
  for (int attempt = 0; attempt < attempts; ++attempt) {
    progress.advance(0);
    keep_larger(all, measure_ceilings(pool, large));
    ceilings.working_set_bandwidth = std::max(ceilings.working_set_bandwidth, all.bandwidth);
    if (working_set < large.size()) {
      progress.advance(0);
      Ceilings cached = measure_ceilings(pool, large.first(working_set));
      ceilings.working_set_bandwidth = std::max(ceilings.working_set_bandwidth, cached.bandwidth);
      cached.bandwidth = 0;  // of a cache, perhaps
      keep_larger(all, cached);
    }
    const auto had_cores = [&](double Ceilings::*rate) {
      return all.*rate >= together * ceilings.threads * ceilings.one_core.*rate;
    };
    if (had_cores(&Ceilings::f32) && had_cores(&Ceilings::bf16) && had_cores(&Ceilings::i8)) break;
  }
  progress.finish();
}

}  // namespace

void MachineCeilings::measure_again(Progress& progress) {
  if (!measure_gpu) return measure_processor(*this, memory_to_read(), progress);
  progress.stage("measuring the GPU", 0);
  keep_larger(all_threads, measure_gpu());
  working_set_bandwidth = all_threads.bandwidth;
  progress.finish();
}

MachineCeilings measure_machine(int threads, int64_t working_set_bytes, Progress& progress) {
  MachineCeilings ceilings;
  ceilings.threads = ThreadPool(threads).threads();
  ceilings.working_set_bytes = working_set_bytes;
  ThreadPool one(1);
  progress.stage("measuring one core", 0);
  const HostMemory memory = memory_to_read();
  ceilings.one_core = measure_ceilings(one, {memory.data(), memory.size()});
  measure_processor(ceilings, memory, progress);
  return ceilings;
}

MachineCeilings measure_machine(const Engine& engine, int threads, Progress& progress) {
  const int64_t working_set = working_set_of(engine.plan());
  if (engine.target().backend != Backend::cuda) return measure_machine(threads, working_set, progress);
  MachineCeilings ceilings;
  ceilings.gpu = cuda::gpu().name;
  ceilings.working_set_bytes = working_set;
  ceilings.measure_gpu = [&engine, yardsticks = yardsticks_of(engine.plan())]() mutable {
    return measure_gpu_ceilings(engine, yardsticks);
  };
  ceilings.measure_again(progress);
  return ceilings;
}

int64_t working_set_of(const plan::Plan& plan) {
  double bytes = 0;
  for (const plan::Step* step : items(plan.steps())) bytes += work_of(text(step->problem()), 1, 1).bytes;
  return static_cast<int64_t>(bytes);
}

std::map<std::string, bool, std::less<>> steps_over_rows(const plan::Plan& plan) {
  std::map<std::string, bool, std::less<>> found;
  for (const plan::Step* step : items(plan.steps())) found[std::string(text(step->name()))] = over_rows(*step);
  return found;
}

double limit_of_step(std::string_view problem, bool rows, const PassShape& shape, const MachineCeilings& ceilings) {
  return 1e3 * limit_seconds(work_of_step(problem, rows, shape), effective(ceilings));
}

double limit_of_pass(const plan::Plan& plan, const PassShape& shape, const MachineCeilings& ceilings) {
  double arithmetic = 0, memory = 0;
  for (const plan::Step* step : items(plan.steps())) {
    Work work = work_of_step(text(step->problem()), over_rows(*step), shape);
    const Work bytes_alone{0, work.arithmetic, work.bytes};
    work.bytes = 0;
    arithmetic += limit_seconds(work, effective(ceilings));
    memory += limit_seconds(bytes_alone, effective(ceilings));
  }
  return 1e3 * std::max(arithmetic, memory);
}

}  // namespace incipit
