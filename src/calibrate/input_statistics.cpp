#include "calibrate/input_statistics.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "base/error.h"

namespace incipit {

ColumnStatistics::ColumnStatistics(int64_t width)
    : largest_(static_cast<size_t>(width)),
      magnitudes_(static_cast<size_t>(width)),
      squares_(static_cast<size_t>(width)) {}

void ColumnStatistics::add(const InputRows& seen) {
  INCIPIT_ASSERT(seen.width == std::ssize(largest_));
  for (int64_t r = 0; r < seen.rows; ++r) {
    const float* const row = seen.row(r);
    for (size_t c = 0; c < largest_.size(); ++c) {
      const float magnitude = std::fabs(row[c]);
      // What is no number stays seen: no comparison with it holds.
      if (!(magnitude <= largest_[c])) largest_[c] = magnitude;
      magnitudes_[c] += static_cast<double>(magnitude);
      squares_[c] += static_cast<double>(magnitude) * static_cast<double>(magnitude);
    }
  }
  rows_ += seen.rows;
}

std::vector<float> ColumnStatistics::means(std::span<const double> sums) const {
  std::vector<float> means(sums.size());
  const double rows = static_cast<double>(std::max<int64_t>(rows_, 1));
  std::ranges::transform(sums, means.begin(), [&](double sum) { return static_cast<float>(sum / rows); });
  return means;
}

namespace {

/// Zeros in a file of the folder that goes with the last who holds it.
std::shared_ptr<float> floats_on_disk(int64_t count, const std::filesystem::path& folder) {
  const auto refuse = [&](int code) {
    return Error(folder.string(), "cannot hold what calibration keeps: " + std::generic_category().message(code),
                 fmt::format("free {} MB there, or calibrate without compensated rounding", count >> 18));
  };
  std::string name = (folder / "moments-XXXXXX").string();
  const int file = ::mkstemp(name.data());
  if (file < 0) throw refuse(errno);
  ::unlink(name.c_str());
  const auto bytes = static_cast<size_t>(count) * sizeof(float);
  // Room is taken now: a mapping of a full disk ends the program when it is written.
  const int full = ::posix_fallocate(file, 0, static_cast<off_t>(bytes));
  void* const mapped = full != 0 ? MAP_FAILED : ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  const int code = full != 0 ? full : errno;
  ::close(file);
  if (mapped == MAP_FAILED) throw refuse(code);
  return {static_cast<float*>(mapped), [bytes](float* values) { ::munmap(values, bytes); }};
}

constexpr int64_t tile_rows = 32, tile_columns = 256;
using TileSums = std::array<std::array<float, tile_columns>, tile_rows>;

/// A tile of sums: from row `top` and column `left` of the moments on.
struct Tile {
  int64_t top, down, left, across;
};

// Sums that stay in registers while rows go by.
constexpr int64_t lanes = 8, held_rows = 4, held_columns = 2 * lanes;
using Lanes = float __attribute__((vector_size(lanes * sizeof(float))));

/// Σ x[top + i]·x[left + j] of rows [first, last), for held_rows by held_columns sums from i and j on.
[[gnu::always_inline]] inline void add_held(const InputRows& seen, int64_t first, int64_t last, int64_t column,
                                            int64_t above, float* sums) {
  Lanes held[held_rows][2];
  for (int64_t i = 0; i < held_rows; ++i) std::memcpy(held[i], sums + i * tile_columns, sizeof held[i]);
  for (int64_t r = first; r < last; ++r) {
    const float* const row = seen.row(r);
    Lanes values[2];
    std::memcpy(values, row + column, sizeof values);
    for (int64_t i = 0; i < held_rows; ++i) {
      held[i][0] += row[above + i] * values[0];
      held[i][1] += row[above + i] * values[1];
    }
  }
  for (int64_t i = 0; i < held_rows; ++i) std::memcpy(sums + i * tile_columns, held[i], sizeof held[i]);
}

/// Each sum adds the rows' products in order and rounds each, whatever the width of a vector: all processors find the
/// same bits.
[[gnu::always_inline]] inline void add_rows(const InputRows& seen, const Tile& tile, TileSums& sums) {
  constexpr int64_t rows_a_time = 128;  // what a tile reads of them stays in the nearest cache
  const int64_t held_down = tile.down / held_rows * held_rows, held_across = tile.across / held_columns * held_columns;
  for (int64_t first = 0; first < seen.rows; first += rows_a_time) {
    const int64_t last = std::min(first + rows_a_time, seen.rows);
    for (int64_t i = 0; i < held_down; i += held_rows) {
      for (int64_t j = 0; j < held_across; j += held_columns) {
        add_held(seen, first, last, tile.left + j, tile.top + i, &sums[static_cast<size_t>(i)][static_cast<size_t>(j)]);
      }
    }
    for (int64_t r = first; r < last; ++r) {
      const float* const row = seen.row(r);
      for (int64_t i = 0; i < tile.down; ++i) {
        for (int64_t j = i < held_down ? held_across : 0; j < tile.across; ++j) {
          sums[static_cast<size_t>(i)][static_cast<size_t>(j)] += row[tile.top + i] * row[tile.left + j];
        }
      }
    }
  }
}

void add_rows_portably(const InputRows& seen, const Tile& tile, TileSums& sums) { add_rows(seen, tile, sums); }

#if defined(__x86_64__)
// Without FMA, which would round otherwise than the portable one.
[[gnu::target("avx2")]] void add_rows_avx2(const InputRows& seen, const Tile& tile, TileSums& sums) {
  add_rows(seen, tile, sums);
}
const auto add_rows_here = __builtin_cpu_supports("avx2") ? add_rows_avx2 : add_rows_portably;
#else
const auto add_rows_here = add_rows_portably;
#endif

}  // namespace

InputMoments::InputMoments(int64_t width, const std::filesystem::path& folder)
    : width_(width), products_(floats_on_disk(width * width, folder)) {}

// A tile of the triangle at a time, whose sums over the rows are made in a cache and added by one worker: the same bits
// on any number of threads.
void InputMoments::add(const InputRows& seen, ThreadPool& pool) {
  INCIPIT_ASSERT(seen.width == width_);
  const int64_t down = (width_ + tile_rows - 1) / tile_rows, across = (width_ + tile_columns - 1) / tile_columns;
  pool.parallel_for(down * across, [&](int64_t tile, int) {
    const int64_t top = tile / across * tile_rows, left = tile % across * tile_columns;
    const int64_t bottom = std::min(top + tile_rows, width_), right = std::min(left + tile_columns, width_);
    if (right <= top) return;  // below the diagonal
    TileSums sums{};
    add_rows_here(seen, {top, bottom - top, left, right - left}, sums);
    for (int64_t i = top; i < bottom; ++i) {
      for (int64_t j = std::max(left, i); j < right; ++j) {
        const float sum = sums[static_cast<size_t>(i - top)][static_cast<size_t>(j - left)];
        float* const all = products_.get();
        all[i * width_ + j] += sum;
        if (i != j) all[j * width_ + i] += sum;
      }
    }
  });
}

ConstantPtr InputMoments::constant() const {
  return make_mapped_constant(DType::f32, {width_, width_}, reinterpret_cast<const std::byte*>(products_.get()),
                              products_);
}

}  // namespace incipit
