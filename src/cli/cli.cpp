#include "cli/cli.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <exception>
#include <filesystem>
#include <new>
#include <span>
#include <sstream>
#include <string>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/version.h"
#include "cli/commands.h"
#include "cli/options.h"

namespace incipit::cli {
namespace {

/// A file that is opened takes the lowest number that is free: were a standard stream closed, what is written to it
/// would land in that file. A path descriptor fails every read and write, as a closed one does.
bool hold_standard_descriptors() {
  for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(number, F_GETFD) < 0 && ::open("/", O_PATH) != number) return false;
  }
  return true;
}

int complain(std::string_view message) {
  tell(fmt::format("incipit: {}", message));
  return exit_failure;
}

/// One line, whatever the parser says, and where to find help.
int usage_error(const CLI::App& app, const CLI::ParseError& error) {
  std::string message = error.what();
  std::ranges::replace(message, '\n', ' ');
  const auto chosen = app.get_subcommands();
  if (chosen.empty() && !app.remaining().empty()) message = "no option is named " + app.remaining().front();
  std::string command = chosen.empty() ? "" : chosen.front()->get_name() + " ";
  for (const CLI::App* below : chosen.empty() ? chosen : chosen.front()->get_subcommands())
    command += below->get_name() + " ";
  if (!chosen.empty() && !chosen.front()->remaining().empty() && chosen.front()->remaining().front().starts_with('-')) {
    message += fmt::format("; no option, but a text that begins with a dash? incipit {}… -- TEXT", command);
  }
  tell(fmt::format("incipit: {}; see: incipit {}--help", message, command));
  return exit_usage;
}

/// CLI11 finds -h in -hello; nobody who wrote that asked for help.
const char* mistaken_for_help(std::span<char*> arguments) {
  const char* found = nullptr;
  for (const std::string_view argument : arguments) {
    if (argument == "-h" || argument == "--help") return nullptr;
    if (argument.starts_with("-h")) found = argument.data();
  }
  return found;
}

/// --help and --version.
int print_help(const CLI::App& app, const CLI::Success& success, std::span<char*> arguments) {
  if (const char* mistaken = mistaken_for_help(arguments)) {
    tell(fmt::format("incipit: '{}' is no option; a text that begins with a dash goes behind --, and help is --help",
                     mistaken));
    return exit_usage;
  }
  std::ostringstream text;
  app.exit(success, text, text);
  print(text.str());
  return 0;
}

/// A page of a mapped file is not there: the file became shorter (a copy over it does that), or its disk failed.
extern "C" void end_without_page(int) {
  constexpr std::string_view line =
      "incipit: a file in use became shorter or cannot be read; leave it alone while it is used, or check its disk\n";
  [[maybe_unused]] const ssize_t told = ::write(STDERR_FILENO, line.data(), line.size());
  ::_exit(exit_failure);
}

/// Before the command's name and behind it.
void add_log_level(CLI::App& app, std::string& level) {
  app.add_option("--log-level", level, "What is logged to standard error")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->capture_default_str();
}

/// CLI11 would take --greedy=5 for --greedy, and --greedy=false for nothing.
void refuse_values_of_flags(CLI::App& command) {
  for (CLI::App* below : command.get_subcommands({})) refuse_values_of_flags(*below);
  for (CLI::Option* option : command.get_options()) {
    if (option->get_expected_max() > 0) continue;
    option->check([](const std::string& given) -> std::string {
      return given == "true" ? "" : fmt::format("'{}': it takes no value", given);
    });
  }
}

int parse_and_run(int argc, char** argv) {
  CLI::App app("Compiles language models ahead of time into engines, and runs them.", "incipit");
  app.require_subcommand(1);
  app.set_version_flag("--version", "incipit " + std::string(version()));
  Action action;
  add_build(app, action);
  add_run(app, action);
  add_serve(app, action);
  add_load(app, action);
  add_store(app, action);
  add_simulate(app, action);
  add_replay(app, action);
  add_run_graph(app, action);
  add_bench(app, action);
  add_inspect(app, action);
  add_verify(app, action);
  add_eval(app, action);
  add_compare(app, action);
  add_diff(app, action);
  add_tokenize(app, action);
  add_detokenize(app, action);
  add_render(app, action);
  std::string log_level = "warn";
  add_log_level(app, log_level);
  for (CLI::App* command : app.get_subcommands({})) {
    add_log_level(*command, log_level);
    refuse_values_of_flags(*command);
  }
  if (argc > 1 && argv[1][0] != '-' &&
      app.get_subcommands([&](CLI::App* one) { return one->check_name(argv[1]); }).empty()) {
    tell(fmt::format("incipit: '{}' is no command; see: incipit --help", argv[1]));
    return exit_usage;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return print_help(app, success, std::span(argv, static_cast<size_t>(argc)).subspan(1));
  } catch (const CLI::ParseError& error) {
    return usage_error(app, error);
  }
  configure_logging(log_level);
  return action();
}

}  // namespace

int exit_interrupted() { return 128 + interrupting_signal(); }

int main(int argc, char** argv) {
  if (!hold_standard_descriptors()) return exit_failure;
  install_interrupt_handler();
  std::signal(SIGBUS, end_without_page);
  std::signal(SIGPIPE, SIG_IGN);  // a reader that goes away shows as a failed write
  try {
    return parse_and_run(argc, argv);
  } catch (const ReaderGone&) {
    return exit_reader_gone;
  } catch (const std::bad_alloc&) {
    return complain("out of memory; close other programs, or choose a smaller model or --precision");
  } catch (const std::filesystem::filesystem_error& error) {
    return complain(Error(error.path1().string(), error.code().message(), "check the path and its permissions").what());
  } catch (const std::exception& error) {
    if (interrupted()) {
      complain("interrupted");
      return exit_interrupted();
    }
    return complain(error.what());
  }
}

}  // namespace incipit::cli
