// Runs GPU kernels of any family on random steps, whose operands are copied to the GPU and back.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/cuda_driver.h"
#include "device/launch.h"
#include "kernel_case.h"
#include "kernels/live_allocations.h"
#include "kernels/problem.h"
#include "kernels/shadow/shadow_kernel.h"
#include "row_invariance.h"
#include "tune/cuda_compiler.h"

namespace incipit {

/// A problem as accelerators get it: with their pages.
template <typename Problem>
Problem for_accelerators(Problem problem) {
  if constexpr (requires { problem.geometry(); }) {
    const PageFormat format = page_format(Backend::cuda);
    problem.pages = format.layout;
    problem.page_tokens = format.tokens;
  }
  return problem;
}

template <typename Family>
std::unique_ptr<KernelCase<Family>> make_case(const Kernel<Family>& kernel, const typename Family::Problem& problem,
                                              int32_t rows, uint64_t seed) {
  if constexpr (reads_weight<Family>) {
    return std::make_unique<KernelCase<Family>>(problem, rows, seed, *kernel.layout);
  } else {
    return std::make_unique<KernelCase<Family>>(problem, rows, seed);
  }
}

/// Where a launch's counts come from: its arguments, or the step's block in device memory.
enum class CountsFrom { arguments, step };

/// The GPU with memory for the operands of one launch.
class GpuBench {
 public:
  /// For code of a target, as long as the program runs.
  static GpuBench& of(const Target& target) {
    static auto* const benches = new std::map<std::string, GpuBench>;
    return benches->try_emplace(to_string(target), target).first->second;
  }
  explicit GpuBench(const Target& target)
      : device_(make_cuda_device()),
        memory_(device_->allocate(capacity + bytes_behind, "operands")),
        compiler_(target, {}, 0) {}
  void load(const std::set<DeviceFunction>& functions) { device_->load_code(compiler_.code_of(functions)); }
  Device& device() { return *device_; }

  /// Copies an allocation of the host's that holds the address. Returns what stands for the address on the GPU; null:
  /// nothing is allocated there.
  std::byte* mirror(const void* address) {
    const std::span<std::byte> host = LiveAllocations::find(address);
    if (host.empty()) return nullptr;
    const auto [found, is_new] = mirrors_.try_emplace(host.data());
    if (is_new) {
      // Aligned as on the host, and no better.
      found->second = {take(host.size(), reinterpret_cast<uint64_t>(host.data()) % alignment), host.size()};
      device_->copy_to_device(found->second.address, host.data(), host.size());
    }
    const auto offset = static_cast<uint64_t>(static_cast<const std::byte*>(address) - host.data());
    return (found->second.address + offset).kernel_pointer();
  }
  /// Memory of zeros.
  DeviceAddress zeros(size_t bytes) {
    const std::vector<std::byte> values(bytes);
    const DeviceAddress address = take(bytes, 0);
    device_->copy_to_device(address, values.data(), bytes);
    device_->wait(device_->record_event());
    return address;
  }
  /// Copies all back, and begins anew.
  void bring_back() {
    for (const auto& [host, mirror] : mirrors_) device_->copy_to_host(host, mirror.address, mirror.bytes);
    device_->wait(device_->record_event());
    mirrors_.clear();
    used_ = 0;
  }

 private:
  DeviceAddress take(size_t bytes, uint64_t behind_alignment) {
    const uint64_t begin = used_ + behind_alignment;
    used_ = static_cast<uint64_t>(round_up(static_cast<int64_t>(begin + bytes), alignment)) + alignment;
    INCIPIT_ASSERT(used_ <= capacity);
    return memory_ + begin;
  }

