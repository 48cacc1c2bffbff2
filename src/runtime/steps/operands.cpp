#include "runtime/steps/operands.h"

#include <fmt/format.h>

#include "base/error.h"
#include "engine/format.h"
#include "engine/plan_items.h"

namespace incipit {

namespace {

/// Which rows a weight's layout has paired.
RowPairs pairs_of(const plan::Weight& weight) {
  switch (weight.pairing()) {
    case plan::Pairing::none: return {};
    case plan::Pairing::gate_up: return gate_and_up(weight.rows(), true);
    case plan::Pairing::rotary_halves:
    case plan::Pairing::rotary_neighbours: break;
  }
  const int64_t half = weight.pair_half(), rows = weight.pair_rows();
  return {weight.paired_rows() / rows, half, weight.first_paired(), rows - 2 * half,
          weight.pairing() == plan::Pairing::rotary_neighbours};
}

}  // namespace

void StepOperands::fail(std::string_view fault) const {
  throw Error(source_.engine,
              fmt::format("step '{}' ({}) {}", text(source_.step.name()), text(source_.step.problem()), fault),
              "build the engine again");
}

const plan::Operand& StepOperands::next_input(std::string_view role) {
  if (inputs_read_ >= count(source_.step.inputs())) fail(fmt::format("lacks its operand '{}'", role));
  return *source_.step.inputs()->Get(inputs_read_++);
}

BufferView StepOperands::buffer_view(std::string_view role, const plan::Operand& operand, plan::Axis axis, DType dtype,
                                     int64_t width) const {
  if (operand.space() != plan::Space::buffer) fail(fmt::format("has an operand '{}' that is no buffer", role));
  const plan::Buffer& buffer = *source_.plan.buffers()->Get(operand.index());
  if (buffer.axis() != axis) fail(fmt::format("has an operand '{}' on the wrong axis", role));
  if (text(buffer.dtype()) != name_of(dtype)) {
    fail(fmt::format("has an operand '{}' of {}, expected {}", role, text(buffer.dtype()), name_of(dtype)));
  }
  if (operand.width() != width) {
    fail(fmt::format("has an operand '{}' of {} columns, expected {}", role, operand.width(), width));
  }
  BufferView view;
  view.buffer = static_cast<int32_t>(operand.index());
  view.first_byte = int64_t{operand.column()} * static_cast<int64_t>(size_of(dtype));
  view.stride = buffer.width() == 1 ? 1 : row_stride(buffer.width());
  view.whole = operand.width() == buffer.width();
  return view;
}

BufferView StepOperands::input(std::string_view role, DType dtype, int64_t width) {
  return buffer_view(role, next_input(role), source_.step.axis(), dtype, width);
}

BufferView StepOperands::input_if(bool expected, std::string_view role, DType dtype, int64_t width) {
  if (expected) return input(role, dtype, width);
  absent_input(role);
  return {};
}

BufferView StepOperands::whole_input(std::string_view role, DType dtype, int64_t width) {
  const BufferView view = input(role, dtype, width);
  if (!view.whole) fail(fmt::format("has an operand '{}' that is not a whole buffer", role));
  return view;
}

BufferView StepOperands::token_input(std::string_view role, DType dtype, int64_t width) {
  return buffer_view(role, next_input(role), plan::Axis::tokens, dtype, width);
}

BufferView StepOperands::rotary_table_input(int64_t pairs, int64_t head_dim) {
  require(pairs >= 0 && 2 * pairs <= head_dim, "rotates more than a head");
  return input_if(pairs > 0, "table", DType::f32, 2 * pairs);
}

void StepOperands::input_space(std::string_view role, plan::Space space) {
  if (next_input(role).space() != space) fail(fmt::format("has an unexpected operand '{}'", role));
}

plan::Space StepOperands::next_space() const {
  return inputs_read_ < count(source_.step.inputs()) ? source_.step.inputs()->Get(inputs_read_)->space()
                                                     : plan::Space::absent;
}

void StepOperands::absent_input(std::string_view role) { input_space(role, plan::Space::absent); }

const std::byte* StepOperands::plane(std::string_view role, const plan::Weight& weight, plan::PlaneRole plane_role,
                                     DType dtype, int64_t bytes) const {
  const std::string_view kind = plan::EnumNamePlaneRole(plane_role);
  for (const plan::Plane* plane : items(weight.planes())) {
    if (plane->role() != plane_role) continue;
    if (text(plane->dtype()) != name_of(dtype) || plane->bytes() != static_cast<uint64_t>(bytes)) {
      fail(fmt::format("has an operand '{}' whose plane '{}' is {} bytes of {}, expected {} of {}", role, kind,
                       plane->bytes(), text(plane->dtype()), bytes, name_of(dtype)));
    }
    return source_.weights + (plane->offset() - engine_page);
  }
  fail(fmt::format("has an operand '{}' without its plane '{}'", role, kind));
}

const plan::Weight& StepOperands::weight_input(std::string_view role) {
  const plan::Operand& operand = next_input(role);
  if (operand.space() != plan::Space::weight) fail(fmt::format("has an operand '{}' that is no weight", role));
  const plan::Weight& weight = *source_.plan.weights()->Get(operand.index());
  if (weight.ranks() != 1) fail(fmt::format("has an operand '{}' that is one part of {}", role, weight.ranks()));
  return weight;
}

const std::byte* StepOperands::dense_input_if(bool expected, std::string_view role, DType dtype, int64_t values) {
  if (!expected) {
    absent_input(role);
    return nullptr;
  }
  const plan::Weight& weight = weight_input(role);
  if (text(weight.layout()) != "dense") fail(fmt::format("has an operand '{}' that is not dense", role));
  return plane(role, weight, plan::PlaneRole::values, dtype, values * static_cast<int64_t>(size_of(dtype)));
}

PackedView StepOperands::packed_input(std::string_view role, const WeightShape& shape, bool bias, int64_t experts) {
  const plan::Weight& weight = weight_input(role);
  layout_ = find_weight_layout(text(weight.layout()));
  if (layout_ == nullptr || text(weight.format()) != to_text(shape.format) || pairs_of(weight) != shape.pairs ||
      weight.rows() != shape.n || weight.columns() != shape.k || weight.experts() != experts) {
    fail(fmt::format(
        "has an operand '{}' that is {}[{}, {}] {} {}{}", role,
        weight.experts() > 1 ? fmt::format("{} experts of ", weight.experts()) : "", weight.rows(), weight.columns(),
        text(weight.layout()), text(weight.format()),
        weight.pairing() == plan::Pairing::none ? "" : fmt::format(" {}", plan::EnumNamePairing(weight.pairing()))));
  }
  const auto blocks = shape.scale_blocks();
  if (weight.block_rows() != blocks.rows || weight.block_columns() != blocks.columns) {
    fail(fmt::format("has an operand '{}' with a scale for {} × {} weights", role, weight.block_rows(),
                     weight.block_columns()));
  }
  constexpr double largest_bytes = 0x1p48;
  if (static_cast<double>(shape.n) * static_cast<double>(shape.k) * static_cast<double>(experts) > largest_bytes) {
    fail(fmt::format("has an operand '{}' larger than any file", role));
  }
  PackedView view;
  for (const PlaneShape& expected : planes_of(*layout_, shape, bias)) {
    const std::byte* data =
        plane(role, weight, static_cast<plan::PlaneRole>(expected.role), expected.dtype, experts * expected.bytes());
    switch (expected.role) {
      case PlaneRole::values:
      case PlaneRole::codes: view.weight.codes = data; break;
      case PlaneRole::scales: view.weight.scales = data; break;
      case PlaneRole::zero_points: view.weight.zero_points = data; break;
      case PlaneRole::code_sums: view.weight.code_sums = reinterpret_cast<const int32_t*>(data); break;
      case PlaneRole::bias: view.bias = reinterpret_cast<const float*>(data); break;
    }
  }
  return view;
}

CacheView StepOperands::cache_input(std::string_view role, const KvGeometry& geometry) {
  const plan::Operand& operand = next_input(role);
  if (operand.space() != plan::Space::cache) fail(fmt::format("has an operand '{}' that is no cache", role));
  const plan::CacheGroup& group = *source_.plan.groups()->Get(operand.index());
  KvGeometry whole = geometry;
  whole.layers = static_cast<int32_t>(count(group.layers()));
  bool same = text(group.layout()) == name_of(geometry.layout) && group.kind() == plan::CacheKind::paged &&
              count(group.planes()) == 2 && group.page_tokens() == static_cast<uint32_t>(geometry.tokens) &&
              group.page_bytes() == static_cast<uint64_t>(whole.page_bytes());
  for (const plan::CachePlane* plane : items(group.planes())) {
    same = same && plane->heads() == static_cast<uint32_t>(geometry.kv_heads) &&
           plane->width() == static_cast<uint32_t>(geometry.head_dim) &&
           text(plane->dtype()) == name_of(geometry.dtype) &&
           text(plane->scale()) == (geometry.has_scales() ? name_of(DType::f32) : "");
  }
  if (!same) fail(fmt::format("has an operand '{}' of another geometry", role));
  return {static_cast<int32_t>(operand.index()), operand.column() * geometry.layer_bytes()};
}

BufferView StepOperands::output(std::string_view role, DType dtype, int64_t width) {
  if (outputs_read_ >= count(source_.step.outputs())) fail(fmt::format("lacks its result '{}'", role));
  return buffer_view(role, *source_.step.outputs()->Get(outputs_read_++), source_.step.axis(), dtype, width);
}

BufferView StepOperands::output_if(bool expected, std::string_view role, DType dtype, int64_t width) {
  return expected ? output(role, dtype, width) : BufferView{};
}

BufferView StepOperands::logits() const {
  BufferView view;
  view.buffer = static_cast<int32_t>(source_.plan.logits());
  view.stride = row_stride(source_.plan.vocabulary());
  view.whole = true;
  return view;
}

void StepOperands::require_vocabulary(int32_t vocabulary) const {
  if (vocabulary < 0 || static_cast<uint32_t>(vocabulary) != source_.plan.vocabulary()) {
    fail(fmt::format("is not for the plan's vocabulary of {}", source_.plan.vocabulary()));
  }
}

void StepOperands::require_positions(int32_t rows) const {
  if (rows < 0 || static_cast<uint32_t>(rows) < source_.plan.max_context()) {
    fail(fmt::format("has no row for some of the plan's {} positions", source_.plan.max_context()));
  }
}

void StepOperands::require_window(const CacheView& cache, int32_t window) const {
  const uint32_t kept = source_.plan.groups()->Get(static_cast<uint32_t>(cache.group))->window();
  if (kept != 0 && (window <= 0 || static_cast<uint32_t>(window) > kept)) {
    fail(fmt::format("looks further back than its cache group's window of {}", kept));
  }
}

void StepOperands::require_axis(plan::Axis axis) const {
  if (source_.step.axis() != axis) fail("is on the wrong axis");
}

void StepOperands::require(bool condition, std::string_view fault) const {
  if (!condition) fail(fault);
}

void StepOperands::finish() const {
  if (inputs_read_ != count(source_.step.inputs()) || outputs_read_ != count(source_.step.outputs())) {
    fail("has more operands than its family");
  }
}

}  // namespace incipit
