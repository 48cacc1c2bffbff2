// Rows picked by number: embeddings and gathered rows.
#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gather.cpp"
#include "hwy/foreach_target.h"
//
#include "kernels/cpu/highway_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace incipit {
namespace HWY_NAMESPACE {

template <typename T>
void embed_rows(const Embedding::Problem& problem, const Embedding::Args& args, RowRange range) {
  const auto n = static_cast<int64_t>(float_lanes());
  const auto scale = hn::Set(FloatTag(), problem.scale);
  for (int64_t row = range.begin; row < range.end; ++row) {
    const T* from = reinterpret_cast<const T*>(args.table) + int64_t{args.ids[row]} * problem.width;
    float* to = reinterpret_cast<float*>(args.output) + row * args.output_stride;
    int64_t i = 0;
    for (; i + n <= problem.width; i += n) store_floats(hn::Mul(load_floats(from + i), scale), to + i);
    if (i < problem.width) {
      const auto rest = static_cast<size_t>(problem.width - i);
      store_some(hn::Mul(load_some(from + i, rest), scale), to + i, rest);
    }
    if (args.pad_output) zero_padding(to, problem.width, args.output_stride);
  }
}

void run_embedding(const Embedding::Problem& problem, const Embedding::Args& args, const KernelConfig&, int64_t tile,
                   std::byte*) {
  const RowRange range = rows_of_tile(problem.width, args.rows, tile);
  switch (problem.table) {
    case DType::bf16: return embed_rows<bf16>(problem, args, range);
    case DType::f16: return embed_rows<f16>(problem, args, range);
    default: return embed_rows<float>(problem, args, range);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace incipit
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace incipit {
namespace {

/// One row of a panel, element by element: it lies strewn over 64-byte rows, so vectors would not help.
template <typename T, int64_t group, typename Convert>
void unpack_row(const T* panel, int64_t lane, int64_t width, float* to, Convert convert) {
  const T* from = panel + lane * group;
  for (int64_t i = 0; i < width; i += group, from += panel_width * group) {
    for (int64_t j = 0; j < group && i + j < width; ++j) to[i + j] = convert(from[j]);
  }
}

void run_packed_embedding(const PackedEmbedding::Problem& problem, const PackedEmbedding::Args& args,
                          const KernelConfig&, int64_t tile, std::byte*) {
  const PackedShape shape = packed_shape(panel16, problem.weight());
  const RowRange range = rows_of_tile(problem.width, args.rows, tile);
  const float scale = problem.scale;
  for (int64_t row = range.begin; row < range.end; ++row) {
    const int64_t id = args.ids[row], lane = id % panel_width;
    const std::byte* panel = args.table.codes + id / panel_width * shape.panel_bytes;
    float* to = args.output + row * args.output_stride;
    switch (problem.format.codes) {
      case DType::f32:
        unpack_row<float, 1>(reinterpret_cast<const float*>(panel), lane, problem.width, to,
                             [=](float x) { return x * scale; });
        break;
      case DType::bf16:
        unpack_row<bf16, 2>(reinterpret_cast<const bf16*>(panel), lane, problem.width, to,
                            [=](bf16 x) { return to_float(x) * scale; });
        break;
      case DType::f16:
        unpack_row<f16, 1>(reinterpret_cast<const f16*>(panel), lane, problem.width, to,
                           [=](f16 x) { return to_float(x) * scale; });
        break;
      default:
        unpack_row<int8_t, 4>(reinterpret_cast<const int8_t*>(panel), lane, problem.width, to,
                              [=, unit = args.table.f32_scales()[id]](int8_t x) { return x * unit * scale; });
        break;
    }
    if (args.pad_output) zero_padding(to, problem.width, args.output_stride);
  }
}

void run_gather_rows(const GatherRows::Problem& problem, const GatherRows::Args& args, const KernelConfig&,
                     int64_t tile, std::byte*) {
  const auto size = static_cast<int64_t>(size_of(problem.dtype));
  const RowRange range = rows_of_tile(problem.width, args.rows, tile);
  for (int64_t row = range.begin; row < range.end; ++row) {
    std::byte* to = args.output + row * args.output_stride * size;
    std::memcpy(to, args.input + args.index[row] * args.input_stride * size, static_cast<size_t>(problem.width * size));
    const int64_t end = std::min(row_stride(problem.width), args.output_stride);
    if (args.pad_output && end > problem.width) {
      std::memset(to + problem.width * size, 0, static_cast<size_t>((end - problem.width) * size));
    }
  }
}

}  // namespace

Kernel<Embedding> embedding_highway(HighwayTarget target) {
  static constexpr std::string_view names[] = {"embedding/hwy_baseline", "embedding/hwy_avx2", "embedding/hwy_avx3"};
  constexpr HighwayRuns<Embedding> runs = INCIPIT_HIGHWAY_RUNS(run_embedding);
  const auto accepts = [](const Embedding::Problem& p) {
    return p.width > 0 && (is_row_dtype(p.table) || p.table == DType::f16) && p.output == DType::f32;
  };
  const auto tiles = [](const Embedding::Problem& p, const Embedding::Args& args, const KernelConfig&) {
    return row_tiles(p.width, args.rows);
  };
  const auto i = static_cast<size_t>(target);
  return {names[i], 1, highway_needs(target), accepts, plain_config, {no_scratch_needed<Embedding>, tiles, runs[i]}};
}

Kernel<PackedEmbedding> packed_embedding_generic() {
  const auto accepts = [](const PackedEmbedding::Problem& p) {
    return p.width > 0 && (p.format == WeightFormat::f32 || p.format == WeightFormat::bf16 ||
                           p.format == WeightFormat::f16 || p.format == WeightFormat::i8);
  };
  const auto tiles = [](const PackedEmbedding::Problem& p, const PackedEmbedding::Args& args, const KernelConfig&) {
    return row_tiles(p.width, args.rows);
  };
  return {"packed_embedding/generic",
          1,
          {},
          accepts,
          plain_config,
          {no_scratch_needed<PackedEmbedding>, tiles, run_packed_embedding},
          nullptr,
          &panel16};
}

Kernel<GatherRows> gather_rows_generic() {
  const auto accepts = [](const GatherRows::Problem& p) { return p.width > 0; };
  const auto tiles = [](const GatherRows::Problem& p, const GatherRows::Args& args, const KernelConfig&) {
    return row_tiles(p.width, args.rows);
  };
  return {"gather_rows/generic", 1, {}, accepts, plain_config, {no_scratch_needed<GatherRows>, tiles, run_gather_rows}};
}

}  // namespace incipit
#endif
