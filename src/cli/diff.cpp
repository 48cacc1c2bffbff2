// incipit diff: what is different between two engines.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <memory>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "engine/differences.h"
#include "engine/engine.h"

namespace incipit::cli {
namespace {

struct DiffOptions {
  std::filesystem::path a, b;
  bool json = false;
};

std::string_view or_none(const std::string& text) { return text.empty() ? "none" : std::string_view(text); }

void print_differences(const Engine& a, const Engine& b, const std::vector<Difference>& found) {
  for (const auto& [sign, engine] : {std::pair("-", &a), {"+", &b}}) {
    print(fmt::format("{} {}, digest {}\n", sign, engine->path().string(), engine->body_digest().hex()));
  }
  std::string area;
  for (const Difference& one : found) {
    if (one.area != area) print(one.area + "\n");
    area = one.area;
    print(fmt::format("  {}\n    - {}\n    + {}\n", or_none(one.name), or_none(one.a), or_none(one.b)));
  }
  if (found.empty()) print("no difference\n");
}

int diff(const DiffOptions& options) {
  Engine::OpenOptions open;
  open.check_target = false;
  const auto a = Engine::open(options.a, open), b = Engine::open(options.b, open);
  const std::vector<Difference> found = differences(*a, *b);
  if (!options.json) {
    print_differences(*a, *b, found);
    return 0;
  }
  boost::json::array list;
  for (const Difference& one : found) {
    list.push_back(boost::json::object{{"area", one.area}, {"name", one.name}, {"a", one.a}, {"b", one.b}});
  }
  const auto of = [](const Engine& engine) {
    return boost::json::object{{"path", engine.path().string()}, {"digest", engine.body_digest().hex()}};
  };
  print_json({{"a", of(*a)}, {"b", of(*b)}, {"differences", std::move(list)}});
  return 0;
}

}  // namespace

void add_diff(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "diff", "Say what is different between two engines: sources, options, weights, kernels, sizes, times");
  const auto options = std::make_shared<DiffOptions>();
  add_input(*command, "A", options->a, "An engine file")->required();
  add_input(*command, "B", options->b, "Another")->required();
  command->add_flag("--json", options->json, "One JSON object");
  command->callback([options, &action] { action = [options] { return diff(*options); }; });
}

}  // namespace incipit::cli
