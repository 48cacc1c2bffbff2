#include "runtime/executor.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "base/error.h"
#include "base/log.h"
#include "device/launch.h"
#include "engine/plan_items.h"
#include "kernels/attention_families.h"
#include "kernels/layout.h"
#include "kernels/problem.h"
#include "kernels/slot_layout.h"
#include "runtime/cache_pools.h"
#include "runtime/plain/plain_graph.h"
#include "runtime/slots.h"
#include "runtime/step.h"
#include "runtime/step_block.h"
#include "runtime/step_sizes.h"

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
  std::byte* kernel_pointer() const { return address_.kernel_pointer(); }
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

/// Which of a step's kernels computes steps of that size.
uint32_t kernel_for(const plan::Step& step, const StepSize& size) {
  const bool is_attention = family_of(text(step.problem())) == Attention::Problem::family;
  const int32_t rows = step.axis() == plan::Axis::tokens ? size.tokens_for(is_attention) : size.rows;
  uint32_t kernel = 0;
  while (step.kernels()->Get(kernel)->rows() < static_cast<uint32_t>(rows)) ++kernel;
  return kernel;
}

/// The device with the engine's code. Throws Error when it is not what the engine was built for.
std::unique_ptr<Device> loaded(std::unique_ptr<Device> device, const Engine& engine) {
  const std::string name = engine.path().string();
  if (!device->target().includes(engine.target())) {
    throw Error(name, "was built for " + to_string(engine.target()) + ", which this device is not",
                "build it for another --target");
  }
  device->load_code(engine.section(SectionKind::device_code));
  return device;
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
        device(loaded(std::move(on), *engine)),
        options(with),
        plan(engine->plan()),
        limits(limits_of(plan, options.cache_bytes, engine->path().string())),
        slots(*device, limits.slots, limits.max_context, limits.vocabulary) {
    place();
    resolve();
    for (Flight& flight : flights) prepare(flight);
  }

  /// One of the two tickets that may be in flight: its block, its results, and launches that know where both are.
  struct Flight {
    Flight(const ExecutorLimits& limits, Device& on)
        : staging(limits, on),
          block(on, staging.bytes(), "batches"),
          results(on.allocate_host(results_bytes(limits), "samples")) {}

    // In the host block `results`: the last step that is done (Publish), then the samples of its rows.
    static constexpr size_t samples_offset = 64;
    static size_t results_bytes(const ExecutorLimits& limits) {
      return samples_offset + sizeof(SampledRow) * static_cast<size_t>(limits.max_rows);
    }
    uint64_t& done() const { return *reinterpret_cast<uint64_t*>(results.host); }
    const SampledRow* samples() const { return reinterpret_cast<const SampledRow*>(results.host + samples_offset); }

    StepBlock staging;
    DeviceBlock block;
    HostBlock results;
    std::vector<GroupView> groups;
    std::vector<std::unique_ptr<PreparedLaunch>> prepared;
    /// By size: the steps' launches in order, null where a step has none, then Publish; and all of them as one program.
    std::vector<std::vector<const PreparedLaunch*>> launches;
    std::vector<std::unique_ptr<Program>> programs;

    std::vector<float> logits;  // [rows][vocabulary], when wanted
    uint64_t number = 0;        // the ticket's; 0: none yet
    Event logits_copied;
    bool collected = true;
    bool has_logits = false;
  };

  std::shared_ptr<const Engine> engine;
  std::unique_ptr<Device> device;
  ExecutorOptions options;
  const plan::Plan& plan;
  ExecutorLimits limits;

  DeviceBlock weights, arena, ids, workspace;
  std::vector<DeviceBlock> pools;  // a cache group
  Slots slots;
  std::vector<ResolvedStep> steps;
  std::vector<StepSize> sizes;
  StepView base;  // what all tickets have in common
  Memory memory;

  std::array<Flight, tickets_in_flight> flights{Flight(limits, *device), Flight(limits, *device)};
  uint64_t last_ticket = 0;
  std::vector<uint64_t> slot_ticket;  // the last ticket that each slot was in
  std::vector<double> milliseconds;   // [steps][sizes], when profiling

  void place() {
    weights = DeviceBlock::adopted(*device, engine->weights(), "weights");
    arena = DeviceBlock(*device, arena_bytes(plan), "activations");
    ids = DeviceBlock(*device, int64_t{4} * limits.max_tokens, "token ids");
    for (const ExecutorLimits::Group& group : limits.groups) {
      const int64_t bytes = group.pages * group.page_bytes;
      pools.emplace_back(*device, bytes, "cache pages");
      device->expect_use(pools.back().address(), static_cast<size_t>(bytes));
      for (Flight& flight : flights) {
        flight.groups.push_back({pools.back().kernel_pointer(), group.page_bytes, nullptr, 0, group.pages});
      }
      memory.pages += bytes;
    }
    memory.weights = static_cast<int64_t>(engine->weights().size());
    memory.arena = arena_bytes(plan);
    memory.state = slot_bytes(plan) + int64_t{4} * limits.max_tokens;
    for (const Flight& flight : flights) memory.state += flight.staging.bytes();

    base.arena = arena.kernel_pointer();
    base.ids = ids.kernel_pointer_to<int32_t>();
    base.slots = slots.arrays();
    base.workers = device->workers();
    slot_ticket.assign(static_cast<size_t>(limits.slots), 0);
  }

  void resolve() {
    const std::string name = engine->path().string();
    const Target machine = this_machine(engine->target().backend);
    size_t shared = 0;
    const auto add = [&](const plan::Step& step) {
      steps.push_back({resolve_step({plan, step, name, weights.kernel_pointer(), machine}), &step});
      shared = std::max(shared, steps.back().step->workspace_bytes());
    };
    add(*plan.resolve_tokens());
    for (const plan::Step* step : items(plan.steps())) add(*step);
    add(*plan.sample());
    if (shared > 0) {
      workspace = DeviceBlock(*device, static_cast<int64_t>(shared), "workspace");
      base.workspace = workspace.kernel_pointer();
      base.workspace_bytes = shared;
      memory.arena += static_cast<int64_t>(shared);
    }
    sizes = step_sizes(plan, device->target().backend != Backend::cpu);
    milliseconds.assign(options.profile ? steps.size() * sizes.size() : 0, 0);
  }

  void prepare(Flight& flight) {
    StepView view = base;
    flight.staging.bind(flight.block.kernel_pointer(), view, flight.groups.data());
    view.groups = flight.groups.data();
    view.samples = reinterpret_cast<SampledRow*>(flight.results.kernel_pointer + Flight::samples_offset);
    const Kernel<Publish>& publish = *kernels_for<Publish>(device->target()).front();
    const auto publish_code =
        std::make_shared<const KernelCode<Publish>>(publish, publish.configs[0], Publish::Problem{});
    const PreparedLaunch* published =
        keep(flight, incipit::prepare<Publish>(*device, publish_code,
                                               {0, reinterpret_cast<uint64_t*>(flight.results.kernel_pointer)}, 1,
                                               view.counts));
    std::map<std::tuple<uint32_t, size_t, uint32_t>, const PreparedLaunch*> made;  // by bucket, step and kernel
    for (const StepSize& size : sizes) {
      const plan::Bucket& bucket = *plan.buckets()->Get(size.bucket);
      view.offsets = bucket.offsets()->data();
      auto& launches = flight.launches.emplace_back();
      for (size_t i = 0; i < steps.size(); ++i) {
        const bool of_tokens = steps[i].planned->axis() == plan::Axis::tokens;
        const uint32_t kernel = kernel_for(*steps[i].planned, size);
        const uint32_t most =
            std::min(steps[i].planned->kernels()->Get(kernel)->rows(), of_tokens ? bucket.tokens() : bucket.rows());
        view.rows = static_cast<int32_t>(most);
        const PreparedLaunch*& launch = made[{size.bucket, i, kernel}];
        if (launch == nullptr) launch = keep(flight, steps[i].step->prepare(view, *device));
        launches.push_back(launch);
      }
      launches.push_back(published);
      std::vector<const PreparedLaunch*> recorded = launches;
      std::erase(recorded, nullptr);
      flight.programs.push_back(device->record(recorded));
    }
  }

  static const PreparedLaunch* keep(Flight& flight, std::unique_ptr<PreparedLaunch> launch) {
    return launch == nullptr ? nullptr : flight.prepared.emplace_back(std::move(launch)).get();
  }

  /// The first that fits.
  size_t size_for(const StepCounts& counts) const {
    const auto found = std::ranges::find_if(sizes, [&](const StepSize& size) { return size.fits(counts); });
    INCIPIT_ASSERT(found != sizes.end());  // a batch within limits() fits the last
    return static_cast<size_t>(found - sizes.begin());
  }

  void run_steps(const Flight& flight, size_t size) {
    for (const DeviceBlock* written : {&arena, &ids}) device->discard(written->address());
    if (!options.profile && !options.observe) {
      device->replay(*flight.programs[size]);
      return;
    }
    const auto& launches = flight.launches[size];
    for (size_t i = 0; i < steps.size(); ++i) {
      if (launches[i] == nullptr) continue;
      const double seconds = device->time(*launches[i]);
      if (options.profile) milliseconds[i * sizes.size() + size] += seconds * 1e3;
      if (options.observe) show_results(*steps[i].planned, flight.staging.counts(), sizes[size].bucket);
    }
    device->launch(*launches.back());
  }

  void show_results(const plan::Step& step, const StepCounts& counts, uint32_t bucket) {
    for (const plan::Operand* output : items(step.outputs())) {
      const plan::Buffer& buffer = *plan.buffers()->Get(output->index());
      ObservedBuffer shown;
      shown.step = text(step.name());
      shown.name = text(buffer.name());
      shown.dtype = dtype_from_name(text(buffer.dtype()));
      shown.rows = buffer.axis() == plan::Axis::tokens ? counts.tokens : counts.rows;
      shown.width = static_cast<int32_t>(buffer.width());
      shown.stride = buffer.width() == 1 ? 1 : row_stride(buffer.width());
      std::vector<std::byte> bytes(static_cast<size_t>(shown.rows * shown.stride) * size_of(shown.dtype));
      const uint64_t offset = plan.buckets()->Get(bucket)->offsets()->Get(output->index());
      device->copy_to_host(bytes.data(), arena.address() + offset, bytes.size());
      device->wait(device->record_event());
      shown.data = bytes.data();
      options.observe(shown);
    }
  }

  void fetch_logits(Flight& flight, uint32_t bucket) {
    const auto rows = static_cast<size_t>(flight.staging.counts().rows), width = static_cast<size_t>(limits.vocabulary);
    flight.logits.resize(rows * width);
    const uint64_t row_bytes = static_cast<uint64_t>(row_stride(limits.vocabulary)) * sizeof(float);
    const uint64_t first = plan.buckets()->Get(bucket)->offsets()->Get(plan.logits());
    for (size_t row = 0; row < rows; ++row) {
      device->copy_to_host(flight.logits.data() + row * width, arena.address() + (first + row * row_bytes),
                           width * sizeof(float));
    }
    flight.logits_copied = device->record_event();
  }

  Flight& find(Ticket ticket) {
    Flight& found = flights[ticket.number % tickets_in_flight];
    INCIPIT_ASSERT(ticket.number != 0 && found.number == ticket.number);
    return found;
  }
};

