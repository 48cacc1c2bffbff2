#include "compile/pack.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <mutex>
#include <span>

#include "base/finite.h"
#include "base/progress.h"
#include "graph/finite_constant.h"
#include "kernels/packing.h"

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
  void operator()(std::span<const float> values, int64_t first_row, int64_t width) const {
    (*this)(DType::f32, std::as_bytes(values).data(), values.size(), first_row, width);
  }
};

PackedShape shape_of(const DraftWeight& weight) {
  return packed_shape(weight.format, weight.values->shape().at(0) / weight.experts, weight.values->shape().at(1),
                      weight.gated);
}

/// Reads the source rows of a packed panel, zeros for pads.
template <typename T, typename Read>
void read_panel(const PanelOrder& order, int64_t panel, int64_t k, T* rows, const Read& read) {
  int64_t filled = 0;
  while (filled < panel_width) {
    const int64_t source = order.source_row(panel * panel_width + filled);
    if (source < 0) {
      std::fill_n(rows + filled * k, k, T{});
      ++filled;
      continue;
    }
    int64_t run = 1;
    while (filled + run < panel_width && order.source_row(panel * panel_width + filled + run) == source + run) ++run;
    read(source, run, rows + filled * k);
    filled += run;
  }
}

plan::PlaneT plane_of(plan::PlaneRole role, DType dtype, uint64_t offset, uint64_t bytes) {
  return {{}, role, std::string(name_of(dtype)), offset, bytes};
}

plan::PlaneT write_outputs(EngineWriter& writer, plan::PlaneRole role, const PanelOrder& order, const Constant& values,
                           const FiniteCheck& check) {
  std::vector<float> floats(static_cast<size_t>(values.rows()));
  values.read_floats(0, values.rows(), floats.data());
  check(floats, 0, 1);
  std::vector<float> packed;
  for (size_t first = 0; first < floats.size(); first += static_cast<size_t>(order.n)) {  // of every expert
    const std::vector<float> one = pack_outputs(order, std::span(floats).subspan(first, static_cast<size_t>(order.n)));
    packed.insert(packed.end(), one.begin(), one.end());
  }
  const auto bytes = std::as_bytes(std::span(packed));
  return plane_of(role, DType::f32, writer.write_weights(bytes), bytes.size());
}

std::vector<plan::PlaneT> write_dense(const DraftWeight& weight, EngineWriter& writer, const FiniteCheck& check,
                                      const std::function<void(int64_t)>& advance) {
  const Constant& values = *weight.values;
  const int64_t row_bytes = values.row_elements() * static_cast<int64_t>(size_of(values.dtype()));
  const int64_t rows_a_slab = std::max<int64_t>(1, slab_bytes / std::max<int64_t>(1, row_bytes));
  std::vector<std::byte> slab(static_cast<size_t>(std::min(rows_a_slab, values.rows()) * row_bytes));
  const uint64_t offset = writer.align_weights();
  for (int64_t row = 0; row < values.rows(); row += rows_a_slab) {
    check_interrupt();
    const int64_t count = std::min(rows_a_slab, values.rows() - row);
    reading(weight, [&] { values.read(row, count, slab.data()); });
    check(values.dtype(), slab.data(), static_cast<size_t>(count * values.row_elements()), row, values.row_elements());
    writer.append_weights(std::span(slab).first(static_cast<size_t>(count * row_bytes)));
    advance(count * row_bytes);
  }
  return {plane_of(plan::PlaneRole::values, values.dtype(), offset, static_cast<uint64_t>(values.rows() * row_bytes))};
}

