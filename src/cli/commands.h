// The subcommands: each file of this folder registers one.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace incipit::cli {

/// What is to be done once the command line has been parsed; returns the exit status.
using Action = std::function<int()>;

/// Each adds its subcommand to `app`; parsing it sets `action`.
void add_build(CLI::App& app, Action& action);
void add_run(CLI::App& app, Action& action);
void add_run_graph(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);
void add_inspect(CLI::App& app, Action& action);
void add_verify(CLI::App& app, Action& action);
void add_eval(CLI::App& app, Action& action);
void add_compare(CLI::App& app, Action& action);
void add_diff(CLI::App& app, Action& action);
void add_tokenize(CLI::App& app, Action& action);
void add_detokenize(CLI::App& app, Action& action);
void add_render(CLI::App& app, Action& action);
void add_serve(CLI::App& app, Action& action);
void add_load(CLI::App& app, Action& action);
void add_simulate(CLI::App& app, Action& action);
void add_replay(CLI::App& app, Action& action);
void add_store(CLI::App& app, Action& action);

constexpr int exit_failure = 1;
constexpr int exit_usage = 2;
/// 128 + the signal that interrupted: 130 for Ctrl-C, 143 for SIGTERM.
int exit_interrupted();
constexpr int exit_reader_gone = 141;  // 128 + SIGPIPE

}  // namespace incipit::cli
