// Engines of the tiny models with what was measured of them, and gateways for them.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "measure/golden.h"
#include "support/altered_engine.h"
#include "support/compile_for_test.h"
#include "support/shared_files.h"
#include "support/temporary_directory.h"

namespace incipit {

inline std::unique_ptr<Gateway> gateway_of(const std::filesystem::path& engine, int threads = 2) {
  GatewayOptions options;
  options.session.threads = threads;
  options.session.policy = {.max_gap_us = 20'000, .in_order = false};
  return std::make_unique<Gateway>(Engine::open(engine), options);
}

inline void record_golden_of(const std::filesystem::path& engine, double format_error) {
  const auto gateway = gateway_of(engine);
  GoldenRecording recording;
  recording.format_error = format_error;
  recording.seconds = 60;
  keep_golden(gateway->engine(), record_golden(*gateway, recording));
}

inline const TemporaryDirectory& measured_engines() {
  static const TemporaryDirectory directory;
  return directory;
}

/// With golden logits; made once. Its kernels were chosen by measurement, so that those of its buckets may differ.
inline std::filesystem::path golden_engine(const std::string& precision, const std::string& target = "native") {
  const std::filesystem::path path = measured_engines() / (precision + "-" + target);
  if (std::filesystem::exists(path)) return path;
  CompileOptions options;
  options.precision = precision;
  options.target = target;
  options.max_batch = 4;
  options.max_context = 160;
  options.tune = target == "native";
  compile_for_test(fixtures() / "reference" / "llama-gqa-tied", path, options);
  record_golden_of(path, precision == "f32" ? 1e-4 : 0.15);
  return path;
}

}  // namespace incipit
