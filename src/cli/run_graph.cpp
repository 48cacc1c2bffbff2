// incipit run-graph: tensors through an engine that is no decoder.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "base/safetensors.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/outputs.h"
#include "engine/engine.h"
#include "engine/weight_check.h"
#include "runtime/plain/plain_graph.h"

namespace incipit::cli {
namespace {

struct RunGraphOptions {
  std::filesystem::path engine, inputs, outputs;
  int threads = 0;
};

/// What this command writes says so at its beginning: a model's weights are safetensors too.
constexpr std::string_view maker = "incipit run-graph";

bool is_ours(std::string_view beginning) {
  const std::string header = fmt::format(R"({{"__metadata__":{{"made_by":"{}"}})", maker);
  return beginning.size() > sizeof(uint64_t) && beginning.substr(sizeof(uint64_t)).starts_with(header);
}

int run_graph(const RunGraphOptions& options) {
  check_output({options.outputs, "--outputs", "file of outputs", is_ours}, {options.engine, options.inputs});
  const std::shared_ptr<const Engine> engine = Engine::open(options.engine);
  PlainGraph graph(engine, options.threads);
  const SafetensorsFile file = SafetensorsFile::open(options.inputs);
  std::map<std::string, Tensor> inputs;
  for (const std::string& name : file.names()) inputs.emplace(name, file.load(name));
  const WeightCheck check(engine);
  const std::map<std::string, Tensor> outputs = graph.run(inputs);
  check.finish();
  write_safetensors(options.outputs, outputs, maker);
  return 0;
}

}  // namespace

void add_run_graph(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("run-graph", "Give tensors to an engine that is no decoder, and take its own");
  const auto options = std::make_shared<RunGraphOptions>();
  command->add_option("ENGINE", options->engine, "An engine file that holds a plain graph")->required();
  command->add_option("--inputs", options->inputs, "A safetensors file with a tensor for each input, by name")
      ->required();
  command
      ->add_option("--outputs", options->outputs,
                   "The safetensors file to write the outputs to; one of an earlier run is replaced")
      ->required();
  add_threads(*command, options->threads);
  command->callback([options, &action] { action = [options] { return run_graph(*options); }; });
}

}  // namespace incipit::cli
