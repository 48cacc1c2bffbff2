// What a model has that there is no translation for.
#pragma once

#include <map>
#include <string>
#include <tuple>

#include "import/onnx/model.h"

namespace incipit::onnx {

/// A model's own functions.
class Functions {
 public:
  /// Throws Error naming `thing` when two are the same.
  Functions(const Model& model, const std::string& thing);
  /// The one that a node calls, or null.
  const Function* find(const Node& node) const;

 private:
  std::map<std::tuple<std::string, std::string, std::string>, const Function*> functions_;  // domain, name, overload
};

/// Throws Error that names every operator without a translation, with nodes that have it, in one line of bounded
/// length.
void refuse_unsupported(const Graph& graph, const Functions& functions, const std::string& thing);

}  // namespace incipit::onnx
