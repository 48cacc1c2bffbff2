#include "device/cuda_launch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "base/error.h"
#include "base/log.h"
#include "kernels/cuda/device_code.h"

namespace incipit {
namespace {

constexpr int32_t graph_rows = 256;  // a launch of more rows takes longer than the host needs to make it

CudaModule load_binary(const CudaBinary& binary, const void* image) {
  const cuda::Driver& driver = cuda_driver();
  std::array<char, 2048> log{};
  std::array options{cuda::JitOption::error_log, cuda::JitOption::error_log_bytes};
  std::array<void*, 2> values{log.data(), reinterpret_cast<void*>(log.size())};
  cuda::Module module = nullptr;
  const cuda::Result result =
      driver.load_module(&module, image, static_cast<unsigned>(options.size()), options.data(), values.data());
  if (log[0] != '\0') log_error("{}: {}", binary.function.name, log.data());
  driver.check(result, fmt::format("loading the function '{}'", binary.function.name));
  return CudaModule(module);
}

cuda::MapType map_type(DType dtype) {
  switch (dtype) {
    case DType::f32: return cuda::MapType::f32;
    case DType::bf16: return cuda::MapType::bf16;
    case DType::f16: return cuda::MapType::f16;
    case DType::i32: return cuda::MapType::i32;
    default: INCIPIT_ASSERT(size_of(dtype) == 1); return cuda::MapType::u8;
  }
}

/// Of the device's memory, from an address on; none where there is none.
size_t bytes_from(const CudaMemory& memory, const std::byte* address) {
  const auto value = reinterpret_cast<uint64_t>(address);
  const auto found = memory.upper_bound(value);
  if (found == memory.begin()) return 0;
  const auto& [first, bytes] = *std::prev(found);
  return bytes - std::min<size_t>(value - first, bytes);
}

/// Writes the form that kernels load boxes by.
void encode_map(const TensorMap& map, const CudaMemory& memory, std::byte* place) {
  const auto refuse = [&](const std::string& fault) {
    throw Error(fmt::format("operand '{}'", map.operand), fault,
                "build the engine again with this incipit, or for another --target");
  };
  if (const std::string fault = fault_of(map, bytes_from(memory, map.base)); !fault.empty()) refuse(fault);
  std::array<uint64_t, TensorMap::max_rank> extents{}, strides{};
  std::array<uint32_t, TensorMap::max_rank> box{}, element_strides{};
  for (size_t i = 0; i < static_cast<size_t>(map.rank); ++i) {
    extents[i] = static_cast<uint64_t>(map.extents[i]);
    if (i > 0) strides[i - 1] = static_cast<uint64_t>(map.strides[i]);
    box[i] = static_cast<uint32_t>(map.box[i]);
    element_strides[i] = 1;
  }
  INCIPIT_ASSERT(reinterpret_cast<uint64_t>(place) % alignof(cuda::EncodedMap) == 0);
  // By tensor cores, which read rows in that order. Threads read residuals, and codes that share bytes.
  const bool is_multiplied = map.dtype != DType::f32 && map.dtype != DType::u8;
  const cuda::Driver& driver = cuda_driver();
  const cuda::Result result = driver.encode_map(
      reinterpret_cast<cuda::EncodedMap*>(place), map_type(map.dtype), static_cast<unsigned>(map.rank),
      const_cast<std::byte*>(map.base), extents.data(), strides.data(), box.data(), element_strides.data(),
      cuda::MapInterleave::none, is_multiplied ? cuda::MapSwizzle::bytes_128 : cuda::MapSwizzle::none,
      cuda::MapPromotion::bytes_256, cuda::MapFill::zeros);
  if (result != cuda::Result::success) refuse("is refused by the driver: " + driver.describe(result));
}

}  // namespace

void CudaFunctions::load(std::span<const std::byte> bytes) {
  const CudaCode code = read_cuda_code(bytes);
  const LoggedTime logged(fmt::format("for loading {} functions", code.functions.size()));
  const cuda::Driver& driver = cuda_driver();
  const Target here(Backend::cuda, static_cast<uint16_t>(cuda::gpu().architecture));
  const bool own = here.includes(code.target) && here.architecture / 10 == code.target.architecture / 10;
  bool compiles = false;
  for (const CudaBinary& binary : code.functions) {
    if (functions_.contains(binary.function)) continue;
    const std::span<const std::byte> image = own ? binary.cubin : binary.ptx;
    if (image.empty()) {
      throw Error("device code",
                  fmt::format("is for {}, and the {} is an sm_{}", to_string(code.target), cuda::gpu().name,
                              cuda::gpu().architecture),
                  fmt::format("build the engine with --target {}", best_name(here)));
    }
    if (!own && !compiles) {
      log_warning(
          "the engine is for {}: the driver compiles its functions for this {} now; --target {} saves that, "
          "and takes what this GPU has",
          to_string(code.target), cuda::gpu().name, best_name(here));
      compiles = true;
    }
    Loaded loaded{load_binary(binary, image.data()), nullptr, code.target.architecture >= 90};
    const std::string entry = binary.function.name.substr(0, binary.function.name.find(' '));
    driver.check(driver.function(&loaded.function, loaded.module.get(), entry.c_str()),
                 fmt::format("finding the function '{}'", entry));
    functions_.emplace(binary.function, std::move(loaded));
  }
}

const CudaFunctions::Loaded& CudaFunctions::find(const DeviceFunction& function) const {
  const auto found = functions_.find(function);
  if (found != functions_.end()) return found->second;
  throw Error("device code", fmt::format("has no function '{}' of ABI {}", function.name, function.abi),
              "build the engine again with this incipit");
}

std::unique_ptr<CudaPreparedLaunch> prepare_cuda_launch(const LaunchRequest& request, const CudaFunctions& functions,
                                                        const CudaMemory& memory, const CudaLimits& limits) {
  const cuda::Driver& driver = cuda_driver();
  const CudaLaunch launch = request.code->cuda(request.arguments.data(), request.counts, request.rows, limits);
  auto prepared = std::make_unique<CudaPreparedLaunch>();
  const CudaFunctions::Loaded& loaded = functions.find(request.code->function());
  prepared->function = loaded.function;
  prepared->rows = request.rows;
  prepared->grid = launch.grid;
  prepared->threads = launch.threads;
  prepared->shared_bytes = launch.shared_bytes;
  prepared->parameters = launch.parameters;
  if (launch.cluster > 1) {
    cuda::LaunchAttribute& attribute = prepared->attributes[prepared->attribute_count++];
    attribute.kind = cuda::LaunchAttributeKind::cluster;
    attribute.value.cluster = {launch.cluster, 1, 1};
  }
  if (launch.early && loaded.waits) {
    cuda::LaunchAttribute& attribute = prepared->attributes[prepared->attribute_count++];
    attribute.kind = cuda::LaunchAttributeKind::early_start;
    attribute.value.early_start = 1;
  }
  for (const CudaLaunch::Map& map : launch.maps) {
    INCIPIT_ASSERT(map.offset + sizeof(cuda::EncodedMap) <= launch.parameter_bytes);
    encode_map(map.map, memory, prepared->parameters.data() + map.offset);
  }
  int allowed = 0;
  constexpr auto shared = cuda::FunctionAttribute::dynamic_shared_bytes;
  driver.check(driver.function_attribute(&allowed, shared, prepared->function),
               "asking for a function's shared memory");
  if (launch.shared_bytes > static_cast<uint32_t>(allowed)) {
    driver.check(
        driver.set_function_attribute(prepared->function, shared, static_cast<int>(launch.shared_bytes)),
        fmt::format("giving '{}' {} bytes of shared memory", request.code->function().name, launch.shared_bytes));
  }
  return prepared;
}

void CudaPreparedLaunch::launch(cuda::Stream stream) const {
  if (std::ranges::find(grid, 0U) != grid.end()) return;
  const cuda::LaunchConfig config{grid[0],        grid[1], grid[2],
                                  threads,        1,       1,
                                  shared_bytes,   stream,  const_cast<cuda::LaunchAttribute*>(attributes.data()),
                                  attribute_count};
  std::array<void*, 1> list{const_cast<std::byte*>(parameters.data())};
  const cuda::Driver& driver = cuda_driver();
  driver.check(driver.launch(&config, function, list.data(), nullptr), "a launch");
}

void CudaProgram::replay(cuda::Stream stream) const {
  if (graph.get() == nullptr) {
    for (const CudaPreparedLaunch* launch : launches) launch->launch(stream);
    return;
  }
  const cuda::Driver& driver = cuda_driver();
  driver.check(driver.launch_graph(graph.get(), stream), "launching a program");
}

namespace {

/// The program's launches as a graph; null where the driver cannot.
cuda::Graph capture(const CudaProgram& program, cuda::Stream stream) {
  const cuda::Driver& driver = cuda_driver();
  cuda::Graph graph = nullptr;
  driver.check(driver.begin_capture(stream, cuda::CaptureMode::thread_local_mode), "recording a program");
  try {
    program.replay(stream);
  } catch (const Error& error) {
    log_debug("{}", error.what());
  }
  driver.end_capture(stream, &graph);
  return graph;
}

}  // namespace

std::unique_ptr<CudaProgram> record_cuda_program(std::span<const PreparedLaunch* const> launches, cuda::Stream stream) {
  auto program = std::make_unique<CudaProgram>();
  bool small = true;
  for (const PreparedLaunch* launch : launches) {
    program->launches.push_back(static_cast<const CudaPreparedLaunch*>(launch));
    small = small && program->launches.back()->rows <= graph_rows;
  }
  if (!small || launches.empty()) return program;
  const LoggedTime logged(fmt::format("for a graph of {} launches", launches.size()));
  const cuda::Driver& driver = cuda_driver();
  cuda::Graph graph = capture(*program, stream);
  cuda::GraphProgram made = nullptr;
  const cuda::Result result = graph == nullptr ? cuda::Result::success : driver.instantiate_graph(&made, graph, 0);
  if (graph != nullptr) driver.destroy_graph(graph);
  if (made == nullptr) {
    // Drivers before CUDA 12.3 make no graphs of launches that start early.
    log_debug("GPU: no graph: {}", driver.describe(result));
    return program;
  }
  program->graph = CudaGraphProgram(made);
  driver.check(driver.upload_graph(made, stream), "bringing a program to it");
  return program;
}

}  // namespace incipit