Executor::Executor(std::shared_ptr<const Engine> engine, std::unique_ptr<Device> device,
                   const ExecutorOptions& options) {
  require_decoder(*engine);
  state_ = std::make_unique<State>(std::move(engine), std::move(device), options);
}

Executor::Needs Executor::needs(const Engine& engine) {
  require_decoder(engine);
  const plan::Plan& plan = engine.plan();
  Needs needs;
  needs.memory.weights = static_cast<int64_t>(engine.weights().size());
  needs.memory.arena = arena_bytes(plan);
  needs.memory.state = slot_bytes(plan);
  for (const ExecutorLimits::Group& group : limits_of(plan, 0, engine.path().string()).groups) {
    needs.memory.pages += group.pages * group.page_bytes;
  }
  needs.least_pages = cache_bytes_of_sequence(plan);
  return needs;
}

Executor::~Executor() {
  // What is still in the queue refers to memory that goes now. A device that has failed has told so before.
  try {
    if (state_) state_->device->wait(state_->device->record_event());
  } catch (const Error& error) {
    log_debug("{}", error.what());
  }
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

void Executor::give_pages_back() {
  for (const DeviceBlock& pool : state_->pools) state_->device->give_memory_back(pool.address());
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
  State::Flight& flight = state.flights[number % tickets_in_flight];
  INCIPIT_ASSERT(flight.collected);
  for (const BatchEntry& entry : batch.entries) {
    INCIPIT_ASSERT(entry.slot >= 0 && entry.slot < state.limits.slots);
    INCIPIT_ASSERT(state.slot_ticket[static_cast<size_t>(entry.slot)] != number);
    state.slot_ticket[static_cast<size_t>(entry.slot)] = number;
  }
  flight.number = number;
  flight.collected = false;
  flight.has_logits = batch.want_logits;
  flight.staging.fill(batch, number);
  // The block's last step is done. Where the queue is empty, a copy in it takes less.
  const bool is_busy = std::ranges::any_of(
      state.flights, [&](const State::Flight& other) { return &other != &flight && !other.collected; });
  flight.staging.send(*state.device, flight.block.address(), is_busy);
  const size_t size = state.size_for(flight.staging.counts());
  state.run_steps(flight, size);
  if (flight.has_logits) state.fetch_logits(flight, state.sizes[size].bucket);
  return {number};
}

std::span<const SampledRow> Executor::collect(Ticket ticket) {
  State::Flight& flight = state_->find(ticket);
  state_->device->wait_for(flight.done(), ticket.number);
  if (flight.has_logits) state_->device->wait(flight.logits_copied);
  flight.collected = true;
  return {flight.samples(), static_cast<size_t>(flight.staging.counts().rows)};
}

std::span<const float> Executor::logits(Ticket ticket) const {
  const State::Flight& found = state_->find(ticket);
  INCIPIT_ASSERT(found.collected && found.has_logits);
  return found.logits;
}

std::vector<StepTime> Executor::take_profile() {
  std::vector<StepTime> times;
  const std::vector<StepSize>& sizes = state_->sizes;
  for (size_t i = 0; i < state_->milliseconds.size(); ++i) {
    double& milliseconds = state_->milliseconds[i];
    if (milliseconds == 0) continue;
    const plan::Step& step = *state_->steps[i / sizes.size()].planned;
    const StepSize& size = sizes[i % sizes.size()];
    const plan::KernelUse& use = *step.kernels()->Get(kernel_for(step, size));
    times.push_back({std::string(text(step.name())), std::string(text(step.problem())),
                     fmt::format("{} {}", text(use.kernel()), text(use.config())), milliseconds});
    milliseconds = 0;
  }
  return times;
}

}  // namespace incipit
