#include "compile/memory_plan.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace incipit {
namespace {

struct Lifetime {
  int64_t first = std::numeric_limits<int64_t>::max();
  int64_t last = -1;
  bool overlaps(const Lifetime& other) const { return first <= other.last && other.first <= last; }
};

std::vector<Lifetime> lifetimes(const PlanDraft& draft) {
  std::vector<Lifetime> result(draft.buffers.size());
  const auto touch = [&](const DraftOperand& operand, int64_t step) {
    if (operand.space != DraftSpace::buffer) return;
    Lifetime& lifetime = result.at(static_cast<size_t>(operand.index));
    lifetime.first = std::min(lifetime.first, step);
    lifetime.last = std::max(lifetime.last, step);
  };
  for (size_t s = 0; s < draft.steps.size(); ++s) {
    for (const DraftOperand& operand : draft.steps[s].inputs) touch(operand, static_cast<int64_t>(s));
    for (const DraftOperand& operand : draft.steps[s].outputs) touch(operand, static_cast<int64_t>(s));
  }
  if (draft.logits >= 0) result.at(static_cast<size_t>(draft.logits)).last = static_cast<int64_t>(draft.steps.size());
  return result;
}

}  // namespace

uint64_t buffer_bytes(const DraftBuffer& buffer, int64_t tokens, int64_t rows) {
  const int64_t count = buffer.axis == DraftAxis::tokens ? tokens : rows;
  const int64_t bytes = count * row_stride(buffer.width) * static_cast<int64_t>(size_of(buffer.dtype));
  return static_cast<uint64_t>(round_up(bytes, 64));
}

ArenaPlan plan_arena(const PlanDraft& draft, int64_t tokens, int64_t rows) {
  const std::vector<Lifetime> lives = lifetimes(draft);
  std::vector<uint64_t> sizes;
  for (const DraftBuffer& buffer : draft.buffers) sizes.push_back(buffer_bytes(buffer, tokens, rows));

  std::vector<size_t> by_size(draft.buffers.size());
  std::iota(by_size.begin(), by_size.end(), size_t{0});
  std::stable_sort(by_size.begin(), by_size.end(), [&](size_t a, size_t b) { return sizes[a] > sizes[b]; });

  ArenaPlan plan;
  plan.offsets.assign(draft.buffers.size(), 0);
  std::vector<size_t> placed;  // in ascending offset
  for (size_t candidate : by_size) {
    uint64_t offset = 0;
    for (size_t other : placed) {
      if (!lives[candidate].overlaps(lives[other])) continue;
      if (offset + sizes[candidate] <= plan.offsets[other]) break;
      offset = std::max(offset, plan.offsets[other] + sizes[other]);
    }
    plan.offsets[candidate] = offset;
    plan.bytes = std::max(plan.bytes, offset + sizes[candidate]);
    const auto position = std::upper_bound(placed.begin(), placed.end(), offset,
                                           [&](uint64_t value, size_t other) { return value < plan.offsets[other]; });
    placed.insert(position, candidate);
  }
  return plan;
}

}  // namespace incipit
