#include "runtime/slots.h"

#include <algorithm>
#include <new>

#include "kernels/slot_layout.h"

namespace incipit {
namespace {

struct ResetSlot final : Launch::Code {
  struct Args {
    SlotArrays arrays;
    int32_t slot, generated_from, known;
    const SamplingParameters* parameters;
  };
  int64_t tiles(const void*) const override { return 1; }
  void run(const void* arguments, int64_t, std::byte*) const override {
    const Args& args = *static_cast<const Args*>(arguments);
    reset_slot(args.arrays, args.slot, *args.parameters, args.generated_from, args.known);
  }
};

struct TruncateSlot final : Launch::Code {
  struct Args {
    SlotArrays arrays;
    int32_t slot, length;
  };
  int64_t tiles(const void*) const override { return 1; }
  void run(const void* arguments, int64_t, std::byte*) const override {
    const Args& args = *static_cast<const Args*>(arguments);
    truncate_slot(args.arrays, args.slot, args.length);
  }
};

template <typename Code>
void launch(Device& device, const typename Code::Args& args) {
  static_assert(sizeof args <= Launch::max_argument_bytes);
  static const Code code;
  Launch launch;
  launch.code = &code;
  new (launch.arguments) typename Code::Args(args);
  device.launch(launch);
}

}  // namespace

Slots::Slots(Device& device, int32_t slots, int32_t max_context, int32_t vocabulary)
    : device_(device),
      staged_(static_cast<size_t>(slots)),
      staged_history_(static_cast<size_t>(slots) * static_cast<size_t>(max_context)) {
  const SlotLayout layout(slots, max_context, vocabulary);
  memory_ = device_.allocate(static_cast<size_t>(layout.bytes), "sampling state");
  parameters_ = memory_ + static_cast<uint64_t>(layout.parameters);
  history_ = memory_ + static_cast<uint64_t>(layout.history);
  std::byte* base = device_.kernel_pointer(memory_);
  arrays_.slots = reinterpret_cast<SlotState*>(base + layout.states);
  arrays_.history = reinterpret_cast<int32_t*>(base + layout.history);
  arrays_.prompt_counts = reinterpret_cast<uint16_t*>(base + layout.prompt_counts);
  arrays_.generated_counts = reinterpret_cast<uint16_t*>(base + layout.generated_counts);
  arrays_.generated_from = reinterpret_cast<int32_t*>(base + layout.generated_from);
  arrays_.max_context = max_context;
  arrays_.vocabulary = vocabulary;
  // A slot that nobody has configured draws greedily.
  for (int32_t slot = 0; slot < slots; ++slot) configure(slot, SamplingParameters{}, 0, {});
}

Slots::~Slots() { device_.release(memory_); }

void Slots::configure(int32_t slot, const SamplingParameters& parameters, int32_t generated_from,
                      std::span<const int32_t> known) {
  Staged& staged = staged_[static_cast<size_t>(slot)];
  device_.wait(staged.copied);  // of an earlier configuration
  staged.parameters = parameters;
  const uint64_t offset = static_cast<uint64_t>(slot) * sizeof(SamplingParameters);
  device_.copy_to_device(parameters_ + offset, &staged.parameters, sizeof(SamplingParameters));
  if (!known.empty()) {
    const size_t first = static_cast<size_t>(slot) * static_cast<size_t>(arrays_.max_context);
    std::ranges::copy(known, staged_history_.begin() + static_cast<int64_t>(first));
    device_.copy_to_device(history_ + first * sizeof(int32_t), &staged_history_[first], known.size_bytes());
  }
  staged.copied = device_.record();
  const auto* on_device = reinterpret_cast<const SamplingParameters*>(device_.kernel_pointer(parameters_ + offset));
  launch<ResetSlot>(device_, {arrays_, slot, generated_from, static_cast<int32_t>(known.size()), on_device});
}

void Slots::truncate(int32_t slot, int32_t length) { launch<TruncateSlot>(device_, {arrays_, slot, length}); }

}  // namespace incipit
