#include "engine/check_plan.h"

#include <fmt/format.h>

#include <string>

#include "base/dtype.h"
#include "base/error.h"
#include "engine/check_plain_graph.h"
#include "engine/header.h"
#include "engine/plan_faults.h"
#include "engine/plan_items.h"

namespace incipit {
namespace {

// Bounds of any model that could be meant: products of two of them stay far from 2^63.
constexpr uint32_t largest_width = 1u << 26;
constexpr uint32_t largest_count = 1u << 20;
constexpr uint32_t largest_positions = 1u << 28;
constexpr uint32_t largest_experts = 1u << 12;
constexpr uint32_t largest_ranks = 1u << 12;
constexpr uint32_t largest_heads = 1u << 12;
constexpr uint32_t largest_planes = 16;
constexpr uint32_t largest_rows = ~uint32_t{0};  // of all experts
constexpr uint64_t largest_bytes = uint64_t{1} << 48;

class PlanChecker : PlanFaults {
 public:
  PlanChecker(const plan::Plan& plan, uint64_t weights_begin, uint64_t weights_end, std::string_view engine)
      : PlanFaults(engine), plan_(plan), weights_begin_(weights_begin), weights_end_(weights_end) {}

  void run() {
    check_needs();
    if (plan_.graph() == nullptr) check_sizes();
    check_text("precision", plan_.precision());
    for (uint32_t i = 0; i < count(plan_.weights()); ++i) check_weight(i);
    for (uint32_t i = 0; i < count(plan_.buffers()); ++i) check_buffer(i);
    check_buckets();
    for (uint32_t i = 0; i < count(plan_.groups()); ++i) check_group(i);
    for (uint32_t i = 0; i < count(plan_.steps()); ++i) check_step(fmt::format("step {}", i), plan_.steps()->Get(i));
    if (plan_.graph() != nullptr) {
      check_plain_graph(plan_, weights_begin_, weights_end_, engine());
      return;
    }
    check_step("resolve_tokens", plan_.resolve_tokens());
    check_step("sample", plan_.sample());
    check_logits();
  }

 private:
  void check_axis(const std::string& what, plan::Axis axis) const {
    if (axis != plan::Axis::tokens && axis != plan::Axis::rows) {
      fail("{} has the unknown axis {}", what, static_cast<int>(axis));
    }
  }

  /// There are none yet that a plan of this version could ask for.
  void check_needs() const {
    for (const flatbuffers::String* need : items(plan_.needs())) {
      throw Error(engine(), fmt::format("has a plan whose '{}' this incipit does not know", text(need)),
                  "use a newer incipit");
    }
  }

  void check_sizes() const {
    check_range("vocabulary", plan_.vocabulary(), 1, largest_width);
    check_range("hidden", plan_.hidden(), 1, largest_width);
    check_range("layers", plan_.layers(), 1, largest_count);
    check_range("max_context", plan_.max_context(), 1, largest_positions);
    check_range("max_sequences", plan_.max_sequences(), 1, largest_count);
    check_range("memory_limit", plan_.memory_limit(), 0, largest_bytes);
    const auto check_token = [this](std::string_view what, int64_t id) {
      if (id >= plan_.vocabulary()) fail("{} is {}, outside of the vocabulary of {}", what, id, plan_.vocabulary());
    };
    if (plan_.begin_id() != -1 && plan_.begin_id() < 0) fail("begin_id is {}", plan_.begin_id());
    check_token("begin_id", plan_.begin_id());
    for (int32_t id : items(plan_.end_ids())) {
      if (id < 0) fail("an end id is {}", id);
      check_token("an end id", id);
    }
  }

