#include "cli/cli.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <exception>
#include <new>
#include <string>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/version.h"
#include "cli/commands.h"
#include "cli/options.h"

namespace incipit::cli {
namespace {

int complain(std::string_view message) {
  fmt::print(stderr, "incipit: {}\n", message);
  return exit_failure;
}

/// One line, whatever the parser says, and where to find help.
int usage_error(const CLI::App& app, const CLI::ParseError& error) {
  std::string message = error.what();
  for (char& c : message) {
    if (c == '\n') c = ' ';
  }
  const auto chosen = app.get_subcommands();
  fmt::print(stderr, "incipit: {}; see: incipit {}--help\n", message,
             chosen.empty() ? "" : chosen.front()->get_name() + " ");
  return exit_usage;
}

/// A page of a mapped file is not there: the file became shorter (a copy over it does that), or its disk failed.
extern "C" void end_without_page(int) {
  constexpr std::string_view line =
      "incipit: a file in use became shorter or cannot be read; leave it alone while it is used, or check its disk\n";
  [[maybe_unused]] const ssize_t told = ::write(STDERR_FILENO, line.data(), line.size());
  ::_exit(exit_failure);
}

int parse_and_run(int argc, char** argv) {
  CLI::App app("Compiles language models ahead of time into engines, and runs them.", "incipit");
  app.require_subcommand(1);
  app.set_version_flag("--version", "incipit " + std::string(version()));
  std::string log_level = "warn";
  app.add_option("--log-level", log_level, "What is logged to standard error")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->capture_default_str();
  Action action;
  add_build(app, action);
  add_run(app, action);
  add_run_graph(app, action);
  add_bench(app, action);
  add_inspect(app, action);
  add_verify(app, action);
  add_eval(app, action);
  add_tokenize(app, action);
  add_detokenize(app, action);
  add_render(app, action);
  add_onnx_test(app, action);
  if (argc > 1 && argv[1][0] != '-' &&
      app.get_subcommands([&](CLI::App* one) { return one->check_name(argv[1]); }).empty()) {
    fmt::print(stderr, "incipit: '{}' is no command; see: incipit --help\n", argv[1]);
    return exit_usage;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help and --version
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    return usage_error(app, error);
  }
  configure_logging(log_level);
  return action();
}

}  // namespace

int main(int argc, char** argv) {
  install_interrupt_handler();
  std::signal(SIGBUS, end_without_page);
  std::signal(SIGPIPE, SIG_IGN);  // a reader that goes away shows as a failed write
  try {
    return parse_and_run(argc, argv);
  } catch (const ReaderGone&) {
    return exit_reader_gone;
  } catch (const std::bad_alloc&) {
    return complain("out of memory; close other programs, or choose a smaller model or --precision");
  } catch (const std::exception& error) {
    if (interrupted()) {
      complain("interrupted");
      return exit_interrupted;
    }
    return complain(error.what());
  }
}

}  // namespace incipit::cli
