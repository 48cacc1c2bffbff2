#include "compile/pack.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <future>
#include <mutex>
#include <span>

#include "base/finite.h"
#include "base/progress.h"
#include "graph/finite_constant.h"
#include "kernels/packing.h"
#include "tune/tuner.h"

namespace incipit {
namespace {

constexpr int64_t slab_bytes = int64_t{16} << 20;

/// Runs a body that may throw on the pool; the first exception is rethrown here.
template <typename F>
void parallel_or_throw(ThreadPool& pool, int64_t tiles, F&& body) {
  std::mutex mutex;
  std::exception_ptr first;
  pool.parallel_for(tiles, [&](int64_t tile, int) {
    try {
      body(tile);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!first) first = std::current_exception();
    }
  });
  if (first) std::rethrow_exception(first);
}

/// A weight format that refuses contents knows rows only; the weight has the name.
template <typename F>
void reading(const DraftWeight& weight, F&& body) {
  try {
    body();
  } catch (const Error& error) {
    if (!error.thing().starts_with("row ")) throw;
    throw Error(weight.name + ", " + error.thing(), error.fault(), error.remedy());
  }
}

/// Refuses NaN and infinities in what is written: those of the model's own tensors that reading let pass, and those
/// that were computed.
struct FiniteCheck {
  const DraftWeight& weight;
  bool allows_all;

