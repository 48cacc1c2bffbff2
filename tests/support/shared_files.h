// Reference data that lies beside the project and not in it: models, recordings. Absent for most who build.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>

namespace incipit {

/// The checkout; in the tarball of the GPU's tests, the folder that has the programs and what they read.
inline std::filesystem::path source_directory() {
  static const std::filesystem::path found = [] {
    const std::filesystem::path beside = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path();
    return std::filesystem::exists(beside / "tests/fixtures") ? beside : std::filesystem::path(INCIPIT_SOURCE_DIR);
  }();
  return found;
}

/// What every checkout has.
inline std::filesystem::path fixtures() { return source_directory() / "tests" / "fixtures"; }

/// `shared/NAME` beside the checkout.
inline std::filesystem::path shared_file(const std::filesystem::path& name) {
  return source_directory().parent_path() / "shared" / name;
}

}  // namespace incipit

/// Skips the test, with its name and the reason, where the file or directory `path_` of the reference data is absent.
#define INCIPIT_SKIP_WITHOUT_SHARED(path_)                                                              \
  if (!std::filesystem::exists(::incipit::shared_file(path_)))                                          \
  GTEST_SKIP() << ::testing::UnitTest::GetInstance()->current_test_info()->test_suite_name() << '.'     \
               << ::testing::UnitTest::GetInstance()->current_test_info()->name() << " skipped: needs " \
               << ::incipit::shared_file(path_).lexically_normal().string() << ", which is not here"
