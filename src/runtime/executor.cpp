#include "runtime/executor.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "base/error.h"
#include "engine/plan_items.h"
#include "kernels/layout.h"
#include "kernels/slot_layout.h"
#include "runtime/batch_view.h"
#include "runtime/cache_pools.h"
#include "runtime/plain/plain_graph.h"
#include "runtime/slots.h"
#include "runtime/staging.h"
#include "runtime/step.h"

namespace incipit {
namespace {

constexpr uint64_t tickets_in_flight = 2;

/// Device memory for as long as this lives.
class DeviceBlock {
 public:
  DeviceBlock() = default;
  DeviceBlock(Device& device, int64_t bytes, std::string_view what)
      : device_(&device), address_(device.allocate(static_cast<size_t>(bytes), what)) {}
  static DeviceBlock adopted(Device& device, std::span<const std::byte> bytes, std::string_view what) {
    DeviceBlock block;
    block.device_ = &device;
    block.address_ = device.adopt(bytes.data(), bytes.size(), what);
    return block;
  }
  ~DeviceBlock() {
    if (device_ != nullptr) device_->release(address_);
  }
  DeviceBlock(DeviceBlock&& other) noexcept
      : device_(std::exchange(other.device_, nullptr)), address_(other.address_) {}
  DeviceBlock& operator=(DeviceBlock&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(address_, other.address_);
    return *this;
  }

  DeviceAddress address() const { return address_; }
  std::byte* kernel_pointer() const { return device_->kernel_pointer(address_); }
  template <typename T>
  T* kernel_pointer_to() const {
    return reinterpret_cast<T*>(kernel_pointer());
  }

 private:
  Device* device_ = nullptr;
  DeviceAddress address_;
};

int32_t narrow(uint64_t value) {
  INCIPIT_ASSERT(value <= INT32_MAX);
  return static_cast<int32_t>(value);
}

int64_t arena_bytes(const plan::Plan& plan) {
  uint64_t bytes = 0;
  for (const plan::Bucket* bucket : items(plan.buckets())) bytes = std::max(bytes, bucket->arena_bytes());
  return static_cast<int64_t>(bytes);
}

int64_t slot_bytes(const plan::Plan& plan) {
  return SlotLayout(plan.max_sequences(), plan.max_context(), plan.vocabulary()).bytes;
}

ExecutorLimits limits_of(const plan::Plan& plan, int64_t cache_bytes, std::string_view engine) {
  ExecutorLimits limits;
  limits.vocabulary = narrow(plan.vocabulary());
  limits.max_context = narrow(plan.max_context());
  limits.slots = narrow(plan.max_sequences());
  const plan::Bucket& largest = *plan.buckets()->Get(count(plan.buckets()) - 1);
  limits.max_tokens = narrow(largest.tokens());
  limits.max_rows = narrow(largest.rows());
  limits.max_sequences = narrow(largest.sequences());
  int64_t for_pages = 0;
  if (plan.memory_limit() > 0) {
    for_pages = static_cast<int64_t>(plan.memory_limit()) - arena_bytes(plan) - slot_bytes(plan);
    for_pages = std::max<int64_t>(for_pages, 1);
  }
  limits.groups = plan_cache_pools(plan, cache_bytes, for_pages, engine);
  return limits;
}

/// A step with what bench tells about it.
struct ResolvedStep {
  std::unique_ptr<Step> step;
  const plan::Step* planned;
};

}  // namespace

struct Executor::State {
  State(std::shared_ptr<const Engine> from, std::unique_ptr<Device> on, const ExecutorOptions& with)
      : engine(std::move(from)),
        device(std::move(on)),
        options(with),
        plan(engine->plan()),
        limits(limits_of(plan, options.cache_bytes, engine->path().string())),
        slots(*device, limits.slots, limits.max_context, limits.vocabulary) {
    place();
    resolve();
  }

  /// What one of the two tickets in flight keeps on the host.
  struct InFlight {
    explicit InFlight(const ExecutorLimits& limits) : staging(limits), samples(static_cast<size_t>(limits.max_rows)) {}
    BatchStaging staging;
    std::vector<SampledRow> samples;
    std::vector<float> logits;  // [rows][vocabulary], when wanted
    uint64_t number = 0;        // the ticket's; 0: none yet
    Event done;
    bool collected = true;
    bool has_logits = false;
  };

  std::shared_ptr<const Engine> engine;
  std::unique_ptr<Device> device;
  ExecutorOptions options;
  const plan::Plan& plan;
  ExecutorLimits limits;

  DeviceBlock weights, arena, batch_block, masks, ids, samples, workspace;
  std::vector<DeviceBlock> pools;  // a cache group
  Slots slots;
  std::vector<GroupView> groups;
  std::vector<ResolvedStep> steps;
  BatchView base;  // what all batches have in common
  Memory memory;

  std::array<InFlight, tickets_in_flight> in_flight{InFlight(limits), InFlight(limits)};
  uint64_t last_ticket = 0;
  std::vector<uint64_t> slot_ticket;  // the last ticket that each slot was in
  std::vector<double> milliseconds;   // [steps][buckets], when profiling

