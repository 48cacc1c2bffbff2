// Engines of the models in the checkout, made once a program, and what tests of the command line read of its answers.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <string>

#include "program.h"
#include "support/shared_files.h"
#include "support/temporary_directory.h"

namespace incipit {

inline const std::filesystem::path tiny_model = fixtures() / "reference" / "llama-gqa-tied";
inline const std::filesystem::path classics = source_directory() / "models" / "classics-16m";
inline const std::filesystem::path classics_golden = fixtures() / "classics-16m-golden";

/// What the program's tests share and its end removes.
inline const TemporaryDirectory& place() {
  static const TemporaryDirectory directory;
  return directory;
}

/// What `incipit build` makes of a model, in f32, as place() / name; with golden logits.
inline std::string build_golden_engine(const std::filesystem::path& model, const std::string& name,
                                       const std::vector<std::string>& more = {}) {
  const std::string target = place() / name;
  std::vector<std::string> arguments{"build", model, "-o", target, "--precision", "f32", "--no-tune", "--no-baseline"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const Ran ran = run_program(arguments);
  EXPECT_EQ(ran.status, 0) << ran.err;
  return target;
}

/// Without, which takes less time.
inline std::string build_engine(const std::filesystem::path& model, const std::string& name,
                                std::vector<std::string> more = {}) {
  more.emplace_back("--no-golden");
  return build_golden_engine(model, name, more);
}

/// A model of the references, which has neither tokenizer nor chat template.
inline std::string tiny_engine() {
  static const std::string path = build_golden_engine(tiny_model, "tiny.engine");
  return path;
}

/// The bundled model.
inline std::string classics_engine() {
  static const std::string path =
      build_engine(classics, "classics.engine", {"--max-context", "512", "--max-batch", "2"});
  return path;
}

/// With less context and more sequences.
inline std::string short_engine() {
  static const std::string path = build_engine(classics, "short.engine", {"--max-context", "256", "--max-batch", "4"});
  return path;
}

/// An error is one line that begins with the program's name, and nothing else is printed.
inline void expect_refused(const Ran& ran, int status, const std::string& part) {
  EXPECT_EQ(ran.status, status) << ran.out << ran.err;
  EXPECT_EQ(ran.out, "");
  EXPECT_THAT(ran.err,
              testing::AllOf(testing::StartsWith("incipit: "), testing::HasSubstr(part), testing::EndsWith("\n")));
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
}

inline boost::json::object object_of(const std::string& text) {
  boost::json::error_code error;
  const boost::json::value value = boost::json::parse(text, error);
  EXPECT_FALSE(error) << text;
  return value.is_object() ? value.get_object() : boost::json::object{};
}

/// The last record of that kind in an engine's trailer; empty where there is none.
inline boost::json::object trailer_record(const std::string& engine, const std::string& kind) {
  const std::string all = "\n" + run_program({"inspect", engine, "--trailer"}).out;
  const size_t begin = all.rfind("\n" + kind + " {");
  if (begin == std::string::npos) return {};
  const size_t json = begin + kind.size() + 2;
  return object_of(all.substr(json, all.find('\n', json) - json));
}

inline double number(const boost::json::value& value) { return value.to_number<double>(); }

}  // namespace incipit
