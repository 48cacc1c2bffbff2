// Models that are no decoders: built into engines, and what these compute compared with what another program did.
#pragma once

#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/safetensors.h"
#include "compile/compile.h"
#include "engine/engine.h"
#include "support/temporary_directory.h"

namespace incipit {

inline std::shared_ptr<const Engine> build_engine(Model model, const std::string& precision = "f32",
                                                  const std::vector<std::string>& without = {}) {
  const TemporaryDirectory directory;
  CompileOptions options;
  options.precision = precision;
  options.without = without;
  options.tune = false;
  options.threads = 2;
  Progress progress;
  compile(std::move(model), options, directory / "plain.engine", progress);
  return Engine::open(directory / "plain.engine");
}

inline std::map<std::string, Tensor> load_tensors(const std::filesystem::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  std::map<std::string, Tensor> tensors;
  for (const std::string& name : file.names()) tensors.emplace(name, file.load(name));
  return tensors;
}

inline std::vector<double> numbers_of(const Tensor& tensor) {
  std::vector<double> numbers;
  const auto append = [&](auto elements) { numbers.assign(elements.begin(), elements.end()); };
  switch (tensor.dtype()) {
    case DType::f64: append(tensor.as<double>()); break;
    case DType::i64: append(tensor.as<int64_t>()); break;
    case DType::i32: append(tensor.as<int32_t>()); break;
    default: {
      std::vector<float> floats(static_cast<size_t>(tensor.elements()));
      convert_to_float(tensor.dtype(), tensor.data(), floats.data(), floats.size());
      append(std::span<const float>(floats));
    }
  }
  return numbers;
}

/// The largest difference, in units of the largest element that is wanted, at least of `smallest_unit`; infinite where
/// shapes differ, or one is no number where the other is.
inline double deviation(const Tensor& made, const Tensor& wanted, double smallest_unit = 0) {
  if (made.shape() != wanted.shape()) return std::numeric_limits<double>::infinity();
  const std::vector<double> ours = numbers_of(made), theirs = numbers_of(wanted);
  double largest = smallest_unit, worst = 0;
  for (size_t i = 0; i < theirs.size(); ++i) {
    if (std::isfinite(theirs[i])) largest = std::max(largest, std::abs(theirs[i]));
    const bool is_same = ours[i] == theirs[i] || (std::isnan(ours[i]) && std::isnan(theirs[i]));
    const double difference = is_same ? 0 : std::abs(ours[i] - theirs[i]);
    worst = std::isnan(difference) ? std::numeric_limits<double>::infinity() : std::max(worst, difference);
  }
  return worst == 0 ? 0 : worst / largest;
}

}  // namespace incipit
