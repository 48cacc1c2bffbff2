// A step's operands, read in the family's order and held against what the problem asks for.
//
//   family            inputs                                                  outputs
//   embedding         ids, positions or row_positions; table (dense)          buffer
//   packed_embedding  ids, table (packed)                                     buffer
//   linear            buffer [, scales when i8], weight (packed) , residual?  buffer, unless all go to the cache
//                       [, cache, table? when it writes keys and values]
//                       [, buffer, when the first is a norm of it]
//   rms_norm          buffer, addend?, gain (dense)?                          norm [, scales when i8] [, sum]
//   layer_norm        buffer, gain (dense)?, bias (dense)?                    norm [, scales when i8]
//   quantize_rows     buffer                                                  codes, scales
//   elementwise       buffer, second (dense when row_vector)?                 buffer
//   gather_rows       buffer of tokens, rows                                  buffer of rows
//   rotary_table      positions or row_positions, frequencies (dense)         buffer
//   rotary            buffer, table                                           buffer
//   kv_write          keys, values, cache, table?                             none
//   attention         queries, cache, table?, slopes (dense)?, sinks (dense)? buffer
//   router            logits, correction (dense)?                             experts, their weights
//   expert_linear     buffer [, scales when i8], experts, weight (packed)     buffer
//   weighted_sum      buffer, weights, residual?                              buffer
//   resolve_tokens, sample: none
//
// `?` marks an operand that may be absent. A packed weight has the planes that its format and layout say
// (kernels/weight_layout.h), and a bias when the problem has one. The values of a buffer of width 1 (scales of
// activations) lie one after another, not a row stride apart: kernels take them as vectors. A buffer operand may be a
// column view; GEMM inputs are whole buffers.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/dtype.h"
#include "engine/plan_generated.h"
#include "kernels/layout.h"
#include "kernels/weight_layout.h"
#include "runtime/step.h"

namespace incipit {

/// Columns of an arena buffer.
struct BufferView {
  int32_t buffer = -1;  // -1: absent
  int64_t first_byte = 0;
  int64_t stride = 0;  // elements
  bool whole = false;  // all columns: its padding is the operand's too

  std::byte* data(const StepView& view) const {
    return buffer < 0 ? nullptr : view.arena + view.offsets[buffer] + first_byte;
  }
  template <typename T>
  T* data_as(const StepView& view) const {
    return reinterpret_cast<T*>(data(view));
  }
};

/// A layer of a cache group.
struct CacheView {
  int32_t group = 0;
  int64_t layer_offset = 0;

  PagedCache cache(const StepView& view) const {
    const GroupView& pages = view.groups[group];
    return {pages.pool, pages.page_bytes, layer_offset, pages.page_tables, pages.table_stride, pages.pages};
  }
};

struct PackedView {
  PackedWeight weight;
  const float* bias = nullptr;
};

/// Each call reads the next operand, or throws Error naming step and operand.
class StepOperands {
 public:
  explicit StepOperands(const StepSource& source) : source_(source) {}

  /// A buffer on the step's axis, `width` columns of it.
  BufferView input(std::string_view role, DType dtype, int64_t width);
  /// The same when `expected`, else an absent operand.
  BufferView input_if(bool expected, std::string_view role, DType dtype, int64_t width);
  /// A whole buffer: its rows are zero-padded.
  BufferView whole_input(std::string_view role, DType dtype, int64_t width);
  /// A buffer of tokens whatever the step's axis.
  BufferView token_input(std::string_view role, DType dtype, int64_t width);
  /// The cosines and sines that rotate heads; absent when there are no pairs.
  BufferView rotary_table_input(int64_t pairs, int64_t head_dim);
  void input_space(std::string_view role, plan::Space space);
  /// The space of the next input, which stays to be read.
  plan::Space next_space() const;
  /// `values` elements of a dense weight; null when not `expected`.
  const std::byte* dense_input_if(bool expected, std::string_view role, DType dtype, int64_t values);
  const std::byte* dense_input(std::string_view role, DType dtype, int64_t values) {
    return dense_input_if(true, role, dtype, values);
  }
  const float* floats_if(bool expected, std::string_view role, int64_t values) {
    return reinterpret_cast<const float*>(dense_input_if(expected, role, DType::f32, values));
  }
  /// Without `bias` the view has none. Several experts lie one after the other in every plane.
  PackedView packed_input(std::string_view role, const WeightShape& shape, bool bias, int64_t experts = 1);
  /// Of the packed weight that was read; null: there was none.
  const WeightLayout* weight_layout() const { return layout_; }
  /// A layer of a group of this geometry.
  CacheView cache_input(std::string_view role, const KvGeometry& geometry);
  void absent_input(std::string_view role);

  BufferView output(std::string_view role, DType dtype, int64_t width);
  BufferView output_if(bool expected, std::string_view role, DType dtype, int64_t width);

  /// The axis of the step's rows.
  plan::Axis axis() const { return source_.step.axis(); }
  /// The plan's logits.
  BufferView logits() const;

  void require_axis(plan::Axis axis) const;
  /// The plan's vocabulary: any token id below it may come.
  void require_vocabulary(int32_t vocabulary) const;
  /// A table of `rows` rows has one for every position that a sequence may have.
  void require_positions(int32_t rows) const;
  /// The group's pages reach back at least `window` tokens (0: all).
  void require_window(const CacheView& cache, int32_t window) const;
  /// Something that the problem's text says is impossible.
  void require(bool condition, std::string_view fault) const;
  /// Every operand must have been read.
  void finish() const;

 private:
  const plan::Operand& next_input(std::string_view role);
  /// A weight that is whole: not one rank's part of it.
  const plan::Weight& weight_input(std::string_view role);
  BufferView buffer_view(std::string_view role, const plan::Operand& operand, plan::Axis axis, DType dtype,
                         int64_t width) const;
  const std::byte* plane(std::string_view role, const plan::Weight& weight, plan::PlaneRole plane_role, DType dtype,
                         int64_t bytes) const;
  [[noreturn]] void fail(std::string_view fault) const;

  const StepSource& source_;
  uint32_t inputs_read_ = 0, outputs_read_ = 0;
  const WeightLayout* layout_ = nullptr;
};

}  // namespace incipit
