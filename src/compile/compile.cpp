#include "compile/compile.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "compile/stages.h"
#include "graph/ops/embedding.h"
#include "graph/summary.h"
#include "kernels/family_list.h"

namespace incipit {
namespace {

void check_precision(const CompileOptions& options) {
  if (std::ranges::find(options.without, "quantize") == options.without.end()) return;
  if (options.precision == "f32" && options.kept.empty() && !options.cache) return;
  throw Error("--without quantize",
              fmt::format("nothing would be stored as {}",
                          options.precision == "f32" ? options.kept.front().precision : options.precision),
              "give --precision f32 with it, and no --keep");
}

void check_cache(const CompileOptions& options, const Target& target) {
  if (options.cache != DType::i8 || target.backend != Backend::cuda) return;
  throw Error("--kv-cache int8", "there are no kernels for it on a GPU", "leave it out, or build for a processor");
}

Target target_of(const CompileOptions& options) {
  const Target target = named_target(options.target);
  if (has_kernels(target)) return target;
  throw Error("--target", fmt::format("this incipit has no kernels for {}", options.target), "use native");
}

/// Null for a target that is no GPU. What it compiles is kept beside the tuning cache.
std::unique_ptr<CudaCompiler> compiler_for(const Target& target, const CompileOptions& options) {
  if (target.backend != Backend::cuda) return nullptr;
  require_nvrtc();
  std::filesystem::path kept = options.tuning_cache;
  if (!kept.empty()) kept += ".kernels";
  return std::make_unique<CudaCompiler>(target, kept, options.threads);
}

Rewritten rewrite(Model model, const CompileOptions& options, const Target& target) {
  PassOptions passes;
  passes.precision = options.precision;
  passes.kept = options.kept;
  passes.calibration = options.calibration;
  passes.cache = options.cache;
  passes.without = options.without;
  passes.widen_four_bits = target.backend == Backend::cuda;
  // A GPU's copy engine loads codes as they are: a row is made into them once, and not in every tile of a product.
  if (target.backend == Backend::cuda) passes.without.emplace_back("fuse_quantization");
  PortNames ports = port_names(model);  // before passes rename values
  CompileReport report;
  report.parameters = parameter_count(model.graph);
  report.passes = run_passes(model.graph, passes);
  return {std::move(model), std::move(ports), std::move(report)};
}

/// Of all graphs, only decoders embed their tokens by an op of their own.
bool is_decoder(const Graph& graph) {
  return std::ranges::any_of(graph.order(), [&](NodeId n) { return graph.op_as<ops::Embedding>(n) != nullptr; });
}

Planned make_plan(Rewritten rewritten, const CompileOptions& options, const Target& target) {
  if (is_decoder(rewritten.model.graph)) return plan_decoder(std::move(rewritten), options, target);
  if (target.backend != Backend::cpu) {
    throw Error("--target", fmt::format("{}: a model that is no decoder runs on processors only", options.target),
                "use native, or another cpu target");
  }
  return plan_plain_graph(std::move(rewritten), options, target);
}

}  // namespace

CompileReport compile(Model model, const CompileOptions& options, const std::filesystem::path& target_path,
                      Progress& progress) {
  check_precision(options);
  const Target target = target_of(options);
  check_cache(options, target);
  Rewritten rewritten = rewrite(std::move(model), options, target);
  Planned planned = make_plan(std::move(rewritten), options, target);
  EngineWriter writer(target_path, target);  // the last that can fail without measurements
  const std::unique_ptr<CudaCompiler> compiler = compiler_for(target, options);
  KeptMeasurements kept(options.tuning_cache);
  Tuned tuned = choose_kernels(std::move(planned), options, target, kept, compiler.get(), progress);
  const std::vector<std::byte> device_code = make_device_code(tuned, target, compiler.get(), progress);
  Packed packed = pack_weights(std::move(tuned), options, writer, progress);
  CompileReport report = finish_engine(std::move(packed), options, target, device_code, writer);
  kept.save();
  return report;
}

}  // namespace incipit
