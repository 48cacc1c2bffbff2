// Engines for tests of what runs them: made by the compiler that is linked, or where INCIPIT_TEST_COMPILER is a
// program, by that one, so that what watches over threads needs no compiler of models.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "compile/compile.h"
#include "engine/engine.h"
#ifdef INCIPIT_TEST_COMPILER
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>
#else
#include "import/import.h"
#endif

namespace incipit {

/// "bf16", or "bf16-kv8": with keys and values in int8.
inline void set_precision(CompileOptions& options, const std::string& precision) {
  const size_t end = precision.find("-kv8");
  options.precision = precision.substr(0, end);
  if (end != precision.npos) options.cache = DType::i8;
}

#ifdef INCIPIT_TEST_COMPILER

/// Takes those of the options that such tests set.
inline std::shared_ptr<const Engine> compile_for_test(const std::filesystem::path& model,
                                                      const std::filesystem::path& out, const CompileOptions& options) {
  std::vector<std::string> words{INCIPIT_TEST_COMPILER,
                                 "build",
                                 model,
                                 "-o",
                                 out,
                                 "--precision",
                                 options.precision,
                                 "--target",
                                 options.target,
                                 "--max-batch",
                                 std::to_string(options.max_batch),
                                 "--no-baseline",
                                 "--no-golden"};
  if (options.max_context > 0) words.insert(words.end(), {"--max-context", std::to_string(options.max_context)});
  if (options.cache == DType::i8) words.insert(words.end(), {"--kv-cache", "int8"});
  if (!options.tune) words.emplace_back("--no-tune");
  if (options.deterministic) words.emplace_back("--deterministic");
  if (options.allow_non_finite) words.emplace_back("--allow-non-finite");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t streams;
  ::posix_spawn_file_actions_init(&streams);
  ::posix_spawn_file_actions_addopen(&streams, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  const int refused = ::posix_spawn(&child, argv.front(), &streams, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&streams);
  int status = 0;
  if (refused != 0 || ::waitpid(child, &status, 0) != child || status != 0) {
    throw std::runtime_error(words.front() + " made no engine of " + model.string() + "; build it first: ./dev build");
  }
  return Engine::open(out);
}

#else

/// `model`: a directory or an ONNX file. `companions`: see import_from.
inline std::shared_ptr<const Engine> compile_for_test(const std::filesystem::path& model,
                                                      const std::filesystem::path& out, const CompileOptions& options,
                                                      const std::filesystem::path& companions = {}) {
  Progress quiet(false);
  compile(import_from(model, companions, {.allow_non_finite = options.allow_non_finite}), options, out, quiet);
  return Engine::open(out);
}

#endif

}  // namespace incipit
