#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <vector>

#include "base/error.h"
#include "engine/plan_items.h"
#include "kernels/families.h"
#include "kernels/problem.h"
#include "runtime/plain/operation.h"

namespace incipit {
namespace {

/// Those that read and write nothing but rows and weights.
constexpr std::array<std::string_view, 5> row_families{Elementwise::Problem::family, LayerNorm::Problem::family,
                                                       Linear::Problem::family, QuantizeRows::Problem::family,
                                                       RmsNorm::Problem::family};

/// What an operand of a step is, from the plan.
struct RowType {
  uint32_t buffer = 0;
  DType dtype = DType::f32;
  size_t row_bytes = 0;     // of a value's dense rows
  size_t padded_bytes = 0;  // as kernels want them (kernels/layout.h)
  int64_t width = 0;
};

/// Rows of one operand, as kernels want them: where they are, or in a copy with their padding.
class Rows {
 public:
  Rows(const RowType& type, std::byte* dense, int64_t most_rows) : type_(&type), dense_(dense) {
    if (type.row_bytes == type.padded_bytes) return;
    const auto bytes = static_cast<int64_t>(type.padded_bytes);
    padded_.emplace(DType::u8, Shape{most_rows, bytes});  // zeroed
  }
  const RowType& type() const { return *type_; }
  /// Rows [first, …) where a launch reads or writes them.
  std::byte* place(int64_t first) { return padded_ ? padded_->data() : dense_at(first); }
  void bring(int64_t first, int64_t count) {
    for (int64_t row = 0; padded_ && row < count; ++row) {
      std::memcpy(padded_at(row), dense_at(first + row), type_->row_bytes);
    }
  }
  void take(int64_t first, int64_t count) {
    for (int64_t row = 0; padded_ && row < count; ++row) {
      std::memcpy(dense_at(first + row), padded_at(row), type_->row_bytes);
    }
  }

 private:
  std::byte* dense_at(int64_t row) const { return dense_ + static_cast<size_t>(row) * type_->row_bytes; }
  std::byte* padded_at(int64_t row) { return padded_->data() + static_cast<size_t>(row) * type_->padded_bytes; }

  const RowType* type_;
  std::byte* dense_;
  std::optional<Tensor> padded_;
};

class LaunchOperation final : public PlainOperation {
 public:
  LaunchOperation(const StepSource& source, Device& device)
      : device_(device), step_(resolve_step(source)), offsets_(count(source.plan.buffers())) {
    const auto type_of = [&](const plan::Operand& operand) {
      const plan::Buffer& buffer = *source.plan.buffers()->Get(operand.index());
      RowType type{operand.index(), dtype_from_name(text(buffer.dtype())), 0, 0, buffer.width()};
      type.row_bytes = static_cast<size_t>(type.width) * size_of(type.dtype);
      type.padded_bytes =
          type.width == 1 ? type.row_bytes : static_cast<size_t>(row_stride(type.width)) * size_of(type.dtype);
      return type;
    };
    for (const plan::Operand* operand : items(source.step.inputs())) {
      const bool is_rows = operand->space() == plan::Space::buffer;
      inputs_.push_back(is_rows ? std::optional(type_of(*operand)) : std::nullopt);
    }
    for (const plan::Operand* operand : items(source.step.outputs())) outputs_.push_back(type_of(*operand));
    most_rows_ = source.plan.buckets()->Get(count(source.plan.buckets()) - 1)->tokens();
  }

  primitives::Outputs compute(primitives::Inputs inputs) override {
    const Shape shape = common_shape(inputs);
    primitives::Outputs results;
    for (const RowType& output : outputs_) {
      Shape made = shape;
      made.push_back(output.width);
      results.emplace_back(output.dtype, std::move(made));
    }
    const int64_t rows = element_count(shape), most = std::min<int64_t>(rows, most_rows_);
    std::vector<Rows> read, written;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      // Kernels take the addresses of what they read and write alike, but write to outputs alone.
      if (inputs_[i]) read.emplace_back(*inputs_[i], const_cast<std::byte*>(inputs[i]->data()), most);
    }
    for (size_t i = 0; i < outputs_.size(); ++i) written.emplace_back(outputs_[i], results[i].data(), most);
    for (int64_t first = 0; first < rows; first += most) {
      const int64_t now = std::min(most, rows - first);
      for (Rows& operand : read) operand.bring(first, now);
      run(read, written, first, now);
      for (Rows& operand : written) operand.take(first, now);
    }
    return results;
  }

 private:
  /// The extents before the last, which all operands share.
  Shape common_shape(primitives::Inputs inputs) const {
    std::optional<Shape> shape;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      if (!inputs_[i]) continue;
      const Tensor& tensor = primitives::required_input("rows", inputs, i);
      if (tensor.dtype() != inputs_[i]->dtype || tensor.shape().empty() || tensor.shape().back() != inputs_[i]->width) {
        throw Error("rows", fmt::format("operand {} is not of {} columns of {}", i, inputs_[i]->width,
                                        name_of(inputs_[i]->dtype)));
      }
      Shape before(tensor.shape().begin(), tensor.shape().end() - 1);
      if (shape && *shape != before) throw Error("rows", fmt::format("operand {} has other rows than the first", i));
      shape = std::move(before);
    }
    return *shape;  // the engine's reader has seen that one operand is rows
  }

  void run(std::vector<Rows>& read, std::vector<Rows>& written, int64_t first, int64_t rows) {
    // Offsets count from the lowest address, as from the start of an arena.
    std::byte* lowest = nullptr;
    for (auto* operands : {&read, &written}) {
      for (Rows& operand : *operands) {
        std::byte* place = operand.place(first);
        if (lowest == nullptr || std::less<>()(place, lowest)) lowest = place;
      }
    }
    for (auto* operands : {&read, &written}) {
      for (Rows& operand : *operands) {
        offsets_[operand.type().buffer] =
            reinterpret_cast<uintptr_t>(operand.place(first)) - reinterpret_cast<uintptr_t>(lowest);
      }
    }
    StepView view;
    view.rows = static_cast<int32_t>(rows);
    view.arena = lowest;
    view.offsets = offsets_.data();
    const std::unique_ptr<PreparedLaunch> launch = step_->prepare(view, device_);
    device_.launch(*launch);
    device_.wait(device_.record_event());
  }

  Device& device_;
  std::unique_ptr<Step> step_;
  std::vector<std::optional<RowType>> inputs_;  // one an operand; none for weights
  std::vector<RowType> outputs_;
  int64_t most_rows_ = 0;  // of a launch
  std::vector<uint64_t> offsets_;
};

}  // namespace

std::unique_ptr<PlainOperation> resolve_launch(const StepSource& source, Device& device) {
  const std::string_view family = family_of(text(source.step.problem()));
  if (std::ranges::find(row_families, family) == row_families.end()) {
    throw Error("its plan", fmt::format("the kernel family '{}' does not work on rows alone", family),
                "build the engine again with this incipit");
  }
  return std::make_unique<LaunchOperation>(source, device);
}

}  // namespace incipit
