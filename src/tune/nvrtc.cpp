#include "tune/nvrtc.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include "base/error.h"
#include "tune/cuda_compiler.h"

namespace incipit {
namespace nvrtc {
namespace {

constexpr const char* names[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so",
                                 "/usr/local/cuda/lib64/libnvrtc.so"};

struct Opened {
  Library library;
  std::string fault;  // empty: it is there
};

Opened open_library() {
  Opened opened;
  void* handle = nullptr;
  for (const char* name : names) {
    if (handle == nullptr) handle = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
  }
  if (handle == nullptr) {
    opened.fault = fmt::format("NVIDIA's compiler for kernels is not here: looked for {}", fmt::join(names, ", "));
    return opened;
  }
  bool whole = true;
#define INCIPIT_NVRTC_RESOLVE(name, symbol, ...)                                                   \
  opened.library.name = reinterpret_cast<decltype(opened.library.name)>(::dlsym(handle, #symbol)); \
  whole = whole && opened.library.name != nullptr;
  INCIPIT_NVRTC(INCIPIT_NVRTC_RESOLVE)
#undef INCIPIT_NVRTC_RESOLVE
  int major = 0, minor = 0;
  if (!whole || opened.library.version(&major, &minor) != Result::success || major < 12) {
    opened.fault =
        fmt::format("NVIDIA's compiler for kernels is too old: libnvrtc {}.{}, and 12 is needed", major, minor);
  }
  opened.library.text = fmt::format("{}.{}", major, minor);
  return opened;
}

const Opened& opened() {
  static const Opened once = open_library();
  return once;
}

}  // namespace

const Library& library() {
  if (opened().fault.empty()) return opened().library;
  throw Error("NVRTC", opened().fault,
              "install it (package cuda-nvrtc-13-0 of NVIDIA's repository, or a CUDA toolkit), or give a cpu --target");
}

}  // namespace nvrtc

std::string nvrtc_fault() { return nvrtc::opened().fault; }
void require_nvrtc() { nvrtc::library(); }

}  // namespace incipit