  void place() {
    weights = DeviceBlock::adopted(*device, engine->weights(), "weights");
    arena = DeviceBlock(*device, arena_bytes(plan), "activations");
    batch_block = DeviceBlock(*device, BatchStaging::largest_block(limits), "batches");
    masks = DeviceBlock(*device, BatchStaging::largest_masks(limits), "logit masks");
    ids = DeviceBlock(*device, int64_t{4} * limits.max_tokens, "token ids");
    samples = DeviceBlock(*device, int64_t{sizeof(SampledRow)} * limits.max_rows, "samples");
    for (const ExecutorLimits::Group& group : limits.groups) {
      pools.emplace_back(*device, group.pages * group.page_bytes, "cache pages");
      groups.push_back({pools.back().kernel_pointer(), group.page_bytes, nullptr, 0});
      memory.pages += group.pages * group.page_bytes;
    }
    memory.weights = static_cast<int64_t>(engine->weights().size());
    memory.arena = arena_bytes(plan);
    memory.state = slot_bytes(plan) + BatchStaging::largest_block(limits) + BatchStaging::largest_masks(limits) +
                   int64_t{4} * limits.max_tokens + int64_t{sizeof(SampledRow)} * limits.max_rows;

    base.arena = arena.kernel_pointer();
    base.ids = ids.kernel_pointer_to<int32_t>();
    base.samples = samples.kernel_pointer_to<SampledRow>();
    base.groups = groups.data();
    base.slots = slots.arrays();
    base.workers = device->workers();
    slot_ticket.assign(static_cast<size_t>(limits.slots), 0);
  }

  void resolve() {
    const std::string name = engine->path().string();
    size_t scratch = 0, shared = 0;
    const auto add = [&](const plan::Step& step) {
      steps.push_back({resolve_step({plan, step, name, weights.kernel_pointer(), cpu_features()}), &step});
      scratch = std::max(scratch, steps.back().step->scratch_bytes());
      shared = std::max(shared, steps.back().step->workspace_bytes());
    };
    add(*plan.resolve_tokens());
    for (const plan::Step* step : items(plan.steps())) add(*step);
    add(*plan.sample());
    device->reserve_scratch(scratch);
    if (shared > 0) {
      workspace = DeviceBlock(*device, static_cast<int64_t>(shared), "workspace");
      base.workspace = workspace.kernel_pointer();
      base.workspace_bytes = shared;
      memory.arena += static_cast<int64_t>(shared);
    }
    milliseconds.assign(options.profile ? steps.size() * count(plan.buckets()) : 0, 0);
  }

  /// The first bucket that fits.
  int32_t bucket_for(const BatchStaging& staging) const {
    for (uint32_t i = 0; i < plan.buckets()->size(); ++i) {
      const plan::Bucket& bucket = *plan.buckets()->Get(i);
      if (static_cast<uint32_t>(staging.tokens()) <= bucket.tokens() &&
          static_cast<uint32_t>(staging.rows()) <= bucket.rows() &&
          static_cast<uint32_t>(staging.sequences()) <= bucket.sequences()) {
        return static_cast<int32_t>(i);
      }
    }
    INCIPIT_ASSERT(!"a batch within limits() fits the last bucket");
    return 0;
  }

  BatchView send(const BatchStaging& staging) {
    device->copy_to_device(batch_block.address(), staging.block().data(), staging.block().size());
    if (!staging.masks().empty()) {
      device->copy_to_device(masks.address(), staging.masks().data(), staging.masks().size_bytes());
    }
    BatchView view = base;
    staging.bind(batch_block.kernel_pointer(), masks.kernel_pointer_to<uint32_t>(), view, groups.data());
    view.bucket = bucket_for(staging);
    view.offsets = plan.buckets()->Get(static_cast<uint32_t>(view.bucket))->offsets()->data();
    return view;
  }

  void run_steps(const BatchView& view) {
    if (!options.profile) {
      for (const ResolvedStep& step : steps) step.step->launch(view, *device);
      return;
    }
    using Clock = std::chrono::steady_clock;
    device->wait(device->record());
    for (size_t i = 0; i < steps.size(); ++i) {
      const auto start = Clock::now();
      steps[i].step->launch(view, *device);
      device->wait(device->record());
      milliseconds[i * plan.buckets()->size() + static_cast<size_t>(view.bucket)] +=
          std::chrono::duration<double, std::milli>(Clock::now() - start).count();
    }
  }

  void fetch(const BatchView& view, InFlight& ticket) {
    const auto rows = static_cast<size_t>(view.rows);
    if (rows > 0) device->copy_to_host(ticket.samples.data(), samples.address(), rows * sizeof(SampledRow));
    if (!ticket.has_logits) return;
    const auto width = static_cast<size_t>(limits.vocabulary);
    ticket.logits.resize(rows * width);
    const uint64_t row_bytes = static_cast<uint64_t>(row_stride(limits.vocabulary)) * sizeof(float);
    for (size_t row = 0; row < rows; ++row) {
      device->copy_to_host(ticket.logits.data() + row * width,
                           arena.address() + (view.offsets[plan.logits()] + row * row_bytes), width * sizeof(float));
    }
  }

