// Compiles the CUDA kernels for every GPU that there is a target for, and says what the compiler made of them. Needs
// NVRTC and no GPU.
//
//   compile_cuda_kernels [--all] [ARCHITECTURE…]      such as 80 90; every one when none is given
//
// One function of every kernel and configuration: of the first of its family's test problems that the kernel accepts;
// with --all, of each of them.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <exception>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "all_cases.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "gpu_checks.h"
#include "kernels/cuda/device_code.h"
#include "tune/cuda_compiler.h"

namespace incipit {
namespace {

/// Bytes of a thread's registers that may be kept in memory. None is what kernels are written for; a few words that
/// one version of the compiler moves out cost less than a tile of another size does.
constexpr int64_t most_spilled = 64;

struct Compiled {
  std::string_view kernel;
  std::string function;
  Target target;
  int64_t registers = 0, spilled = 0;  // of a thread
  size_t cubin_bytes = 0;
  std::string fault;  // why there is none
};

/// The number in front of each `word`, summed: "16 bytes spill stores, 24 bytes spill loads".
int64_t sum_before(std::string_view log, std::string_view word) {
  int64_t sum = 0;
  for (size_t at = log.find(word); at != log.npos; at = log.find(word, at + 1)) {
    size_t begin = at;
    while (begin > 0 && log[begin - 1] >= '0' && log[begin - 1] <= '9') --begin;
    int64_t value = 0;
    std::from_chars(log.data() + begin, log.data() + at, value);
    sum += value;
  }
  return sum;
}

void compile(Compiled& one) {
  try {
    const CudaObject object = compile_cuda(one.function, one.target, true);
    one.cubin_bytes = object.cubin.size();
    one.registers = sum_before(object.log, " registers");
    one.spilled = sum_before(object.log, " bytes spill stores") + sum_before(object.log, " bytes spill loads");
    if (one.registers == 0) one.fault = "the compiler does not say how many registers it takes";
  } catch (const std::exception& error) {
    one.fault = error.what();
  }
}

struct Options {
  bool all = false;
  std::vector<Target> targets;
};

template <typename Family>
void add_family(const Options& options, const Target& target, std::vector<Compiled>& list) {
  for (const Kernel<Family>& kernel : Family::kernels()) {
    if (kernel.needs.backend != Backend::cuda || !target.includes(kernel.needs)) continue;
    std::set<std::string> functions;
    for (const auto& of_processors : KernelCase<Family>::test_problems()) {
      const auto problem = for_accelerators(of_processors);
      if (!kernel.accepts(problem) || (!functions.empty() && !options.all)) continue;
      for (const KernelConfig& config : kernel.configs) functions.insert(function_of(kernel, problem, config).name);
    }
    for (const std::string& name : functions) list.push_back({kernel.name, name, target, 0, 0, 0, {}});
    if (functions.empty()) {
      list.push_back({kernel.name, {}, target, 0, 0, 0, "accepts none of its family's test problems"});
    }
  }
}

Options options_of(std::span<char* const> arguments) {
  Options options;
  for (const std::string_view argument : arguments) {
    if (argument == "--all") {
      options.all = true;
    } else {
      options.targets.push_back(named_target("cuda-sm" + std::string(argument)));
    }
  }
  if (!options.targets.empty()) return options;
  for (const NamedTarget& named : named_targets()) {
    if (named.target.backend == Backend::cuda) options.targets.push_back(named.target);
  }
  std::ranges::sort(options.targets, {}, &Target::architecture);
  return options;
}

/// A line for each kernel and architecture; below it what is wrong with some of its functions. How many there are.
int print(std::span<const Compiled> of_kernel) {
  int64_t registers = 0, spilled = 0;
  size_t bytes = 0;
  int faults = 0;
  for (const Compiled& one : of_kernel) {
    registers = std::max(registers, one.registers);
    spilled = std::max(spilled, one.spilled);
    bytes += one.cubin_bytes;
  }
  fmt::print("{:<32} {:<7} {:>9} {:>9} {:>12} {:>11}\n", of_kernel.front().kernel,
             cuda_architecture(of_kernel.front().target), of_kernel.size(), registers, spilled, bytes);
  for (const Compiled& one : of_kernel) {
    if (one.fault.empty() && one.spilled <= most_spilled) continue;
    ++faults;
    fmt::print(
        "  FAILED {}: {}\n", one.function,
        one.fault.empty() ? fmt::format("{} bytes are spilled, and {} may be", one.spilled, most_spilled) : one.fault);
  }
  return faults;
}

int run(std::span<char* const> arguments) {
  require_nvrtc();
  std::vector<Compiled> list;
  const Options options = options_of(arguments);
  for (const Target& target : options.targets) {
    std::apply([&](auto... tags) { (add_family<typename decltype(tags)::type>(options, target, list), ...); },
               KernelFamilies{});
  }
  ThreadPool pool(0);
  pool.parallel_for(static_cast<int64_t>(list.size()), [&](int64_t i, int) {
    Compiled& one = list[static_cast<size_t>(i)];
    if (one.fault.empty()) compile(one);
  });
  fmt::print("{:<32} {:<7} {:>9} {:>9} {:>12} {:>11}\n", "kernel", "for", "functions", "registers", "spilled bytes",
             "cubin bytes");
  std::ranges::stable_sort(list, {}, &Compiled::kernel);
  int faults = 0;
  for (auto first = list.begin(); first != list.end();) {
    const auto end = std::find_if(first, list.end(), [&](const Compiled& other) {
      return other.kernel != first->kernel || other.target != first->target;
    });
    faults += print({first, end});
    first = end;
  }
  fmt::print("{} functions compiled, {} of them not as they should be (spills above {} bytes among them)\n",
             list.size(), faults, most_spilled);
  return faults == 0 ? 0 : 1;
}

}  // namespace
}  // namespace incipit

int main(int argc, char** argv) {
  try {
    return incipit::run(std::span(argv, static_cast<size_t>(argc)).subspan(1));
  } catch (const std::exception& error) {
    fmt::print(stderr, "compile_cuda_kernels: {}\n", error.what());
    return 1;
  }
}
