#include "engine/check_plain_graph.h"

#include <set>

#include "engine/header.h"
#include "engine/plan_faults.h"

namespace incipit {
namespace {

constexpr uint32_t largest_rank = 64;
constexpr uint32_t most_outputs = 1u << 12;  // of one operation
constexpr int64_t most_values = int64_t{1} << 30;

class PlainGraphChecker : PlanFaults {
 public:
  PlainGraphChecker(const plan::Plan& plan, uint64_t weights_begin, uint64_t weights_end, std::string_view engine)
      : PlanFaults(engine),
        plan_(plan),
        graph_(*plan.graph()),
        weights_begin_(weights_begin),
        weights_end_(weights_end) {}

  void run() {
    for (uint32_t i = 0; i < count(graph_.inputs()); ++i) {
      const plan::Port& input = *graph_.inputs()->Get(i);
      check_port("input", i, input);
      if (input.value() != i) fail("input {} is value {}", i, input.value());
    }
    values_ = count(graph_.inputs());
    for (const plan::GraphConstant* constant : items(graph_.constants())) check_constant(*constant);
    for (uint32_t i = 0; i < count(graph_.operations()); ++i) check_operation(i, *graph_.operations()->Get(i));
    names_.clear();
    if (count(graph_.outputs()) == 0) fail("its plain graph has no outputs");
    for (uint32_t i = 0; i < count(graph_.outputs()); ++i) {
      const plan::Port& output = *graph_.outputs()->Get(i);
      check_port("output", i, output);
      if (output.value() >= values_) fail("output {} is value {} of {}", i, output.value(), values_);
    }
  }

 private:
  void check_port(std::string_view kind, uint32_t index, const plan::Port& port) {
    const std::string what = fmt::format("{} {}", kind, index);
    if (!names_.insert(check_text(what + " name", port.name())).second) {
      fail("{} has the name '{}', which another has", what, text(port.name()));
    }
    check_dtype(what, port.dtype());
    check_range(what + " rank", count(port.extents()), 0, largest_rank);
    for (const flatbuffers::String* extent : items(port.extents())) check_text(what + " extent", extent);
  }

  void check_constant(const plan::GraphConstant& constant) {
    const std::string what = fmt::format("constant {} ({})", values_++, text(constant.name()));
    uint64_t bytes = size_of(check_dtype(what, constant.dtype()));
    check_range(what + " rank", count(constant.shape()), 0, largest_rank);
    check_alignment(what, constant.shape());
    for (const uint64_t extent : items(constant.shape())) {
      if (extent > INT64_MAX || __builtin_mul_overflow(bytes, extent, &bytes)) {
        fail("{} is larger than any file", what);
      }
    }
    if (constant.offset() % section_alignment != 0) fail("{} begins at {}, unaligned", what, constant.offset());
    if (constant.offset() < weights_begin_ || constant.offset() > weights_end_ ||
        bytes > weights_end_ - constant.offset()) {
      fail("{} is {} bytes at {}, outside of the weights at {} to {}", what, bytes, constant.offset(), weights_begin_,
           weights_end_);
    }
  }

  void check_operation(uint32_t index, const plan::Operation& operation) {
    const std::string what = fmt::format("operation {} ({})", index, text(operation.name()));
    for (const int32_t input : items(operation.inputs())) {
      if (input < -1 || input >= values_) fail("{} reads value {} of {}", what, input, values_);
    }
    check_range(what + " output count", operation.outputs(), 1, most_outputs);
    values_ += operation.outputs();
    check_range("the number of values", static_cast<uint64_t>(values_), 0, static_cast<uint64_t>(most_values));
    if (text(operation.op()).empty()) {
      check_launch(what, operation);
      return;
    }
    for (const plan::Attribute* attribute : items(operation.attributes())) {
      check_text(what + " attribute name", attribute->name());
      check_range(what + " attribute kind", static_cast<uint64_t>(attribute->kind()), 0,
                  static_cast<uint64_t>(plan::AttributeKind::MAX));
      check_alignment(what + " attribute " + std::string(text(attribute->name())), attribute->integers());
    }
  }

  /// Each operand of the step is a weight, or whole rows of the operation's value at the same place.
  void check_launch(const std::string& what, const plan::Operation& operation) const {
    if (operation.step() >= count(plan_.steps())) {
      fail("{} launches step {} of {}", what, operation.step(), count(plan_.steps()));
    }
    const plan::Step& step = *plan_.steps()->Get(operation.step());
    if (count(step.inputs()) != count(operation.inputs()) || count(step.outputs()) != operation.outputs()) {
      fail("{} has other operands than the step that it launches", what);
    }
    bool has_rows = false;
    for (uint32_t i = 0; i < count(step.inputs()); ++i) {
      const plan::Operand& operand = *step.inputs()->Get(i);
      const bool is_rows = operand.space() == plan::Space::buffer;
      if (!is_rows && operand.space() != plan::Space::weight && operand.space() != plan::Space::absent) {
        fail("{} reads something of a decoder's", what);
      }
      if (is_rows != (operation.inputs()->Get(i) >= 0)) fail("{} has no value for its rows {}", what, i);
      if (is_rows) check_rows(what, operand);
      has_rows = has_rows || is_rows;
    }
    if (!has_rows) fail("{} reads no rows", what);
    for (const plan::Operand* operand : items(step.outputs())) {
      if (operand->space() != plan::Space::buffer) fail("{} makes something that is no value", what);
      check_rows(what, *operand);
    }
  }

  void check_rows(const std::string& what, const plan::Operand& operand) const {
    const plan::Buffer& buffer = *plan_.buffers()->Get(operand.index());
    if (operand.column() != 0 || operand.width() != buffer.width() || buffer.axis() != plan::Axis::tokens) {
      fail("{} has an operand that is not whole rows", what);
    }
  }

  /// FlatBuffers' verifier looks at the alignment of a vector's length, not of its wider elements.
  template <typename T>
  void check_alignment(const std::string& what, const flatbuffers::Vector<T>* numbers) const {
    if (count(numbers) > 0 && reinterpret_cast<uintptr_t>(numbers->Data()) % alignof(T) != 0) {
      fail("{} has its numbers at an unaligned place", what);
    }
  }

  const plan::Plan& plan_;
  const plan::PlainGraph& graph_;
  uint64_t weights_begin_, weights_end_;
  int64_t values_ = 0;  // that are known so far
  std::set<std::string_view> names_;
};

}  // namespace

void check_plain_graph(const plan::Plan& plan, uint64_t weights_begin, uint64_t weights_end, std::string_view engine) {
  PlainGraphChecker(plan, weights_begin, weights_end, engine).run();
}

}  // namespace incipit
