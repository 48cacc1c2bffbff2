// What a shape rule knows of a value.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "primitives/dim.h"

namespace incipit {

/// Type of a value: element type and symbolic shape. `cache` values (dtype and shape unused) order KvWrite before
/// Attention; they name a layer's keys and values.
struct ValueType {
  DType dtype = DType::f32;
  std::vector<Dim> shape;
  /// What a small tensor of i32, i64 or bool (0 or 1), of rank 0 or 1, holds, where that is known: shapes are computed
  /// with such values. As many as the tensor has elements.
  std::optional<std::vector<Dim>> contents = {};
  bool is_cache = false;
  bool is_absent = false;  // stands for an optional input that is not there, in Op::infer only
  /// The most elements whose contents are kept.
  static constexpr int64_t max_contents = 64;
  bool operator==(const ValueType&) const = default;
  static ValueType cache();
  static ValueType absent();
  /// "f32[T, 1024]", "cache".
  std::string text() const;
};

/// The integers that a value of that type is known to hold, where all of them are numbers.
std::optional<std::vector<int64_t>> known_integers(const ValueType& type);

}  // namespace incipit