  /// Rows of `width` values from `first_row` on.
  void operator()(DType dtype, const std::byte* values, size_t count, int64_t first_row, int64_t width) const {
    const size_t found = allows_all ? count : find_not_finite(dtype, values, count, NotFinite::any);
    if (found < count) throw_not_finite(weight.name, dtype, values, found, first_row, width);
  }
};

plan::PlaneT plane_of(PlaneRole role, DType dtype, uint64_t offset, uint64_t bytes) {
  return {{}, static_cast<plan::PlaneRole>(role), std::string(name_of(dtype)), offset, bytes};
}

/// Rows [first, first + count) of a weight's codes.
void read_codes(const DraftWeight& weight, int64_t first, int64_t count, std::byte* out, const FiniteCheck& check) {
  const Constant& values = *weight.values;
  const DType dtype = weight.format.codes;
  const int64_t width = values.row_elements();
  const auto elements = static_cast<size_t>(count * width);
  if (values.dtype() == dtype) {
    values.read(first, count, out);
    check(dtype, out, elements, first, width);
    return;
  }
  std::vector<float> floats(elements);
  values.read_floats(first, count, floats.data());
  check(DType::f32, std::as_bytes(std::span(floats)).data(), elements, first, width);
  convert_from_float(floats.data(), dtype, out, elements);
}

/// Reads the source rows of a packed panel, zeros for pads. `first_row`: of the weight, among those of all experts.
void read_panel(const DraftWeight& weight, const OutputOrder& order, int64_t panel, int64_t first_row, std::byte* rows,
                const FiniteCheck& check) {
  const int64_t width = weight.layout->panel;
  const auto row_bytes = static_cast<size_t>(weight.values->row_elements()) * size_of(weight.format.codes);
  int64_t run = 1;
  for (int64_t filled = 0; filled < width; filled += run) {
    const int64_t source = order.source_row(panel * width + filled);
    std::byte* const to = rows + static_cast<size_t>(filled) * row_bytes;
    run = 1;
    if (source < 0) {
      std::memset(to, 0, row_bytes);
      continue;
    }
    while (filled + run < width && order.source_row(panel * width + filled + run) == source + run) ++run;
    read_codes(weight, first_row + source, run, to, check);
  }
}

/// A plane that is small beside the codes, of all experts. Scales are found by reading the whole weight: by all
/// threads.
std::vector<std::byte> pack_small_plane(const DraftWeight& weight, const WeightPacker& packer, const PlaneShape& plane,
                                        const Constant& values, ThreadPool& pool, const FiniteCheck& check) {
  INCIPIT_ASSERT(values.dtype() == plane.dtype);
  constexpr int64_t rows_a_task = 64;
  const int64_t width = values.row_elements(), rows = values.rows();
  const size_t row_bytes = static_cast<size_t>(width) * size_of(plane.dtype);
  std::vector<std::byte> bytes(static_cast<size_t>(rows) * row_bytes), packed;
  const auto read_some = [&](int64_t task) {
    const int64_t first = task * rows_a_task;
    values.read(first, std::min(rows_a_task, rows - first), bytes.data() + static_cast<size_t>(first) * row_bytes);
  };
  reading(weight, [&] { parallel_or_throw(pool, (rows + rows_a_task - 1) / rows_a_task, read_some); });
  check(plane.dtype, bytes.data(), static_cast<size_t>(values.rows() * width), 0, width);
  const size_t an_expert = bytes.size() / static_cast<size_t>(weight.experts);
  for (size_t first = 0; first < bytes.size(); first += an_expert) {
    const std::vector<std::byte> one =
        packer.pack_plane(plane.role, plane.dtype, std::span(bytes).subspan(first, an_expert));
    packed.insert(packed.end(), one.begin(), one.end());
  }
  return packed;
}

std::vector<plan::PlaneT> write_dense(const DraftWeight& weight, EngineWriter& writer, ThreadPool& pool,
                                      const FiniteCheck& check, const std::function<void(int64_t)>& advance) {
  constexpr int64_t bytes_a_task = int64_t{256} << 10;
  const Constant& values = *weight.values;
  const int64_t row_bytes = values.row_elements() * static_cast<int64_t>(size_of(values.dtype()));
  const int64_t rows_a_slab = std::max<int64_t>(1, slab_bytes / std::max<int64_t>(1, row_bytes));
  const int64_t rows_a_task = std::max<int64_t>(1, bytes_a_task / std::max<int64_t>(1, row_bytes));
  std::vector<std::byte> slab(static_cast<size_t>(std::min(rows_a_slab, values.rows()) * row_bytes));
  const uint64_t offset = writer.align_weights();
  for (int64_t row = 0; row < values.rows(); row += rows_a_slab) {
    check_interrupt();
    const int64_t count = std::min(rows_a_slab, values.rows() - row);
    const auto read_some = [&](int64_t task) {
      const int64_t begin = task * rows_a_task, some = std::min(rows_a_task, count - begin);
      std::byte* const to = slab.data() + begin * row_bytes;
      values.read(row + begin, some, to);
      check(values.dtype(), to, static_cast<size_t>(some * values.row_elements()), row + begin, values.row_elements());
    };
    reading(weight, [&] { parallel_or_throw(pool, (count + rows_a_task - 1) / rows_a_task, read_some); });
    writer.append_weights(std::span(slab).first(static_cast<size_t>(count * row_bytes)));
    advance(count * row_bytes);
  }
  return {plane_of(PlaneRole::values, values.dtype(), offset, static_cast<uint64_t>(values.rows() * row_bytes))};
}

/// Writes the codes, panel by panel, and returns their sums where the layout has them.
std::vector<int32_t> write_codes(const DraftWeight& weight, const WeightPacker& packer, EngineWriter& writer,
                                 ThreadPool& pool, const FiniteCheck& check,
                                 const std::function<void(int64_t)>& advance) {
  constexpr int64_t least_rows = 16;  // that are worth a task
  const PackedShape shape = packer.shape();
  const int64_t panels = weight.experts * shape.panels, panel_rows = weight.layout->panel;
  const int64_t panels_a_task = std::max<int64_t>(1, least_rows / panel_rows);
  const int64_t panels_a_slab = std::max<int64_t>(1, slab_bytes / shape.panel_bytes);
  const auto row_bytes = static_cast<size_t>(weight.values->row_elements()) * size_of(weight.format.codes);
  std::array<std::vector<std::byte>, 2> slabs;  // one is written while the other is filled
  for (auto& slab : slabs) slab.resize(static_cast<size_t>(std::min(panels_a_slab, panels) * shape.panel_bytes));
  std::future<void> written;
  std::vector<int32_t> code_sums(static_cast<size_t>(panels * packer.sums_a_panel()));
  for (int64_t first = 0; first < panels; first += panels_a_slab) {
    check_interrupt();
    const int64_t count = std::min(panels_a_slab, panels - first);
    std::vector<std::byte>& slab = slabs[static_cast<size_t>(first / panels_a_slab % 2)];
    const auto pack_some = [&](int64_t task) {
      std::vector<std::byte> rows(static_cast<size_t>(panel_rows) * row_bytes);
      const int64_t end = std::min((task + 1) * panels_a_task, count);
      for (int64_t i = task * panels_a_task; i < end; ++i) {
        const int64_t panel = first + i;
        read_panel(weight, packer.order(), panel % shape.panels, panel / shape.panels * packer.order().n(), rows.data(),
                   check);
        packer.pack_panel(rows.data(), slab.data() + i * shape.panel_bytes,
                          code_sums.data() + panel * packer.sums_a_panel());
      }
    };
    reading(weight, [&] { parallel_or_throw(pool, (count + panels_a_task - 1) / panels_a_task, pack_some); });
    if (written.valid()) written.get();
    const auto bytes = std::span(slab).first(static_cast<size_t>(count * shape.panel_bytes));
    written = std::async(std::launch::async, [&writer, bytes] { writer.append_weights(bytes); });
    advance(count * shape.panel_bytes);
  }
  if (written.valid()) written.get();
  return code_sums;
}

std::vector<plan::PlaneT> write_packed(const DraftWeight& weight, EngineWriter& writer, ThreadPool& pool,
                                       const FiniteCheck& check, const std::function<void(int64_t)>& advance) {
  const WeightPacker packer(*weight.layout, weight.shape());
  std::vector<plan::PlaneT> planes;
  std::vector<int32_t> code_sums;
  for (const PlaneShape& plane : planes_of(*weight.layout, weight.shape(), weight.bias != nullptr)) {
    plan::PlaneT& written = planes.emplace_back(
        plane_of(plane.role, plane.dtype, 0, static_cast<uint64_t>(weight.experts * plane.bytes())));
    if (plane.role == PlaneRole::values || plane.role == PlaneRole::codes) {
      written.offset = writer.align_weights();
      code_sums = write_codes(weight, packer, writer, pool, check, advance);
      continue;
    }
    if (plane.role == PlaneRole::code_sums) {
      written.offset = writer.write_weights(std::as_bytes(std::span(code_sums)));
    } else {
      const ConstantPtr& values = plane.role == PlaneRole::scales        ? weight.scales
                                  : plane.role == PlaneRole::zero_points ? weight.zero_points
                                                                         : weight.bias;
      written.offset = writer.write_weights(pack_small_plane(weight, packer, plane, *values, pool, check));
    }
    advance(static_cast<int64_t>(written.bytes));
  }
  return planes;
}

std::vector<plan::WeightSourceT> sources_of(const Constant& values) {
  std::vector<plan::WeightSourceT> sources;
  for (const RowSource& source : values.sources(0, values.rows())) {
    sources.push_back({{},
                       source.tensor,
                       static_cast<uint64_t>(source.first),
                       unsigned32(source.rows),
                       static_cast<uint64_t>(source.row_step),
                       static_cast<uint64_t>(source.column_step),
                       source.gain});
  }
  return sources;
}

/// What a plan says of the rows that a layout pairs.
void set_pairing(plan::WeightT& weight, const RowPairs& pairs) {
  if (pairs == gate_and_up(weight.rows, false)) return;
  if (pairs == gate_and_up(weight.rows, true)) {
    weight.pairing = plan::Pairing::gate_up;
    return;
  }
  weight.pairing = pairs.neighbours ? plan::Pairing::rotary_neighbours : plan::Pairing::rotary_halves;
  weight.pair_rows = unsigned32(pairs.group_rows());
  weight.pair_half = unsigned32(pairs.half);
  weight.first_paired = unsigned32(pairs.first);
  weight.paired_rows = unsigned32(pairs.groups * pairs.group_rows());
}

uint64_t bytes_of(const DraftWeight& weight) {
  if (weight.dense) {
    return static_cast<uint64_t>(element_count(weight.values->shape())) * size_of(weight.values->dtype());
  }
  int64_t bytes = 0;
  for (const PlaneShape& plane : planes_of(*weight.layout, weight.shape(), weight.bias != nullptr)) {
    bytes += weight.experts * plane.bytes();
  }
  return static_cast<uint64_t>(bytes);
}

}  // namespace

