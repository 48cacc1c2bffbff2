// What a model calls its free dimensions, as symbols of this project.
#pragma once

#include <map>
#include <set>
#include <string>

#include "primitives/dim.h"

namespace incipit::onnx {

/// Exporters write any text: a name ("batch"), a name with other characters ("onnx::Shape_12"), or an expression
/// ("past_sequence_length + 1").
class DimensionNames {
 public:
  /// The polynomial where the text is one, else a symbol of its own; the same for the same text.
  Dim dimension(const std::string& text);

 private:
  std::map<std::string, Dim> known_;
  std::set<std::string> taken_;
};

}  // namespace incipit::onnx
