// incipit render: a chat template's text for given variables.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/paths.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "engine/engine.h"
#include "import/hf/chat_template.h"
#include "jinja/jinja_template.h"
#include "openai/chat_variables.h"

namespace incipit::cli {
namespace {

struct RenderOptions {
  std::filesystem::path path, context;
  std::vector<std::string> arguments;
};

bool is_engine(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  const std::string_view magic(engine_magic.data(), engine_magic.size());
  return file->text().starts_with(magic);
}

std::string template_source(const std::filesystem::path& path) {
  std::string source;
  std::string_view remedy = "give a template's file";
  if (is_a_directory(path)) {
    source = read_chat_template(path);
    remedy = "give a directory with a chat_template.jinja, or a template's file";
  } else if (is_engine(path)) {
    Engine::OpenOptions open;
    open.check_target = false;  // nothing is computed
    source = Engine::open(path, open)->chat_template();
  } else {
    return read_text_file(path);
  }
  if (source.empty()) throw Error(path.string(), "it has no chat template", remedy);
  return source;
}

int render(const RenderOptions& options) {
  const JinjaTemplate chat(template_source(options.path), options.path.string());
  const std::string source = is_standard(options.context) ? "standard input" : options.context.string();
  boost::json::value context = parse_json(read_text(options.context), source, LargeIntegers::kept);
  if (!context.is_object()) {
    throw Error(source, fmt::format("it holds {}", kind_name(context)),
                "give a JSON object of the template's variables");
  }
  for (auto& [name, value] : parse_template_arguments(options.arguments)) context.get_object()[name] = value;
  print(chat.render(context.get_object()));
  return 0;
}

}  // namespace

void add_render(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("render", "The text that a chat template makes of its variables");
  const auto options = std::make_shared<RenderOptions>();
  add_input(*command, "PATH", options->path, "A template's file, a model directory, or an engine file")->required();
  add_input(*command, "--context", options->context,
            "A JSON object: the template's variables, such as messages; -: standard input")
      ->required();
  command->add_option("--template-arg", options->arguments, template_argument_help)
      ->expected(1, most_repeats)
      ->allow_extra_args(false);
  command->callback([options, &action] { action = [options] { return render(*options); }; });
}

}  // namespace incipit::cli
