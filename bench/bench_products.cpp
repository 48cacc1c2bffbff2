// Every product of an engine's plan, at one number of prompt tokens, beside oneDNN's matmul on the same shape: run in
// turn, in one process, on the same cores. Usage: bench_products ENGINE [TOKENS]. Medians; `limit` is what this
// machine's measured arithmetic and bandwidth allow. oneDNN computes the bare product (u8 × s8 → s32 for int8
// and int4, its fastest form); ours includes scales, bias, residual and gate, as the step does.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <dnnl.hpp>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/thread_pool.h"
#include "device/launch.h"
#include "engine/engine.h"
#include "engine/plan_generated.h"
#include "kernels/families.h"
#include "kernels/kernel.h"
#include "kernels/problem.h"
#include "measure/ceilings.h"
#include "measure/work.h"
#include "workload/workload.h"

namespace incipit {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double seconds_a_product = 0.8;
constexpr size_t least_runs = 9;

template <typename F>
double milliseconds_of(const F& run) {
  const auto start = Clock::now();
  run();
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

/// oneDNN's product of the same shape, weights in the layout it asks for.
class OneDnnProduct {
 public:
  OneDnnProduct(const Linear::Problem& problem, int32_t rows) : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
    using dnnl::memory;
    const bool codes = problem.format.multiplies_codes();
    // oneDNN 2.6 multiplies f16 on no CPU: fp16 stands beside its f32.
    const auto real = problem.format == WeightFormat::bf16 ? memory::data_type::bf16 : memory::data_type::f32;
    const memory::dim m = rows, n = problem.n, k = problem.k;
    const memory::desc input({m, k}, codes ? memory::data_type::u8 : real, memory::format_tag::ab);
    const memory::desc weight({k, n}, codes ? memory::data_type::s8 : real, memory::format_tag::any);
    const memory::desc output({m, n}, codes ? memory::data_type::s32 : memory::data_type::f32, memory::format_tag::ab);
    const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(input, weight, output), engine_);
    product_ = dnnl::matmul(description);
    // Bytes 0x3f: a number near 1 in f32 and bf16, 63 in int8.
    const auto filled = [&](const memory::desc& desc) {
      memory data(desc, engine_);
      std::memset(data.get_data_handle(), 0x3f, desc.get_size());
      return data;
    };
    arguments_ = {{DNNL_ARG_SRC, filled(input)},
                  {DNNL_ARG_WEIGHTS, filled(description.weights_desc())},
                  {DNNL_ARG_DST, filled(output)}};
  }
  void run() {
    product_.execute(stream_, arguments_);
    stream_.wait();
  }

 private:
  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::matmul product_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

struct Product {
  std::string problem, kernel, config;
  int32_t rows = 0;
  int count = 0;
};

/// The plan's distinct products with the kernels that a prompt of `tokens` tokens and one sampled row runs.
std::vector<Product> products_of(const plan::Plan& plan, uint32_t tokens) {
  uint32_t bucket = 0;
  while (bucket + 1 < plan.buckets()->size() && plan.buckets()->Get(bucket)->tokens() < tokens) ++bucket;
  std::vector<Product> products;
  for (const plan::Step* step : *plan.steps()) {
    if (family_of(step->problem()->string_view()) != Linear::Problem::family) continue;
    const plan::KernelUse* use = step->kernels()->Get(bucket);
    const Product product{step->problem()->str(), use->kernel()->str(), use->config()->str(),
                          step->axis() == plan::Axis::tokens ? static_cast<int32_t>(tokens) : 1, 1};
    const auto same = std::find_if(products.begin(), products.end(), [&](const Product& other) {
      return other.problem == product.problem && other.rows == product.rows;
    });
    same == products.end() ? products.push_back(product) : static_cast<void>(++same->count);
  }
  return products;
}

void measure(const Product& product, Device& device, const Ceilings& ceilings) {
  const auto problem = problem_from_text<Linear::Problem>(product.problem);
  const Kernel<Linear>* kernel = find_kernel<Linear>(product.kernel);
  if (kernel == nullptr) throw Error(product.kernel, "this program has no such kernel", "build the engine again");
  const KernelConfig* config = find_config(*kernel, product.config);
  if (config == nullptr) throw Error(product.config, "this kernel has no such configuration", "build the engine again");
  LinearWorkload workload(device, problem, kernel->layout, product.rows);
  OneDnnProduct yardstick(problem, product.rows);

  std::vector<double> ours, theirs;
  const auto start = Clock::now();
  while (ours.size() < least_runs || Clock::now() - start < std::chrono::duration<double>(seconds_a_product)) {
    const auto launch = prepare(device, *kernel, *config, problem, workload.next(product.rows), product.rows);
    ours.push_back(device.time(*launch) * 1e3);
    theirs.push_back(milliseconds_of([&] { yardstick.run(); }));
  }
  const double limit = limit_seconds(work_of(product.problem, product.rows, product.rows), ceilings) * 1e3;
  const double mine = median(ours), other = median(theirs);
  fmt::print("| {}×{}×{} {} | {} | {:.3f} | {:.2f} | {:.3f} | {:.2f} | {} {} |\n", product.rows, problem.n, problem.k,
             to_text(problem.format), product.count, mine, mine / limit, other, other / mine, product.kernel,
             product.config);
}

int run(int argc, char** argv) {
  if (argc < 2 || argc > 3) throw Error("bench_products", "wrong arguments", "usage: bench_products ENGINE [TOKENS]");
  const auto engine = Engine::open(argv[1]);
  const int tokens = argc == 3 ? std::atoi(argv[2]) : 1024;
  if (tokens < 1) throw Error("TOKENS", "it is not a positive number");
  ThreadPool pool;
  const HostMemory memory = memory_to_read();
  const Ceilings ceilings = measure_ceilings(pool, {memory.data(), memory.size()});
  const std::unique_ptr<Device> device = make_cpu_device(pool.threads());
  fmt::print("{} · {} threads · f32 {:.0f}, bf16 {:.0f}, int8 {:.0f} Gop/s · {:.1f} GB/s\n\n", machine_fingerprint(),
             pool.threads(), ceilings.f32 / 1e9, ceilings.bf16 / 1e9, ceilings.i8 / 1e9, ceilings.bandwidth / 1e9);
  fmt::print(
      "| product (rows×n×k) | in the plan | ours ms | of the limit | oneDNN ms | oneDNN / ours | kernel "
      "|\n|---|---|---|---|---|---|---|\n");
  for (const Product& product : products_of(engine->plan(), static_cast<uint32_t>(tokens)))
    measure(product, *device, ceilings);
  return 0;
}

}  // namespace
}  // namespace incipit

int main(int argc, char** argv) {
  try {
    return incipit::run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_products: {}\n", error.what());
    return 1;
  }
}