  void check_weight(uint32_t index) const {
    const plan::Weight& weight = *plan_.weights()->Get(index);
    const std::string what = fmt::format("weight {} ({})", index, text(weight.name()));
    check_text(what + " layout", weight.layout());
    check_text(what + " format", weight.format());
    check_range(what + " rows", weight.rows(), 1, largest_width);
    check_range(what + " columns", weight.columns(), 1, largest_width);
    check_range(what + " experts", weight.experts(), 1, largest_experts);
    check_range(what + " block_rows", weight.block_rows(), 0, weight.rows());
    check_range(what + " block_columns", weight.block_columns(), 0, weight.columns());
    check_range(what + " ranks", weight.ranks(), 1, largest_ranks);
    check_range(what + " rank", weight.rank(), 0, weight.ranks() - 1);
    check_pairing(what, weight);
    check_sources(what, weight);
    if (count(weight.planes()) == 0) fail("{} has no planes", what);
    for (const plan::Plane* plane : items(weight.planes())) {
      const std::string_view role = plan::EnumNamePlaneRole(plane->role());
      if (role.empty()) fail("{} has a plane of the unknown role {}", what, static_cast<int>(plane->role()));
      const std::string plane_name = fmt::format("{} plane {}", what, role);
      check_dtype(plane_name, plane->dtype());
      if (plane->offset() % section_alignment != 0) fail("{} begins at {}, unaligned", plane_name, plane->offset());
      if (plane->bytes() == 0 || plane->offset() < weights_begin_ || plane->offset() > weights_end_ ||
          plane->bytes() > weights_end_ - plane->offset()) {
        fail("{} is {} bytes at {}, outside of the weights at {} to {}", plane_name, plane->bytes(), plane->offset(),
             weights_begin_, weights_end_);
      }
    }
  }

  void check_pairing(const std::string& what, const plan::Weight& weight) const {
    switch (weight.pairing()) {
      case plan::Pairing::none: return;
      case plan::Pairing::gate_up:
        if (weight.rows() % 2 != 0) fail("{} pairs the halves of {} rows", what, weight.rows());
        return;
      case plan::Pairing::rotary_halves:
      case plan::Pairing::rotary_neighbours:
        check_range(what + " first_paired", weight.first_paired(), 0, weight.rows() - 1);
        check_range(what + " paired_rows", weight.paired_rows(), 1, weight.rows() - weight.first_paired());
        check_range(what + " pair_rows", weight.pair_rows(), 2, weight.paired_rows());
        check_range(what + " pair_half", weight.pair_half(), 1, weight.pair_rows() / 2);
        if (weight.paired_rows() % weight.pair_rows() != 0) {
          fail("{} pairs the halves of {} rows in {}", what, weight.pair_rows(), weight.paired_rows());
        }
        return;
    }
    fail("{} has the unknown pairing {}", what, static_cast<int>(weight.pairing()));
  }

  /// They tell of the weight's rows, one behind the other, or of nothing.
  void check_sources(const std::string& what, const plan::Weight& weight) const {
    if (count(weight.sources()) == 0) return;
    uint64_t rows = 0;
    for (const plan::WeightSource* source : items(weight.sources())) {
      check_text(what + " source tensor", source->tensor());
      check_range(what + " source rows", source->rows(), 1, largest_rows);
      check_range(what + " source first", source->first(), 0, largest_bytes);
      check_range(what + " source row_step", source->row_step(), 0, largest_bytes);
      check_range(what + " source column_step", source->column_step(), 0, largest_bytes);
      rows += source->rows();
    }
    if (rows != uint64_t{weight.rows()} * weight.experts()) fail("{} has sources of {} rows", what, rows);
  }

  void check_buffer(uint32_t index) const {
    const plan::Buffer& buffer = *plan_.buffers()->Get(index);
    const std::string what = fmt::format("buffer {} ({})", index, text(buffer.name()));
    check_dtype(what, buffer.dtype());
    check_axis(what, buffer.axis());
    check_range(what + " width", buffer.width(), 1, largest_width);
  }

