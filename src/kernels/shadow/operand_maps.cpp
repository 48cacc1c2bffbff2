#include "kernels/shadow/operand_maps.h"

#include <algorithm>

namespace incipit {
namespace {

/// The weights of `count` products, one after the other.
TensorMap weight_map(const WeightShape& weight, const PackedWeight& planes, int64_t count) {
  const PackedShape shape = packed_shape(k_major8, weight);
  const WeightFormat& format = weight.format;
  if (format.four_bits) {
    return rows_map("weight", planes.codes, DType::u8, count * shape.panels, shape.panel_bytes, shape.panel_bytes);
  }
  return rows_map("weight", planes.codes, format.codes, count * shape.panels, weight.k, shape.padded_k);
}

/// Keys, or values, of one layer: [page][head][token][dim].
TensorMap pages_map(std::string_view operand, const KvGeometry& geometry, const PagedCache& cache, int64_t first_byte) {
  const int64_t element = geometry.element_bytes();
  TensorMap map{operand, cache.pool + cache.layer_offset + first_byte, geometry.dtype, 4, {}, {}, {}};
  map.extents = {geometry.head_dim, geometry.tokens, geometry.kv_heads, std::max(cache.pages, 1)};
  map.strides = {element, geometry.head_dim * element, geometry.head_bytes(), cache.page_bytes};
  map.box = {std::min(geometry.head_dim, static_cast<int32_t>(128 / element)), geometry.tokens, 1, 1};
  return map;
}

}  // namespace

std::vector<TensorMap> operand_maps(const Linear::Problem& problem, const Linear::Args& args, int32_t rows) {
  return {
      rows_map("input", args.input, problem.input, rows + rows_behind(Backend::shadow), problem.k, args.input_stride),
      weight_map(problem.weight(), args.weight, 1)};
}

std::vector<TensorMap> operand_maps(const ExpertLinear::Problem& problem, const ExpertLinear::Args& args, int32_t) {
  // Rows of the input are gathered.
  return {weight_map(problem.weight(), args.weight, problem.experts)};
}

std::vector<TensorMap> operand_maps(const Attention::Problem& problem, const Attention::Args& args, int32_t rows) {
  const KvGeometry geometry = problem.geometry();
  return {
      rows_map("query", args.query, problem.query, rows, int64_t{problem.heads} * problem.head_dim, args.query_stride),
      pages_map("keys", geometry, args.cache, 0), pages_map("values", geometry, args.cache, geometry.half_bytes())};
}

}  // namespace incipit
