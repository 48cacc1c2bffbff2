// What Transformers computed for the tiny models of tests/fixtures/reference, and engines made of them.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/safetensors.h"
#include "engine/engine.h"
#include "support/compile_for_test.h"
#include "support/shared_files.h"
#include "support/temporary_directory.h"

namespace incipit {

struct Golden {
  Tensor input_ids, logits, greedy;

  static Golden of(const std::string& model) {
    const SafetensorsFile file = SafetensorsFile::open(fixtures() / "reference" / model / "golden.safetensors");
    return {file.load("input_ids"), file.load("logits"), file.load("greedy")};
  }
  size_t sequences() const { return static_cast<size_t>(input_ids.shape()[0]); }
  std::vector<int32_t> prompt(size_t sequence) const { return row(input_ids, sequence); }
  std::vector<int32_t> continuation(size_t sequence) const { return row(greedy, sequence); }

 private:
  static std::vector<int32_t> row(const Tensor& tensor, size_t index) {
    const auto width = static_cast<std::ptrdiff_t>(tensor.shape()[1]);
    const auto all = tensor.as<int32_t>();
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(index) * width;
    return {begin, begin + width};
  }
};

inline std::shared_ptr<const Engine> build_engine(const std::filesystem::path& model, const std::filesystem::path& out,
                                                  int32_t max_batch, int64_t max_context = 0,
                                                  const std::string& target = "native") {
  CompileOptions options;
  options.target = target;
  options.precision = "f32";
  options.tune = false;
  options.max_batch = max_batch;
  options.max_context = max_context;
  return compile_for_test(model, out, options);
}

/// Made once for the whole program.
inline std::shared_ptr<const Engine> reference_engine(const std::string& model, int64_t max_context = 0,
                                                      const std::string& target = "native") {
  static const TemporaryDirectory directory;
  static std::map<std::string, std::shared_ptr<const Engine>> made;
  const std::string name = model + "-" + target + "-" + std::to_string(max_context);
  auto& engine = made[name];
  if (!engine) engine = build_engine(fixtures() / "reference" / model, directory / name, 4, max_context, target);
  return engine;
}

inline std::shared_ptr<const Engine> classics_engine() {
  static const TemporaryDirectory directory;
  static const std::shared_ptr<const Engine> engine =
      build_engine(source_directory() / "models" / "classics-16m", directory / "classics", 4, 256);
  return engine;
}

}  // namespace incipit
