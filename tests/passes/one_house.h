// Two graphs that came in by different doors and should be one.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <string>

#include "structure.h"

namespace incipit {

/// Where a file of a reference is: in the project, or beside it; empty where neither has it.
inline std::filesystem::path find_reference(const std::string& name) {
  for (const char* folder : {"/tests/fixtures/reference/", "/../shared/reference/"}) {
    const std::filesystem::path path = std::string(INCIPIT_SOURCE_DIR) + folder + name;
    if (exists(path)) return path;
  }
  return {};
}

/// The distance of two floats in steps of the last place.
inline int64_t steps_between(float a, float b) {
  const auto place = [](float value) {
    int32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return static_cast<int64_t>(bits < 0 ? INT32_MIN - bits : bits);
  };
  return std::abs(place(a) - place(b));
}

inline void expect_near(const Constant& found, const Constant& wanted, const std::string& which) {
  ASSERT_EQ(found.shape(), wanted.shape()) << which;
  std::vector<float> a(static_cast<size_t>(found.rows() * found.row_elements())), b(a.size());
  found.read_floats(0, found.rows(), a.data());
  wanted.read_floats(0, wanted.rows(), b.data());
  int64_t worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, steps_between(a[i], b[i]));
  EXPECT_LE(worst, 2) << which;
}

/// The same structure, and constants within 2 units in the last place.
inline void expect_one_house(const Graph& by_onnx, const Graph& by_checkpoint) {
  const Structure found = structure_of(by_onnx), wanted = structure_of(by_checkpoint);
  ASSERT_EQ(found.text, wanted.text);
  ASSERT_EQ(found.constants.size(), wanted.constants.size());
  for (size_t i = 0; i < found.constants.size(); ++i) {
    expect_near(*found.constants[i], *wanted.constants[i], "constant c" + std::to_string(i));
  }
}

}  // namespace incipit
