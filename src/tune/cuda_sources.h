// The sources of the CUDA kernels, which the program carries: kernels/cuda/*.cu and all that they include.
#pragma once

#include <span>
#include <string_view>
#include <vector>

namespace incipit {

struct CudaSource {
  std::string_view name;  // as it is included: "kernels/cuda/prelude.cuh", "cstdint"
  std::string_view text;
};

/// All of them, by name; made by cmake/embed_cuda_sources.cmake.
std::span<const CudaSource> cuda_sources();
/// nullptr when there is none.
const CudaSource* find_cuda_source(std::string_view name);
/// What a source includes, and what that includes; each once.
std::vector<const CudaSource*> included_by(const CudaSource& source);

}  // namespace incipit
