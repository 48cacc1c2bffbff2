// Runs an engine that holds no decoder but a plain graph: an encoder, an embedder, a classifier.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/tensor.h"
#include "engine/engine.h"

namespace incipit {

class PlainGraph {
 public:
  /// What goes in or comes out. An extent is a number or text of a symbol's; the same text means the same extent.
  struct Port {
    std::string name;
    DType dtype = DType::f32;
    std::vector<std::string> extents;
  };

  /// Resolves the operations; constants and weights stay where the engine is mapped. `threads` for kernels; 0: all.
  /// Throws Error for a decoder's engine, and for operations that this program does not have.
  explicit PlainGraph(std::shared_ptr<const Engine> engine, int threads = 0);
  ~PlainGraph();

  const std::vector<Port>& inputs() const;
  const std::vector<Port>& outputs() const;

  /// Runs the operations one after the other; a value is freed when nothing will read it any more. Throws Error naming
  /// an input that is missing, not the graph's, of another dtype, rank or extent, or two whose extents do not agree;
  /// and the operation that what its inputs hold does not suit.
  std::map<std::string, Tensor> run(const std::map<std::string, Tensor>& inputs);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Throws Error naming the engine when it holds a plain graph, which only PlainGraph runs.
void require_decoder(const Engine& engine);

}  // namespace incipit
