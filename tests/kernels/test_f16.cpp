// f16 at its edges, in every kernel that stores or widens it: subnormals, the largest, infinities, NaNs.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "kernel_checks.h"
#include "kernels/families.h"

namespace incipit {
namespace {

template <typename Family, typename Body>
void for_each_kernel_here(const typename Family::Problem& problem, Body&& body) {
  for (const Kernel<Family>& kernel : Family::kernels()) {
    if (kernel.accepts(problem) && this_machine().includes(kernel.needs)) body(kernel);
  }
}

TEST(F16, EmbeddingsWidenEveryValue) {
  const Embedding::Problem problem{1024, 64, DType::f16, DType::f32, 1};
  std::vector<uint16_t> table(1024 * 64);
  std::iota(table.begin(), table.end(), uint16_t{0});
  std::vector<int32_t> ids(1024);
  std::iota(ids.begin(), ids.end(), 0);
  for_each_kernel_here<Embedding>(problem, [&](const Kernel<Embedding>& kernel) {
    std::vector<float> rows(table.size(), -1);
    const Embedding::Args args{1024, ids.data(), reinterpret_cast<const std::byte*>(table.data()),
                               reinterpret_cast<std::byte*>(rows.data()), 64};
    run_kernel<Embedding>(kernel, problem, args, kernel.configs[0], 1024, TileOrder::shuffled);
    for (size_t i = 0; i < rows.size(); ++i) {
      const float want = to_float(f16{table[i]});
      if (std::isnan(want)) {
        ASSERT_TRUE(std::isnan(rows[i])) << kernel.name << " " << i;
      } else {
        ASSERT_EQ(std::bit_cast<uint32_t>(rows[i]), std::bit_cast<uint32_t>(want)) << kernel.name << " " << i;
      }
    }
  });
}

TEST(F16, CachesRoundAsTheScalarDoes) {
  constexpr int32_t head_dim = 256, tokens = 32, pages = 16;
  const KvWrite::Problem problem{1, head_dim, tokens, DType::f32, DType::f16};
  const KvGeometry geometry = problem.geometry();
  // A sweep of all signs and exponents, thickest where f16 lives, and each side of its edges.
  std::vector<float> values(size_t{head_dim} * tokens * pages);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = std::bit_cast<float>(static_cast<uint32_t>(i * 32749u + (i % 2 == 0 ? 0x33000000u : 0u)));
  }
  constexpr float edges[] = {65504.0F,     65519.99F, 65520.0F, 65536.0F,        0x1p-14F,
                             0x1.ffcp-15F, 0x1p-24F,  0x1p-25F, 0x1.000002p-25F, 0x1.8p-24F,
                             0.0F,         INFINITY,  NAN,      1.00048828125F,  1.00146484375F};
  for (size_t i = 0; i < std::size(edges); ++i) values[2 * i] = edges[i], values[2 * i + 1] = -edges[i];
  std::vector<int32_t> table(pages);
  std::iota(table.begin(), table.end(), 0);
  SequenceSpan span;
  span.tokens = tokens * pages;
  for_each_kernel_here<KvWrite>(problem, [&](const Kernel<KvWrite>& kernel) {
    GuardedBytes pool(static_cast<size_t>(pages * geometry.page_bytes()));
    const auto* rows = reinterpret_cast<const std::byte*>(values.data());
    const KvWrite::Args args{
        1, &span, {pool.data(), geometry.page_bytes(), 0, table.data(), pages}, rows, head_dim, rows, head_dim};
    run_kernel<KvWrite>(kernel, problem, args, kernel.configs[0], span.tokens, TileOrder::shuffled);
    for (int64_t position = 0; position < span.tokens; ++position) {
      const auto* keys = reinterpret_cast<const f16*>(pool.data() + position / tokens * geometry.page_bytes());
      const auto* kept = keys + geometry.half_bytes() / 2;
      for (int64_t dim = 0; dim < head_dim; ++dim) {
        const float value = values[static_cast<size_t>(position * head_dim + dim)];
        const f16 want = to_f16(value);
        ASSERT_EQ(keys[geometry.k_element(position % tokens, dim)].bits, want.bits) << kernel.name << " " << value;
        ASSERT_EQ(kept[geometry.v_element(position % tokens, dim)].bits, want.bits) << kernel.name << " " << value;
      }
    }
  });
}

}  // namespace
}  // namespace incipit