  void check_buckets() const {
    if (count(plan_.buckets()) == 0) fail("it has no buckets");
    for (uint32_t i = 0; i < count(plan_.buckets()); ++i) {
      const plan::Bucket& bucket = *plan_.buckets()->Get(i);
      const std::string what = fmt::format("bucket {}", i);
      check_range(what + " tokens", bucket.tokens(), 1, largest_count);
      check_range(what + " rows", bucket.rows(), 1, bucket.tokens());
      if (plan_.graph() != nullptr) continue;
      check_range(what + " sequences", bucket.sequences(), 1, std::min(bucket.tokens(), plan_.max_sequences()));
      check_range(what + " arena_bytes", bucket.arena_bytes(), 0, largest_bytes);
      if (i > 0) {
        const plan::Bucket& before = *plan_.buckets()->Get(i - 1);
        if (bucket.tokens() < before.tokens() || bucket.rows() < before.rows() ||
            bucket.sequences() < before.sequences()) {
          fail("{} is smaller than the one before it", what);
        }
      }
      if (count(bucket.offsets()) != count(plan_.buffers())) {
        fail("{} places {} buffers of {}", what, count(bucket.offsets()), count(plan_.buffers()));
      }
      // FlatBuffers' verifier looks at the alignment of a vector's length, not of its wider elements.
      if (count(bucket.offsets()) > 0 &&
          reinterpret_cast<uintptr_t>(bucket.offsets()->Data()) % alignof(uint64_t) != 0) {
        fail("{} has its offsets at an unaligned place", what);
      }
      for (uint32_t b = 0; b < count(bucket.offsets()); ++b) check_place(bucket, what, b);
    }
  }

  /// A buffer's rows are as far apart as kernels/layout.h says: widths rounded up to 64 elements.
  void check_place(const plan::Bucket& bucket, const std::string& what, uint32_t index) const {
    const plan::Buffer& buffer = *plan_.buffers()->Get(index);
    const uint64_t rows = buffer.axis() == plan::Axis::tokens ? bucket.tokens() : bucket.rows();
    const uint64_t bytes = rows * aligned(buffer.width(), 64) * size_of(dtype_from_name(text(buffer.dtype())));
    const uint64_t offset = bucket.offsets()->Get(index);
    if (offset % section_alignment != 0) fail("{} places buffer {} at {}, unaligned", what, index, offset);
    if (offset > bucket.arena_bytes() || bytes > bucket.arena_bytes() - offset) {
      fail("{} places buffer {}, {} bytes at {}, outside of its arena of {} bytes", what, index, bytes, offset,
           bucket.arena_bytes());
    }
  }

  void check_group(uint32_t index) const {
    const plan::CacheGroup& group = *plan_.groups()->Get(index);
    const std::string what = fmt::format("cache group {}", index);
    check_range(what + " layer count", count(group.layers()), 1, plan_.layers());
    for (uint32_t layer : items(group.layers())) {
      if (layer >= plan_.layers()) fail("{} names layer {} of {}", what, layer, plan_.layers());
    }
    check_range(what + " window", group.window(), 0, largest_positions);
    check_text(what + " layout", group.layout());
    switch (group.kind()) {
      case plan::CacheKind::paged: check_range(what + " page_tokens", group.page_tokens(), 16, 4096); break;
      case plan::CacheKind::state: check_range(what + " page_tokens", group.page_tokens(), 0, 0); break;
      default: fail("{} is of the unknown kind {}", what, static_cast<int>(group.kind()));
    }
    check_range(what + " page_bytes", group.page_bytes(), 1, largest_bytes);
    check_cache_planes(what, group);
  }

  /// A page has room for what its planes keep.
  void check_cache_planes(const std::string& what, const plan::CacheGroup& group) const {
    check_range(what + " plane count", count(group.planes()), 1, largest_planes);
    uint64_t bytes = 0;  // of a layer
    for (const plan::CachePlane* plane : items(group.planes())) {
      const std::string name = fmt::format("{} plane {}", what, check_text(what + " plane role", plane->role()));
      check_range(name + " heads", plane->heads(), 1, largest_heads);
      check_range(name + " width", plane->width(), 1, largest_width);
      const uint64_t scale = text(plane->scale()).empty() ? 0 : size_of(check_dtype(name + " scale", plane->scale()));
      bytes += plane->heads() * (plane->width() * size_of(check_dtype(name, plane->dtype())) + scale);
    }
    const uint64_t tokens = uint64_t{count(group.layers())} * std::max(group.page_tokens(), 1u);
    if (bytes > group.page_bytes() / tokens) {
      fail("{} has page_bytes {} for {} times {}", what, group.page_bytes(), tokens, bytes);
    }
  }

