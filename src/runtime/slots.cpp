#include "runtime/slots.h"

#include <algorithm>
#include <cstddef>

#include "device/launch.h"
#include "kernels/slot_layout.h"

namespace incipit {
Slots::Slots(Device& device, int32_t slots, int32_t max_context, int32_t vocabulary)
    : device_(device),
      staged_(static_cast<size_t>(slots)),
      staged_history_(static_cast<size_t>(slots) * static_cast<size_t>(max_context)) {
  const SlotLayout layout(slots, max_context, vocabulary);
  memory_ = device_.allocate(static_cast<size_t>(layout.bytes), "sampling state");
  requests_ = memory_ + static_cast<uint64_t>(layout.requests);
  history_ = memory_ + static_cast<uint64_t>(layout.history);
  std::byte* base = memory_.kernel_pointer();
  arrays_.slots = reinterpret_cast<SlotState*>(base + layout.states);
  arrays_.history = reinterpret_cast<int32_t*>(base + layout.history);
  arrays_.prompt_counts = reinterpret_cast<uint16_t*>(base + layout.prompt_counts);
  arrays_.generated_counts = reinterpret_cast<uint16_t*>(base + layout.generated_counts);
  arrays_.generated_from = reinterpret_cast<int32_t*>(base + layout.generated_from);
  arrays_.max_context = max_context;
  arrays_.vocabulary = vocabulary;
  for (int32_t slot = 0; slot < slots; ++slot) {
    Staged& staged = staged_[static_cast<size_t>(slot)];
    const auto* request = reinterpret_cast<const SlotRequest*>(request_of(slot).kernel_pointer());
    const Kernel<ResetSlot>& reset = *kernels_for<ResetSlot>(device_.target()).front();
    const Kernel<TruncateSlot>& truncate = *kernels_for<TruncateSlot>(device_.target()).front();
    staged.reset = prepare(device_, reset, reset.configs[0], {vocabulary}, {arrays_, slot, request}, 1);
    staged.truncate = prepare(device_, truncate, truncate.configs[0], {vocabulary}, {arrays_, slot, request}, 1);
  }
  // A slot that nobody has configured draws greedily.
  for (int32_t slot = 0; slot < slots; ++slot) configure(slot, SamplingParameters{}, 0, {});
}

Slots::~Slots() { device_.release(memory_); }

DeviceAddress Slots::request_of(int32_t slot) const {
  return requests_ + static_cast<uint64_t>(slot) * sizeof(SlotRequest);
}

void Slots::configure(int32_t slot, const SamplingParameters& parameters, int32_t generated_from,
                      std::span<const int32_t> known) {
  Staged& staged = staged_[static_cast<size_t>(slot)];
  device_.wait(staged.copied);  // of an earlier request
  staged.request = {parameters, generated_from, static_cast<int32_t>(known.size()), 0};
  device_.copy_to_device(request_of(slot), &staged.request, sizeof staged.request);
  if (!known.empty()) {
    const size_t first = static_cast<size_t>(slot) * static_cast<size_t>(arrays_.max_context);
    std::ranges::copy(known, staged_history_.begin() + static_cast<int64_t>(first));
    device_.copy_to_device(history_ + first * sizeof(int32_t), &staged_history_[first], known.size_bytes());
  }
  staged.copied = device_.record_event();
  device_.launch(*staged.reset);
}

void Slots::truncate(int32_t slot, int32_t length) {
  Staged& staged = staged_[static_cast<size_t>(slot)];
  device_.wait(staged.copied);
  staged.request.keep = length;
  device_.copy_to_device(request_of(slot) + offsetof(SlotRequest, keep), &staged.request.keep, sizeof length);
  staged.copied = device_.record_event();
  device_.launch(*staged.truncate);
}

}  // namespace incipit