void choose_layouts(PlanDraft& draft, const Target& target) {
  std::vector<std::vector<const WeightLayout*>> shared(draft.weights.size());  // that all steps of a weight can read
  std::vector<bool> is_read(draft.weights.size());
  for (const plan::StepT& step : draft.plan.steps) {
    for (const plan::OperandT& input : step.inputs) {
      if (input.space != plan::Space::weight || draft.weights[input.index].dense) continue;
      const std::vector<const WeightLayout*> own = layouts_read(step.problem, target);
      std::vector<const WeightLayout*>& of_weight = shared[input.index];
      if (!is_read[input.index]) of_weight = own;
      is_read[input.index] = true;
      std::erase_if(of_weight, [&](const auto* layout) { return std::ranges::find(own, layout) == own.end(); });
      if (!of_weight.empty()) continue;
      throw Error(step.problem, "no kernel reads the layout that other steps of its weight read", "this is a bug");
    }
  }
  for (size_t i = 0; i < draft.weights.size(); ++i) {
    if (is_read[i]) draft.weights[i].layout = shared[i].front();
  }
}

uint64_t weight_bytes(const PlanDraft& draft) {
  uint64_t bytes = 0;
  for (const DraftWeight& weight : draft.weights) bytes += bytes_of(weight);
  for (const DraftWeight& constant : draft.constants) bytes += bytes_of(constant);
  return bytes;
}

plan::WeightT write_weight(const DraftWeight& weight, EngineWriter& writer, ThreadPool& pool, bool allow_non_finite,
                           const std::function<void(int64_t)>& advance) {
  const FiniteCheck check{weight, allow_non_finite};
  const Shape& shape = weight.values->shape();
  plan::WeightT written;
  written.name = weight.name;
  written.layout = weight.dense ? "dense" : weight.layout->name;
  written.format = weight.dense ? std::string(name_of(weight.values->dtype())) : to_text(weight.format);
  written.rows = unsigned32(shape.empty() ? 1 : shape[0] / weight.experts);
  written.columns = unsigned32(shape.size() < 2 ? 1 : shape[1]);
  set_pairing(written, weight.pairs);
  if (!weight.dense) {
    const WeightShape::Blocks blocks = weight.shape().scale_blocks();
    written.block_rows = unsigned32(blocks.rows);
    written.block_columns = unsigned32(blocks.columns);
  }
  written.experts = unsigned32(weight.experts);
  written.sources = sources_of(*weight.values);
  written.planes = weight.dense ? write_dense(weight, writer, pool, check, advance)
                                : write_packed(weight, writer, pool, check, advance);
  return written;
}

}  // namespace incipit
