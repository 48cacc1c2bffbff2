#include "compile/memory_plan.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "base/dtype.h"
#include "kernels/layout.h"

namespace incipit {
namespace {

struct Lifetime {
  int64_t first = std::numeric_limits<int64_t>::max();
  int64_t last = -1;
  bool overlaps(const Lifetime& other) const { return first <= other.last && other.first <= last; }
};

std::vector<Lifetime> lifetimes(const plan::PlanT& plan) {
  std::vector<Lifetime> result(plan.buffers.size());
  const auto touch = [&](const plan::OperandT& operand, int64_t step) {
    if (operand.space != plan::Space::buffer) return;
    Lifetime& lifetime = result.at(operand.index);
    lifetime.first = std::min(lifetime.first, step);
    lifetime.last = std::max(lifetime.last, step);
  };
  for (size_t s = 0; s < plan.steps.size(); ++s) {
    for (const plan::OperandT& operand : plan.steps[s].inputs) touch(operand, static_cast<int64_t>(s));
    for (const plan::OperandT& operand : plan.steps[s].outputs) touch(operand, static_cast<int64_t>(s));
  }
  result.at(plan.logits).last = static_cast<int64_t>(plan.steps.size());
  return result;
}

uint64_t bytes_of_rows(const plan::BufferT& buffer, int64_t rows) {
  const int64_t bytes = rows * row_stride(buffer.width) * static_cast<int64_t>(size_of(dtype_from_name(buffer.dtype)));
  return static_cast<uint64_t>(round_up(bytes, 64));
}

}  // namespace

uint64_t buffer_bytes(const plan::BufferT& buffer, const plan::BucketT& bucket) {
  return bytes_of_rows(buffer, buffer.axis == plan::Axis::tokens ? bucket.tokens : bucket.rows);
}

void place_buffers(const plan::PlanT& plan, plan::BucketT& bucket, int64_t rows_behind) {
  const std::vector<Lifetime> lives = lifetimes(plan);
  std::vector<uint64_t> sizes;
  for (const plan::BufferT& buffer : plan.buffers) sizes.push_back(buffer_bytes(buffer, bucket));

  std::vector<size_t> by_size(plan.buffers.size());
  std::iota(by_size.begin(), by_size.end(), size_t{0});
  std::stable_sort(by_size.begin(), by_size.end(), [&](size_t a, size_t b) { return sizes[a] > sizes[b]; });

  std::vector<uint64_t>& offsets = bucket.offsets;
  offsets.assign(plan.buffers.size(), 0);
  bucket.arena_bytes = 0;
  std::vector<size_t> placed;  // in ascending offset
  for (size_t candidate : by_size) {
    uint64_t offset = 0;
    for (size_t other : placed) {
      if (!lives[candidate].overlaps(lives[other])) continue;
      if (offset + sizes[candidate] <= offsets[other]) break;
      offset = std::max(offset, offsets[other] + sizes[other]);
    }
    offsets[candidate] = offset;
    const uint64_t behind = bytes_of_rows(plan.buffers[candidate], rows_behind);
    bucket.arena_bytes = std::max(bucket.arena_bytes, offset + sizes[candidate] + behind);
    const auto position = std::upper_bound(placed.begin(), placed.end(), offset,
                                           [&](uint64_t value, size_t other) { return value < offsets[other]; });
    placed.insert(position, candidate);
  }
}

}  // namespace incipit
