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

/// Engines made once by `incipit build`.
inline const TemporaryDirectory& engines() {
  static const TemporaryDirectory directory;
  return directory;
}

inline std::string tiny_engine() {
  static const std::string path = [] {
    const std::string target = engines() / "tiny.engine";
    const Ran ran =
        run_program({"build", tiny_model, "-o", target, "--precision", "f32", "--no-tune", "--no-baseline"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    return target;
  }();
  return path;
}

inline std::string classics_engine() {
  static const std::string path = [] {
    const std::string target = engines() / "classics.engine";
    const Ran ran = run_program({"build", classics, "-o", target, "--precision", "f32", "--no-tune", "--no-baseline",
                                 "--max-context", "512", "--max-batch", "2"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    return target;
  }();
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

inline double number(const boost::json::value& value) { return value.to_number<double>(); }

}  // namespace incipit
