#include "base/cuda_driver.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include "base/error.h"
#include "base/target.h"

namespace incipit::cuda {
namespace {

constexpr const char* library_name = "libcuda.so.1";

/// What opening came to, for all later calls to be told the same.
struct Opened {
  Driver driver;
  Gpu gpu;
  std::string fault, remedy;  // empty: it is there
};

Opened failed(std::string fault, std::string remedy) { return {{}, {}, std::move(fault), std::move(remedy)}; }

std::string version_text(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

Opened look_for_gpu(Opened opened) {
  const Driver& driver = opened.driver;
  const auto refuse = [&](const char* purpose, Result result) {
    return failed(fmt::format("{} failed: {}", purpose, driver.describe(result)),
                  "see whether nvidia-smi shows the GPU");
  };
  int count = 0;
  const Result counted = driver.device_count(&count);
  if (counted != Result::success) return refuse("counting GPUs", counted);
  if (count == 0) return failed("the driver shows no GPU", "see nvidia-smi, and CUDA_VISIBLE_DEVICES");
  Gpu& gpu = opened.gpu;
  int major = 0, minor = 0;
  char name[256] = {};
  for (const Result result : {driver.device(&gpu.device, 0), driver.device_name(name, sizeof name - 1, gpu.device),
                              driver.device_attribute(&major, DeviceAttribute::compute_major, gpu.device),
                              driver.device_attribute(&minor, DeviceAttribute::compute_minor, gpu.device)}) {
    if (result != Result::success) return refuse("looking at the GPU", result);
  }
  gpu.name = name;
  gpu.architecture = 10 * major + minor;
  if (gpu.architecture < least_cuda) {
    return failed(fmt::format("the {} is an sm_{}, and kernels need sm_{}", gpu.name, gpu.architecture, least_cuda),
                  "use a later GPU, or a cpu target");
  }
  return opened;
}

Opened open_driver() {
  Opened opened;
  void* const library = ::dlopen(library_name, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return failed(fmt::format("there is no {}, the library of NVIDIA's driver", library_name),
                  "install the driver, or use a cpu target");
  }
  const auto too_old = [&](const std::string& what) {
    return failed(
        fmt::format("NVIDIA's driver is too old: {}, and {} is needed", what, version_text(least_driver_version)),
        "install a later driver");
  };
  const char* missing = nullptr;
#define INCIPIT_CUDA_RESOLVE(name, symbol, ...)                                                   \
  opened.driver.name = reinterpret_cast<decltype(opened.driver.name)>(::dlsym(library, #symbol)); \
  if (opened.driver.name == nullptr && missing == nullptr) missing = #symbol;
  INCIPIT_CUDA_DRIVER(INCIPIT_CUDA_RESOLVE)
#undef INCIPIT_CUDA_RESOLVE
  int version = 0;
  if (opened.driver.driver_version == nullptr || opened.driver.driver_version(&version) != Result::success) {
    return too_old("it does not say its version");
  }
  if (version < least_driver_version) return too_old("it is for CUDA " + version_text(version));
  if (missing != nullptr) return too_old(fmt::format("it has no {}", missing));
  const Result started = opened.driver.initialize(0);
  if (started == Result::no_device)
    return failed("the driver shows no GPU", "see nvidia-smi, and CUDA_VISIBLE_DEVICES");
  if (started != Result::success) {
    return failed(fmt::format("NVIDIA's driver does not start: {}", opened.driver.describe(started)),
                  "see whether nvidia-smi shows the GPU");
  }
  return look_for_gpu(std::move(opened));
}

const Opened& opened() {
  static const Opened once = open_driver();
  return once;
}

const Opened& opened_or_thrown() {
  const Opened& found = opened();
  if (!found.fault.empty()) throw Error("GPU", found.fault, found.remedy);
  return found;
}

}  // namespace

std::string Driver::describe(Result result) const {
  const char *name = nullptr, *text = nullptr;
  if (error_name(result, &name) != Result::success || name == nullptr) {
    return fmt::format("error {}", static_cast<int>(result));
  }
  if (error_text(result, &text) != Result::success || text == nullptr) return name;
  return fmt::format("{} ({})", name, text);
}

void Driver::check(Result result, std::string_view purpose) const {
  if (result == Result::success) return;
  throw Error("GPU", fmt::format("{} failed: {}", purpose, describe(result)), "see nvidia-smi and the system's log");
}

const Driver& driver() { return opened_or_thrown().driver; }
const Gpu& gpu() { return opened_or_thrown().gpu; }
std::string fault() { return opened().fault; }

}  // namespace incipit::cuda
