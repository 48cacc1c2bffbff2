// Attention on all threads: heads do not see one another, so that each group of them that shares its keys is a call of
// the primitive, over views of the operands.
#include <cstring>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "runtime/plain/operation.h"

namespace incipit {
namespace {

using primitives::Inputs;
using primitives::optional_input;
using primitives::Outputs;

/// Elements [first, first + count) along an axis whose earlier extents are all 1: they lie together.
TensorView part(const TensorView& tensor, size_t axis, int64_t first, int64_t count) {
  TensorView view = tensor;
  view.shape[axis] = count;
  view.data += static_cast<size_t>(first) * (view.bytes() / static_cast<size_t>(count));
  return view;
}

/// The same of a tensor that is broadcast where its extent is 1.
TensorView broadcast_part(const TensorView& tensor, size_t axis, int64_t first, int64_t count) {
  return tensor.shape[axis] == 1 ? tensor : part(tensor, axis, first, count);
}

/// Which heads there are, where they can be told apart at all.
struct Heads {
  int64_t batch, groups, in_group;
};

/// Nothing where the primitive had better see the operands as they are: to refuse them, for one.
std::optional<Heads> heads_of(Inputs inputs) {
  for (size_t i = 0; i < 3; ++i) {
    if (optional_input(inputs, i) == nullptr || inputs[i]->shape().size() != 4 || inputs[i]->elements() == 0) return {};
  }
  const Shape &q = inputs[0]->shape(), &k = inputs[1]->shape(), &v = inputs[2]->shape();
  const Heads heads{q[0], k[1], q[1] / k[1]};
  if (k[0] != heads.batch || v[0] != heads.batch || v[1] != heads.groups || heads.in_group * heads.groups != q[1]) {
    return {};
  }
  if (const Tensor* mask = optional_input(inputs, 3)) {
    const Shape& shape = mask->shape();
    if (shape.size() != 4 || mask->elements() == 0) return {};
    if ((shape[0] != 1 && shape[0] != heads.batch) || (shape[1] != 1 && shape[1] != q[1])) return {};
  }
  for (size_t i = 4; i < 6; ++i) {
    const Tensor* numbers = optional_input(inputs, i);
    if (numbers != nullptr && numbers->elements() != 1 && numbers->shape() != Shape{heads.batch}) return {};
  }
  return heads;
}

class AttentionOperation final : public PlainOperation {
 public:
  AttentionOperation(std::unique_ptr<PlainOperation> primitive, Device& device)
      : primitive_(std::move(primitive)), device_(device) {}

  Outputs compute(Inputs inputs) override {
    const std::optional<Heads> heads = heads_of(inputs);
    if (!heads) return primitive_->compute(inputs);
    const Shape& q = inputs[0]->shape();
    Call call{*primitive_, inputs, *heads, Tensor(inputs[0]->dtype(), {q[0], q[1], q[2], inputs[2]->shape()[3]})};
    const Code::Args args{&call};
    const std::unique_ptr<PreparedLaunch> launch =
        device_.prepare({code_, std::as_bytes(std::span(&args, 1)), nullptr, 1});
    device_.launch(*launch);
    device_.wait(device_.record_event());
    if (call.error) std::rethrow_exception(call.error);
    return primitives::one_output(std::move(call.result));
  }

 private:
  struct Call {
    PlainOperation& primitive;
    Inputs inputs;
    Heads heads;
    Tensor result;
    std::mutex mutex = {};
    std::exception_ptr error = {};  // the first

    void run(int64_t tile) {
      const int64_t sequence = tile / heads.groups, group = tile % heads.groups, first = group * heads.in_group;
      std::vector<Tensor> views;
      std::vector<const Tensor*> operands;
      views.reserve(inputs.size());
      for (size_t i = 0; i < inputs.size(); ++i) {
        if (inputs[i] == nullptr) {
          operands.push_back(nullptr);
          continue;
        }
        TensorView view = inputs[i]->view();
        if (!view.shape.empty()) view = broadcast_part(view, 0, sequence, 1);
        if (i < 4) {
          const bool is_keys = i == 1 || i == 2;
          view = is_keys ? part(view, 1, group, 1) : broadcast_part(view, 1, first, heads.in_group);
        }
        views.push_back(Tensor::borrowed(view));
        operands.push_back(&views.back());
      }
      const Tensor made = std::move(primitive.compute(operands).at(0));
      INCIPIT_ASSERT(made.elements() * heads.batch * heads.groups == result.elements() &&
                     made.dtype() == result.dtype());
      std::memcpy(result.data() + static_cast<size_t>(tile) * made.bytes(), made.data(), made.bytes());
    }
  };

  struct Code final : LaunchCode {
    struct Args {
      Call* call;
    };
    static Call& call_of(const void* arguments) { return *static_cast<const Args*>(arguments)->call; }
    bool take_counts(void*, const StepCounts&) const override { return true; }
    size_t scratch_bytes(int32_t) const override { return 0; }
    int64_t tiles(const void* arguments) const override {
      const Heads& heads = call_of(arguments).heads;
      return heads.batch * heads.groups;
    }
    void run(const void* arguments, int64_t tile, std::byte*) const override {
      Call& call = call_of(arguments);
      try {
        call.run(tile);
      } catch (...) {
        const std::lock_guard lock(call.mutex);
        if (!call.error) call.error = std::current_exception();
      }
    }
  };

  std::unique_ptr<PlainOperation> primitive_;
  Device& device_;
  std::shared_ptr<const Code> code_ = std::make_shared<const Code>();
};

}  // namespace

std::unique_ptr<PlainOperation> spread_heads(std::unique_ptr<PlainOperation> attention, Device& device) {
  return std::make_unique<AttentionOperation>(std::move(attention), device);
}

}  // namespace incipit
