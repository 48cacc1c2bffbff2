// Tests in the layout of ONNX's own backend tests: a directory with model.onnx and test_data_set_N/input_M.pb and
// output_M.pb, which hold a TensorProto each. Source: onnx/backend/test/runner of ONNX.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace incipit::onnx {

struct TestResult {
  enum class Outcome : uint8_t { passed, failed, skipped };
  std::string name;  // of its directory
  Outcome outcome = Outcome::passed;
  std::string reason;  // one line; empty when it passed
};

/// The tests in a directory, which is one itself or holds some, at any depth; sorted. Throws Error when there are none.
std::vector<std::filesystem::path> find_tests(const std::filesystem::path& directory);

/// What a graph makes of its inputs, in the graph's order.
using GraphRunner = std::function<std::vector<Tensor>(incipit::Graph graph, std::span<const Tensor* const> inputs)>;

/// Imports the model, runs it on every data set (by default the graph is interpreted) and compares what it makes:
/// element types and shapes exactly, integers and bools too, floating numbers to |a − b| ≤ 1e-7 + 1e-3·|b| with NaN
/// equal to NaN. A test is skipped that needs an element type that this project does not have, or a sequence, optional
/// or string. Where ranks depend on what small integer inputs hold, the model is imported with their values. Never
/// throws for a test.
TestResult run_test(const std::filesystem::path& directory, const GraphRunner& run = {});

}  // namespace incipit::onnx
