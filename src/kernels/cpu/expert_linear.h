// The experts' products (ExpertLinear), over any kernel of Linear: there is one product, whatever it is for.
//
// A tile is one expert and a group of its packed panels: itself a weight of Linear. It gathers the input rows that
// chose the expert, a block at a time, lets the linear kernel multiply them and writes the results to their slots. A
// tile that finds no such row ends without a look at the weight. A row's result is the linear kernel's, which does not
// depend on the rows beside it.
#pragma once

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>

#include "kernels/cpu/linear_tiles.h"
#include "kernels/expert_weight.h"
#include "kernels/families.h"
#include "kernels/kernel.h"

namespace incipit {

/// The product of one tile.
struct ExpertTile {
  int32_t expert;
  int32_t first_panel, panels;
  int64_t first_column;  // of the slot's outputs
  Linear::Problem product;
};

inline int32_t expert_panel_groups(const ExpertLinear::Problem& problem, const KernelConfig& config) {
  const PackedShape shape = packed_shape(panel16, problem.weight());
  return static_cast<int32_t>((shape.panels + config.values[1] - 1) / config.values[1]);
}

/// Tile `tile` in the order of the weights.
inline ExpertTile expert_tile(const ExpertLinear::Problem& problem, const KernelConfig& config, int64_t tile) {
  const PackedShape shape = packed_shape(panel16, problem.weight());
  const int32_t groups = expert_panel_groups(problem, config);
  ExpertTile share;
  share.expert = static_cast<int32_t>(tile / groups);
  share.first_panel = static_cast<int32_t>(tile % groups) * config.values[1];
  share.panels = std::min(config.values[1], static_cast<int32_t>(shape.panels) - share.first_panel);
  const int32_t halves = is_gated(problem.activation) ? 2 : 1;  // gate and up panels alternate
  share.first_column = int64_t{share.first_panel / halves} * panel_width;
  const auto columns =
      std::min<int64_t>(int64_t{share.panels / halves} * panel_width, problem.output_width() - share.first_column);
  share.product = {static_cast<int32_t>(columns) * halves,
                   problem.k,
                   problem.format,
                   problem.input,
                   problem.output,
                   problem.bias,
                   false,
                   problem.activation};
  return share;
}

/// Offsets within a worker's scratch, for blocks of `rows` rows.
struct ExpertScratch {
  int64_t rows, input_stride, output_stride;  // strides in elements
  size_t slots, scales, input, output, product, bytes;

