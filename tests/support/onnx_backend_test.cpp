#include "support/onnx_backend_test.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <map>

#include "import/onnx/import_onnx.h"
#include "import/onnx/model.h"
#include "primitives/primitive.h"

namespace incipit::onnx {
namespace {

namespace fs = std::filesystem;

// As ONNX's runner has them.
constexpr double relative_tolerance = 1e-3, absolute_tolerance = 1e-7;

std::vector<double> doubles(const Tensor& tensor) {
  const auto count = static_cast<size_t>(tensor.elements());
  if (tensor.dtype() == DType::f64) {
    const auto values = tensor.as<double>();
    return {values.begin(), values.end()};
  }
  std::vector<float> values(count);
  convert_to_float(tensor.dtype(), tensor.data(), values.data(), count);
  return {values.begin(), values.end()};
}

bool is_close(double made, double wanted) {
  if (std::isnan(made) || std::isnan(wanted)) return std::isnan(made) && std::isnan(wanted);
  if (std::isinf(made) || std::isinf(wanted)) return made == wanted;
  return std::abs(made - wanted) <= absolute_tolerance + relative_tolerance * std::abs(wanted);
}

std::string type_text(const Tensor& tensor) {
  ValueType type{tensor.dtype(), {}};
  type.shape.assign(tensor.shape().begin(), tensor.shape().end());
  return type.text();
}

/// What is wrong; empty where nothing is.
std::string difference(const Tensor& made, const Tensor& wanted) {
  if (made.dtype() != wanted.dtype() || made.shape() != wanted.shape()) {
    return "is " + type_text(made) + " instead of " + type_text(wanted);
  }
  if (!is_floating(made.dtype())) {
    const size_t size = size_of(made.dtype());
    for (size_t i = 0; i < static_cast<size_t>(made.elements()); ++i) {
      if (std::memcmp(made.data() + i * size, wanted.data() + i * size, size) != 0) {
        return "has another element at " + std::to_string(i) + " of " + std::to_string(made.elements());
      }
    }
    return {};
  }
  const std::vector<double> ours = doubles(made), theirs = doubles(wanted);
  size_t differing = 0, first = 0;
  for (size_t i = ours.size(); i-- > 0;) {
    if (is_close(ours[i], theirs[i])) continue;
    ++differing;
    first = i;
  }
  if (differing == 0) return {};
  return "differs in " + std::to_string(differing) + " of " + std::to_string(ours.size()) + " elements, first at " +
         std::to_string(first) + ": " + std::to_string(ours[first]) + " instead of " + std::to_string(theirs[first]);
}

std::vector<Tensor> read_tensors(const fs::path& set, const std::string& kind) {
  std::vector<Tensor> tensors;
  for (;;) {
    const fs::path file = set / (kind + "_" + std::to_string(tensors.size()) + ".pb");
    if (!fs::exists(file)) return tensors;
    tensors.push_back(read_tensor(file));
  }
}

bool is_small_integers(const Tensor& tensor) {
  return !is_floating(tensor.dtype()) && tensor.shape().size() <= 1 && tensor.elements() <= ValueType::max_contents;
}

/// The model's graph; `inputs` keep those that it takes.
incipit::Graph import_for(const Model& model, std::vector<Tensor>& inputs) {
  try {
    return import_onnx_graph(model);
  } catch (const UnsupportedType&) {
    throw;
  } catch (const Error&) {
    std::map<std::string, Tensor> known;
    for (size_t i = 0; i < std::min(inputs.size(), model.graph.inputs.size()); ++i) {
      if (is_small_integers(inputs[i])) known.emplace(model.graph.inputs[i].name, primitives::copy_of(inputs[i]));
    }
    if (known.empty()) throw;
    incipit::Graph graph = import_onnx_graph(model, known);
    std::erase_if(inputs, is_small_integers);
    return graph;
  }
}

std::vector<Tensor> interpreted(incipit::Graph graph, std::span<const Tensor* const> inputs) {
  ReferenceCache cache;
  return interpret(graph, inputs, cache);
}

std::string run_set(const Model& model, const fs::path& set, const GraphRunner& run) {
  std::vector<Tensor> inputs = read_tensors(set, "input");
  incipit::Graph graph = import_for(model, inputs);
  verify(graph);
  const std::vector<Tensor> wanted = read_tensors(set, "output");
  std::vector<const Tensor*> given;
  for (const Tensor& input : inputs) given.push_back(&input);
  const std::vector<Tensor> made = run(std::move(graph), given);
  const std::string where = set.filename().string() + ": ";
  if (wanted.empty()) return where + "has no outputs to compare with";
  if (made.size() != wanted.size()) {
    return where + "makes " + std::to_string(made.size()) + " outputs instead of " + std::to_string(wanted.size());
  }
  for (size_t i = 0; i < made.size(); ++i) {
    const std::string found = difference(made[i], wanted[i]);
    if (!found.empty()) return fmt::format("{}output {} {}", where, i, found);
  }
  return {};
}

/// Why the test failed; empty where it did not.
std::string run_sets(const fs::path& directory, const GraphRunner& run) {
  const Model model = read_model(directory / "model.onnx");
  for (const std::vector<ValueInfo>* list : {&model.graph.inputs, &model.graph.outputs}) {
    for (const ValueInfo& one : *list) {
      if (!one.is_tensor) throw UnsupportedType(one.name, "is a sequence or optional");
      dtype_of(one.element_type, one.name);
    }
  }
  std::vector<fs::path> sets;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    if (entry.is_directory() && entry.path().filename().string().starts_with("test_data_set_")) {
      sets.push_back(entry.path());
    }
  }
  std::sort(sets.begin(), sets.end());
  if (sets.empty()) return "has no test_data_set_N";
  for (const fs::path& set : sets) {
    if (std::string found = run_set(model, set, run); !found.empty()) return found;
  }
  return {};
}

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

}  // namespace

std::vector<fs::path> find_tests(const fs::path& directory) {
  if (!fs::is_directory(directory)) throw Error(directory.string(), "is no directory", "name a directory of tests");
  std::vector<fs::path> tests;
  if (fs::exists(directory / "model.onnx")) return {directory};
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.path().filename() == "model.onnx") tests.push_back(entry.path().parent_path());
  }
  if (tests.empty()) {
    throw Error(directory.string(), "has no test",
                "name a directory with model.onnx and test_data_set_0 in it, or with such");
  }
  std::sort(tests.begin(), tests.end());
  return tests;
}

TestResult run_test(const fs::path& directory, const GraphRunner& run) {
  using Outcome = TestResult::Outcome;
  const fs::path plain = directory.lexically_normal();
  TestResult result{(plain.has_filename() ? plain : plain.parent_path()).filename().string(), Outcome::passed, {}};
  try {
    result.reason = one_line(run_sets(directory, run ? run : interpreted));
    if (!result.reason.empty()) result.outcome = Outcome::failed;
  } catch (const UnsupportedType& error) {
    result.outcome = Outcome::skipped;
    result.reason = one_line(error.what());
  } catch (const std::exception& error) {
    result.outcome = Outcome::failed;
    result.reason = one_line(error.what());
  }
  return result;
}

}  // namespace incipit::onnx