std::vector<plan::PlaneT> write_panels(const DraftWeight& weight, EngineWriter& writer, ThreadPool& pool,
                                       const FiniteCheck& check, const std::function<void(int64_t)>& advance) {
  const Constant& values = *weight.values;
  const int64_t n = values.shape().at(0) / weight.experts, k = values.shape().at(1);
  const PanelPacker packer(weight.format, n, k, weight.gated);
  const PackedShape shape = packer.shape();
  const bool coded = weight.format == WeightFormat::i8;
  const int64_t panels = weight.experts * shape.panels;
  const int64_t panels_a_slab = std::max<int64_t>(1, slab_bytes / shape.panel_bytes);
  std::vector<std::byte> slab(static_cast<size_t>(std::min(panels_a_slab, panels) * shape.panel_bytes));
  std::vector<int32_t> code_sums(coded ? static_cast<size_t>(panels * panel_width) : 0);

  std::vector<plan::PlaneT> planes;
  planes.push_back(plane_of(coded ? plan::PlaneRole::codes : plan::PlaneRole::values, element_dtype(weight.format),
                            writer.align_weights(), static_cast<uint64_t>(panels * shape.panel_bytes)));
  for (int64_t first = 0; first < panels; first += panels_a_slab) {
    check_interrupt();
    const int64_t count = std::min(panels_a_slab, panels - first);
    const auto pack_one = [&](int64_t i) {
      const int64_t panel = first + i;
      const int64_t expert_row = panel / shape.panels * n;  // the expert's first
      std::byte* out = slab.data() + i * shape.panel_bytes;
      if (coded) {
        std::vector<int8_t> rows(static_cast<size_t>(panel_width * k));
        read_panel(packer.order(), panel % shape.panels, k, rows.data(), [&](int64_t row, int64_t run, int8_t* target) {
          values.read(expert_row + row, run, reinterpret_cast<std::byte*>(target));
        });
        packer.pack_panel_codes(rows.data(), out, code_sums.data() + panel * panel_width);
      } else {
        std::vector<float> rows(static_cast<size_t>(panel_width * k));
        read_panel(packer.order(), panel % shape.panels, k, rows.data(), [&](int64_t row, int64_t run, float* target) {
          values.read_floats(expert_row + row, run, target);
          check(std::span(target, static_cast<size_t>(run * k)), expert_row + row, k);
        });
        packer.pack_panel(rows.data(), out);
      }
    };
    reading(weight, [&] { parallel_or_throw(pool, count, pack_one); });
    writer.append_weights(std::span(slab).first(static_cast<size_t>(count * shape.panel_bytes)));
    advance(count * shape.panel_bytes);
  }
  if (coded) {
    planes.push_back(write_outputs(writer, plan::PlaneRole::scales, packer.order(), *weight.scales, check));
    const auto bytes = std::as_bytes(std::span(code_sums));
    planes.push_back(plane_of(plan::PlaneRole::code_sums, DType::i32, writer.write_weights(bytes), bytes.size()));
  }
  if (weight.bias) planes.push_back(write_outputs(writer, plan::PlaneRole::bias, packer.order(), *weight.bias, check));
  for (const plan::PlaneT& plane : std::span(planes).subspan(1)) advance(static_cast<int64_t>(plane.bytes));
  return planes;
}

uint64_t bytes_of(const DraftWeight& weight) {
  if (!weight.dense) {
    const PackedShape shape = shape_of(weight);
    // Beside the panels: scales and sums of codes, and the bias, f32 or i32 each.
    const int64_t output_planes = (weight.format == WeightFormat::i8 ? 2 : 0) + (weight.bias ? 1 : 0);
    return static_cast<uint64_t>(weight.experts * (shape.bytes() + output_planes * shape.panels * panel_width * 4));
  }
  return static_cast<uint64_t>(element_count(weight.values->shape())) * size_of(weight.values->dtype());
}

}  // namespace

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
  written.layout = weight.dense ? "dense" : panel_layout;
  written.format = weight.dense ? name_of(weight.values->dtype()) : name_of(weight.format);
  written.rows = unsigned32(shape.empty() ? 1 : shape[0] / weight.experts);
  written.columns = unsigned32(shape.size() < 2 ? 1 : shape[1]);
  written.pairing = weight.gated ? plan::Pairing::gate_up : plan::Pairing::none;
  if (weight.scales != nullptr) written.block_rows = 1;  // a scale an output
  written.experts = unsigned32(weight.experts);
  written.planes =
      weight.dense ? write_dense(weight, writer, check, advance) : write_panels(weight, writer, pool, check, advance);
  return written;
}

}  // namespace incipit