  ExpertScratch(const ExpertLinear::Problem& problem, const KernelConfig& config, size_t product_bytes)
      : rows(config.values[0]),
        input_stride(row_stride(problem.k)),
        output_stride(std::min<int64_t>(config.values[1] * panel_width, row_stride(problem.output_width()))) {
    size_t end = 0;
    const auto place = [&](int64_t size) {
      const size_t begin = end;
      end += static_cast<size_t>(round_up(size, 64));
      return begin;
    };
    slots = place(rows * 4);
    scales = place(problem.input == DType::i8 ? rows * 4 : 0);
    input = place(rows * input_stride * static_cast<int64_t>(size_of(problem.input)));
    output = place(rows * output_stride * static_cast<int64_t>(size_of(problem.output)));
    product = place(std::max<int64_t>(static_cast<int64_t>(product_bytes), scratch_memory_bytes));
    bytes = end;
  }
};

/// Copies the input of slot `slot` (counted over all rows) to row `at` of a block, zeros behind it.
inline void gather_slot(const ExpertLinear::Problem& problem, const ExpertLinear::Args& args, int32_t slot, int64_t at,
                        const ExpertScratch& scratch, std::byte* memory) {
  const int64_t row = slot / problem.top_k, input_slot = problem.shared ? 0 : slot % problem.top_k;
  const auto element = static_cast<int64_t>(size_of(problem.input));
  std::byte* to = memory + scratch.input + static_cast<size_t>(at * scratch.input_stride * element);
  const int64_t bytes = problem.k * element;
  std::memcpy(to, args.input + (row * args.input_stride + input_slot * problem.k) * element,
              static_cast<size_t>(bytes));
  std::memset(to + bytes, 0, static_cast<size_t>(scratch.input_stride * element - bytes));
  if (problem.input == DType::i8) {
    reinterpret_cast<float*>(memory + scratch.scales)[at] =
        args.input_scales[row * args.input_scale_stride + (problem.slot_scales ? slot % problem.top_k : 0)];
  }
}

/// The columns of the rows' padding, written with the last tile.
inline void pad_expert_rows(const ExpertLinear::Problem& problem, const ExpertLinear::Args& args) {
  const auto element = static_cast<int64_t>(size_of(problem.output));
  const int64_t width = problem.slots_width(), end = std::min(row_stride(width), args.output_stride);
  for (int64_t row = 0; row < args.rows && end > width; ++row) {
    std::memset(args.output + (row * args.output_stride + width) * element, 0,
                static_cast<size_t>((end - width) * element));
  }
}

inline void run_expert_tile(const Kernel<Linear>& linear, const ExpertLinear::Problem& problem,
                            const ExpertLinear::Args& args, const KernelConfig& config, int64_t tile,
                            std::byte* memory) {
  const ExpertTile share = expert_tile(problem, config, tile);
  const PackedShape shape = packed_shape(panel16, problem.weight());
  const ExpertScratch scratch(problem, config, 0);
  auto* slots = reinterpret_cast<int32_t*>(memory + scratch.slots);
  const auto element = static_cast<int64_t>(size_of(problem.output));
  const int64_t columns = share.product.output_width();

  Linear::Args product{};
  product.input = memory + scratch.input;
  product.input_stride = scratch.input_stride;
  product.input_scales = reinterpret_cast<const float*>(memory + scratch.scales);
  product.output = memory + scratch.output;
  product.output_stride = scratch.output_stride;
  product.weight = expert_weight(args.weight, panel16, problem.weight(), share.expert);
  product.weight.codes += share.first_panel * shape.panel_bytes;
  const int64_t first_block = share.first_panel * panel_width * problem.format.blocks_of_k(problem.k);
  const auto move_to_block = [&](const std::byte*& plane, const std::optional<DType>& dtype) {
    if (plane != nullptr && dtype) plane += first_block * static_cast<int64_t>(size_of(*dtype));
  };
  move_to_block(product.weight.scales, problem.format.scales);
  move_to_block(product.weight.zero_points, problem.format.zero_points);
  if (product.weight.code_sums != nullptr) product.weight.code_sums += first_block;
  product.bias = expert_bias(args.bias, panel16, problem.weight(), share.expert);
  if (product.bias != nullptr) product.bias += share.first_panel * panel_width;

  const auto multiply = [&] {
    begin_step(memory + scratch.product, scratch_memory_bytes);
    linear.processor.run(share.product, product, config, 0, memory + scratch.product);
    for (int64_t i = 0; i < product.rows; ++i) {
      const int64_t row = slots[i] / problem.top_k, slot = slots[i] % problem.top_k;
      std::memcpy(
          args.output + (row * args.output_stride + slot * problem.output_width() + share.first_column) * element,
          memory + scratch.output + i * scratch.output_stride * element, static_cast<size_t>(columns * element));
    }
    product.rows = 0;
  };
  for (int32_t row = 0; row < args.rows; ++row) {
    const int32_t* chosen = args.expert + row * args.expert_stride;
    for (int32_t slot = 0; slot < problem.top_k; ++slot) {
      if (chosen[slot] != share.expert) continue;
      slots[product.rows] = row * problem.top_k + slot;
      gather_slot(problem, args, slots[product.rows], product.rows, scratch, memory);
      if (++product.rows == scratch.rows) multiply();
    }
  }
  if (product.rows > 0) multiply();
  if (args.pad_output && tile == int64_t{problem.experts} * expert_panel_groups(problem, config) - 1) {
    pad_expert_rows(problem, args);
  }
}

/// "expert_linear/avx512_bf16" over "linear/avx512_bf16": with its configurations, needs and ABI.
template <Kernel<Linear> (*make_linear)()>
Kernel<ExpertLinear> expert_linear() {
  static const Kernel<Linear> linear = make_linear();
  static const std::string name = "expert_" + std::string(linear.name);
  Kernel<ExpertLinear> kernel;
  kernel.name = name;
  kernel.abi = linear.abi + 1;
  kernel.needs = linear.needs;
  kernel.accepts = [](const ExpertLinear::Problem& p) {
    return p.experts > 0 && p.top_k > 0 && p.n > 0 && p.k > 0 && int64_t{p.top_k} * p.n <= INT32_MAX &&
           int64_t{p.top_k} * p.k <= INT32_MAX && (!p.slot_scales || (!p.shared && p.input == DType::i8)) &&
           p.input == p.format.activation &&
           linear.accepts({p.n, p.k, p.format, p.input, p.output, p.bias, false, p.activation});
  };
  kernel.configs = linear.configs;
  kernel.layout = linear.layout;
  kernel.processor.scratch_bytes = [](const ExpertLinear::Problem& p, const KernelConfig& config, int32_t) {
    const size_t product = linear.processor.scratch_bytes(expert_tile(p, config, 0).product, config, config.values[0]);
    return ExpertScratch(p, config, product).bytes;
  };
  kernel.processor.tiles = [](const ExpertLinear::Problem& p, const ExpertLinear::Args& args,
                              const KernelConfig& config) {
    return args.rows == 0 ? int64_t{0} : int64_t{p.experts} * expert_panel_groups(p, config);
  };
  kernel.processor.run = [](const ExpertLinear::Problem& p, const ExpertLinear::Args& args, const KernelConfig& config,
                            int64_t tile,
                            std::byte* scratch) { run_expert_tile(linear, p, args, config, tile, scratch); };
  return kernel;
}

}  // namespace incipit