  static constexpr size_t capacity = size_t{512} << 20;
  static constexpr size_t bytes_behind = size_t{32} << 20;  // of rows_behind()
  static constexpr int64_t alignment = 256;
  struct Mirror {
    DeviceAddress address;
    size_t bytes = 0;
  };
  std::unique_ptr<Device> device_;
  DeviceAddress memory_;
  CudaCompiler compiler_;
  uint64_t used_ = 0;
  std::map<std::byte*, Mirror> mirrors_;
};

/// The counts of a step of which the arguments are all there is.
template <typename Args>
StepCounts counts_of(const Args& args) {
  StepCounts counts;
  if constexpr (requires {
                  args.sequences;
                  args.spans;
                }) {
    counts.sequences = args.sequences;
    for (int32_t i = 0; i < args.sequences; ++i) {
      const SequenceSpan& span = args.spans[i];
      counts.tokens += span.tokens;
      counts.longest_context = std::max(counts.longest_context, span.first_position + span.tokens);
      counts.most_tokens = std::max(counts.most_tokens, span.tokens);
      counts.most_rows = std::max(counts.most_rows, span.rows);
    }
  }
  if constexpr (requires { args.rows; }) counts.tokens = counts.rows = args.rows;
  if constexpr (requires { args.kv.sequences; }) counts.sequences = args.kv.sequences;
  if constexpr (requires { args.step; }) counts.step = args.step;
  return counts;
}

/// Runs a kernel on copies of what its arguments point at, aligned word by aligned word.
template <typename Family>
void run_on_gpu(GpuBench& bench, const Kernel<Family>& kernel, const KernelConfig& config,
                const typename Family::Problem& problem, typename Family::Args args, int32_t rows,
                CountsFrom counts_from) {
  const StepCounts counts = counts_of(args);
  RowAxis axis = RowAxis::tokens;
  if constexpr (requires { problem.over_rows; }) {
    if (problem.over_rows) axis = RowAxis::rows;
  }
  DeviceAddress counts_address;
  if (counts_from == CountsFrom::step) {
    take_counts(args, StepCounts{}, axis);  // as a step's launches are prepared
    counts_address = bench.zeros(sizeof counts);
    bench.device().copy_to_device(counts_address, &counts, sizeof counts);
    bench.device().wait(bench.device().record_event());
    rows += 3;  // at most
  }
  for (size_t at = 0; at + sizeof(void*) <= sizeof args; at += sizeof(void*)) {
    void* word;
    std::memcpy(&word, reinterpret_cast<const std::byte*>(&args) + at, sizeof word);
    if (std::byte* const there = bench.mirror(word)) {
      std::memcpy(reinterpret_cast<std::byte*>(&args) + at, &there, sizeof there);
    }
  }
  if constexpr (requires { args.workspace_bytes; }) {
    constexpr int32_t longest_context = 4096;
    if (kernel.workspace_bytes != nullptr) {
      const size_t bytes = kernel.workspace_bytes(problem, config, longest_context);
      args.workspace = bench.zeros(bytes).kernel_pointer();
      args.workspace_bytes = static_cast<int64_t>(bytes);
    }
  }
  const auto launch =
      prepare<Family>(bench.device(), std::make_shared<const KernelCode<Family>>(kernel, config, problem, axis), args,
                      rows, reinterpret_cast<const StepCounts*>(counts_address.kernel_pointer()));
  bench.device().launch(*launch);
  bench.bring_back();
}

/// Whether a kernel's setting is tested on a problem: where a kernel has many, each problem takes a part of them, the
/// next problem the next. Compiling all of them for all would take longer than anything else.
inline bool takes_turn(size_t problem, size_t config, size_t configs) {
  constexpr size_t few = 4;
  return configs <= few || (problem + config) % few == 0;
}

/// Loads what the kernels for this GPU in `table` need for the problems that they accept, and gives the kernels.
template <typename Family>
std::vector<const Kernel<Family>*> load_kernels(GpuBench& bench, std::span<const Kernel<Family>> table,
                                                const std::vector<typename Family::Problem>& problems,
                                                const Target& target) {
  std::vector<const Kernel<Family>*> kernels;
  std::set<DeviceFunction> functions;
  for (const Kernel<Family>& kernel : table) {
    if (kernel.needs.backend != Backend::cuda || !target.includes(kernel.needs)) continue;
    kernels.push_back(&kernel);
    for (size_t p = 0; p < problems.size(); ++p) {
      if (!kernel.accepts(problems[p])) continue;
      for (size_t i = 0; i < kernel.configs.size(); ++i) {
        if (!takes_turn(p, i, kernel.configs.size())) continue;
        functions.insert(function_of(kernel, problems[p], kernel.configs[i]));
      }
    }
  }
  bench.load(functions);
  return kernels;
}

template <typename Family>
std::vector<typename Family::Problem> problems_for_accelerators() {
  std::vector<typename Family::Problem> problems;
  for (const auto& problem : KernelCase<Family>::test_problems()) problems.push_back(for_accelerators(problem));
  return problems;
}

/// Holds each of the GPU's kernels in `table` against the reference, compiled for `target`: every test problem that it
/// accepts, every row count, its configurations, with the counts of the arguments and with a step's.
template <typename Family>
void check_gpu_kernels(std::span<const Kernel<Family>> table, const Target& target) {
  const std::vector<typename Family::Problem> problems = problems_for_accelerators<Family>();
  GpuBench& bench = GpuBench::of(target);
  const auto kernels = load_kernels<Family>(bench, table, problems, target);

  const LiveAllocations allocations;
  std::set<std::string_view> reached;
  uint64_t seed = 1;
  for (size_t p = 0; p < problems.size(); ++p) {
    const auto& problem = problems[p];
    for (const int32_t rows : KernelCase<Family>::test_rows()) {
      ++seed;
      for (const Kernel<Family>* kernel : kernels) {
        if (!kernel->accepts(problem)) continue;
        reached.insert(kernel->name);
        const auto step = make_case(*kernel, problem, rows, seed);
        for (size_t i = 0; i < kernel->configs.size(); ++i) {
          const KernelConfig& config = kernel->configs[i];
          if (!takes_turn(p, i, kernel->configs.size())) continue;
          for (const CountsFrom counts : {CountsFrom::arguments, CountsFrom::step}) {
            step->reset();
            run_on_gpu<Family>(bench, *kernel, config, problem, step->args(), rows, counts);
            const std::string wrong = step->mismatch();
            ASSERT_EQ(wrong, "") << kernel->name << " " << config.name << ", rows " << rows << ", seed " << seed
                                 << (counts == CountsFrom::step ? ", by the step's counts: " : ": ")
                                 << to_text(problem);
          }
        }
      }
    }
  }
  for (const Kernel<Family>* kernel : kernels) {
    EXPECT_TRUE(reached.contains(kernel->name)) << kernel->name << " accepts none of its family's test problems";
  }
}

/// Holds a row's bits against those of the same row in smaller steps, with other rows behind it in memory.
template <typename Family>
void check_gpu_row_invariance() {
  constexpr int32_t all = 150;
  const Target target = this_machine(Backend::cuda);
  const std::vector<typename Family::Problem> problems = problems_for_accelerators<Family>();
  GpuBench& bench = GpuBench::of(target);
  const auto kernels = load_kernels<Family>(bench, Family::kernels(), problems, target);
  const LiveAllocations allocations;
  uint64_t seed = 100;
  for (size_t p = 0; p < problems.size(); ++p) {
    const auto& problem = problems[p];
    ++seed;
    for (const Kernel<Family>* kernel : kernels) {
      if (!kernel->accepts(problem)) continue;
      const auto step = make_case(*kernel, problem, all, seed);
      for (size_t i = 0; i < kernel->configs.size(); ++i) {
        const KernelConfig& config = kernel->configs[i];
        if (!takes_turn(p, i, kernel->configs.size())) continue;
        const auto first = [&](int32_t rows, int32_t kept, CountsFrom counts) {
          return first_rows(problem, *step, rows, kept, [&](const typename Family::Args& args) {
            run_on_gpu<Family>(bench, *kernel, config, problem, args, rows, counts);
          });
        };
        for (const int32_t rows : {1, 2, 17, 70}) {
          const auto want = first(all, rows, CountsFrom::step);
          for (const CountsFrom counts : {CountsFrom::step, CountsFrom::arguments}) {
            EXPECT_EQ(first(rows, rows, counts), want)
                << kernel->name << " " << config.name << ": " << to_text(problem) << ", " << rows << " rows";
          }
        }
      }
    }
  }
}

}  // namespace incipit
