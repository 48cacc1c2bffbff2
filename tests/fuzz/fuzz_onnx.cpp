// Any bytes as an ONNX model: refused with an Error, or a valid graph that can be printed.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "graph/text_form.h"
#include "import/onnx/import_onnx.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace incipit;
  try {
    const Graph graph = import_onnx_graph(onnx::parse_model(std::as_bytes(std::span(data, size)), "fuzz.onnx"));
    verify(graph);
    to_text(graph);
  } catch (const Error&) {
  }
  return 0;
}