  InFlight& find(Ticket ticket) {
    InFlight& found = in_flight[ticket.number % tickets_in_flight];
    INCIPIT_ASSERT(ticket.number != 0 && found.number == ticket.number);
    return found;
  }
};

Executor::Executor(std::shared_ptr<const Engine> engine, std::unique_ptr<Device> device,
                   const ExecutorOptions& options) {
  require_decoder(*engine);
  state_ = std::make_unique<State>(std::move(engine), std::move(device), options);
}

Executor::~Executor() {
  // What is still in the queue refers to memory that goes now.
  if (state_) state_->device->wait(state_->device->record());
}

const ExecutorLimits& Executor::limits() const { return state_->limits; }
const Engine& Executor::engine() const { return *state_->engine; }
Device& Executor::device() { return *state_->device; }
Executor::Memory Executor::memory() const { return state_->memory; }

void Executor::configure(int32_t slot, const SamplingParameters& parameters, int32_t generated_from,
                         std::span<const int32_t> known) {
  INCIPIT_ASSERT(slot >= 0 && slot < state_->limits.slots);
  INCIPIT_ASSERT(parameters.biases >= 0 && parameters.biases <= SamplingParameters::max_biases);
  INCIPIT_ASSERT(parameters.top_logprobs >= 0 && parameters.top_logprobs <= max_top_logprobs);
  for (int32_t i = 0; i < parameters.biases; ++i) {
    const int32_t id = parameters.bias_ids[static_cast<size_t>(i)];
    INCIPIT_ASSERT(id >= 0 && id < state_->limits.vocabulary);
  }
  INCIPIT_ASSERT(known.size() <= static_cast<size_t>(state_->limits.max_context));
  for (const int32_t id : known) INCIPIT_ASSERT(id >= 0 && id < state_->limits.vocabulary);
  state_->slots.configure(slot, parameters, generated_from, known);
}

void Executor::truncate(int32_t slot, int32_t length) {
  INCIPIT_ASSERT(slot >= 0 && slot < state_->limits.slots && length >= 0);
  state_->slots.truncate(slot, length);
}

void Executor::copy_page(int32_t group, int32_t from, int32_t to) {
  INCIPIT_ASSERT(group >= 0 && static_cast<size_t>(group) < state_->pools.size());
  const ExecutorLimits::Group& limits = state_->limits.groups[static_cast<size_t>(group)];
  INCIPIT_ASSERT(from >= 0 && from < limits.pages && to >= 0 && to < limits.pages);
  const DeviceAddress pool = state_->pools[static_cast<size_t>(group)].address();
  const auto page_bytes = static_cast<uint64_t>(limits.page_bytes);
  state_->device->copy_on_device(pool + static_cast<uint64_t>(to) * page_bytes,
                                 pool + static_cast<uint64_t>(from) * page_bytes, page_bytes);
}

Ticket Executor::submit(const Batch& batch) {
  State& state = *state_;
  const uint64_t number = ++state.last_ticket;
  State::InFlight& ticket = state.in_flight[number % tickets_in_flight];
  INCIPIT_ASSERT(ticket.collected);
  for (const BatchEntry& entry : batch.entries) {
    INCIPIT_ASSERT(entry.slot >= 0 && entry.slot < state.limits.slots);
    INCIPIT_ASSERT(state.slot_ticket[static_cast<size_t>(entry.slot)] != number);
    state.slot_ticket[static_cast<size_t>(entry.slot)] = number;
  }
  ticket.number = number;
  ticket.collected = false;
  ticket.has_logits = batch.want_logits;
  ticket.staging.fill(batch);
  const BatchView view = state.send(ticket.staging);
  state.run_steps(view);
  state.fetch(view, ticket);
  ticket.done = state.device->record();
  return {number};
}

std::span<const SampledRow> Executor::collect(Ticket ticket) {
  State::InFlight& found = state_->find(ticket);
  state_->device->wait(found.done);
  found.collected = true;
  return std::span(found.samples).first(static_cast<size_t>(found.staging.rows()));
}

std::span<const float> Executor::logits(Ticket ticket) const {
  const State::InFlight& found = state_->find(ticket);
  INCIPIT_ASSERT(found.collected && found.has_logits);
  return found.logits;
}

std::vector<StepTime> Executor::take_profile() {
  std::vector<StepTime> times;
  const size_t buckets = state_->plan.buckets()->size();
  for (size_t i = 0; i < state_->milliseconds.size(); ++i) {
    double& milliseconds = state_->milliseconds[i];
    if (milliseconds == 0) continue;
    const plan::Step& step = *state_->steps[i / buckets].planned;
    const plan::KernelUse& use = *step.kernels()->Get(static_cast<uint32_t>(i % buckets));
    times.push_back({std::string(text(step.name())), std::string(text(step.problem())),
                     fmt::format("{} {}", text(use.kernel()), text(use.config())), milliseconds});
    milliseconds = 0;
  }
  return times;
}

}  // namespace incipit