  void check_operand(const std::string& what, const plan::Operand& operand) const {
    const auto check_index = [&](std::string_view list, uint32_t size) {
      if (operand.index() >= size) fail("{} is {} {} of {}", what, list, operand.index(), size);
    };
    switch (operand.space()) {
      case plan::Space::absent:
      case plan::Space::ids:
      case plan::Space::positions:
      case plan::Space::rows:
      case plan::Space::row_positions: return;
      case plan::Space::weight: check_index("weight", count(plan_.weights())); return;
      case plan::Space::buffer: {
        check_index("buffer", count(plan_.buffers()));
        const uint32_t width = plan_.buffers()->Get(operand.index())->width();
        if (operand.width() == 0 || operand.column() > width || operand.width() > width - operand.column()) {
          fail("{} is columns {} + {} of a buffer that is {} wide", what, operand.column(), operand.width(), width);
        }
        return;
      }
      case plan::Space::cache: {
        check_index("cache group", count(plan_.groups()));
        const uint32_t layers = count(plan_.groups()->Get(operand.index())->layers());
        if (operand.column() >= layers) fail("{} is layer {} of a group of {}", what, operand.column(), layers);
        return;
      }
    }
    fail("{} is in the unknown space {}", what, static_cast<int>(operand.space()));
  }

  void check_step(const std::string& place, const plan::Step* step) const {
    if (step == nullptr) fail("{} is missing", place);
    const std::string what = fmt::format("{} ({})", place, text(step->name()));
    check_text(what + " problem", step->problem());
    check_axis(what, step->axis());
    for (uint32_t i = 0; i < count(step->inputs()); ++i) {
      check_operand(fmt::format("{} input {}", what, i), *step->inputs()->Get(i));
    }
    for (uint32_t i = 0; i < count(step->outputs()); ++i) {
      check_operand(fmt::format("{} output {}", what, i), *step->outputs()->Get(i));
    }
    uint32_t rows = 0;
    for (const plan::KernelUse* use : items(step->kernels())) {
      if (use->rows() <= rows) fail("{} has a kernel for {} rows behind one for {}", what, use->rows(), rows);
      rows = use->rows();
      // Of a norm's step the products that read it may do the work.
      const bool is_norm = text(step->problem()).starts_with("rms_norm ");
      if (is_norm && plan_.graph() == nullptr && text(use->kernel()).empty()) continue;
      check_text(what + " kernel", use->kernel());
      check_text(what + " kernel config", use->config());
    }
    const plan::Bucket& largest = *plan_.buckets()->Get(count(plan_.buckets()) - 1);
    const uint32_t most = step->axis() == plan::Axis::tokens ? largest.tokens() : largest.rows();
    if (rows < most) fail("{} has kernels for {} rows of {}", what, rows, most);
  }

  void check_logits() const {
    if (plan_.logits() >= count(plan_.buffers()))
      fail("its logits are buffer {} of {}", plan_.logits(), count(plan_.buffers()));
    const plan::Buffer& logits = *plan_.buffers()->Get(plan_.logits());
    if (text(logits.dtype()) != "f32" || logits.axis() != plan::Axis::rows || logits.width() != plan_.vocabulary()) {
      fail("its logits are not f32 rows of the vocabulary's {}", plan_.vocabulary());
    }
  }

  const plan::Plan& plan_;
  uint64_t weights_begin_, weights_end_;
};

}  // namespace

const plan::Plan& read_plan(std::span<const std::byte> bytes, std::string_view engine) {
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  constexpr flatbuffers::uoffset_t depth = 16, tables = 4'000'000;
  if (bytes.size() >= FLATBUFFERS_MAX_BUFFER_SIZE)
    throw Error(engine, "its plan is too large", "build the engine again");
  flatbuffers::Verifier verifier(data, bytes.size(), depth, tables);
  if (!plan::VerifyPlanBuffer(verifier)) throw Error(engine, "its plan is malformed", "build the engine again");
  return *plan::GetPlan(data);
}

void check_plan(const plan::Plan& plan, uint64_t weights_begin, uint64_t weights_end, std::string_view engine) {
  PlanChecker(plan, weights_begin, weights_end, engine).run();
}

}  // namespace incipit
