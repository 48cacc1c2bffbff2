// Sample (kernels/sampling.h): a cluster of CLUSTER blocks of THREADS threads a row. Greedy rows are read once; others
// once more for each of top-k, top-p and the draw. All sums that decide what is drawn are of integers.
#include "kernels/cuda/sample_select.cuh"

using namespace incipit;

namespace {

/// What a first look at a row yields; of a lane, a warp, the row.
struct Look {
  uint64_t best = 0;           // the best candidate's key; 0: there is none
  float largest = no_logit;    // of the model's logits
  float sum = 0;               // of e^(logit - largest)
  int32_t lowest = INT32_MAX;  // allowed id, where there is a mask

  /// The same bits in whichever order.
  void add(const Look& other) {
    best = other.best > best ? other.best : best;
    lowest = other.lowest < lowest ? other.lowest : lowest;
    const float most = fmaxf(largest, other.largest);
    if (most == no_logit) return;
    sum = __fadd_rn(sum * __expf(largest - most), other.sum * __expf(other.largest - most));
    largest = most;
  }
  /// Of all lanes, in every lane.
  void add_lanes() {
#pragma unroll 1
    for (int distance = 16; distance > 0; distance /= 2) {
      add({__shfl_xor_sync(all_lanes, best, distance), __shfl_xor_sync(all_lanes, largest, distance),
           __shfl_xor_sync(all_lanes, sum, distance), __shfl_xor_sync(all_lanes, lowest, distance)});
    }
  }
};

struct Memory {
  IdFilter filter;
  Look looks[all_warps];
  uint64_t sums[all_warps];  // of the weights of a warp's candidates
  SampledRow result;
  SelectMemory select;
};
/// Warps whose shares a lane adds up.
constexpr int32_t lane_shares = (all_warps + warp_size - 1) / warp_size;

int32_t lane() { return static_cast<int32_t>(threadIdx.x % warp_size); }
int32_t warp_of_row() { return cluster_rank() * block_warps + static_cast<int32_t>(threadIdx.x / warp_size); }

/// Writes a warp's share to every block of the cluster.
template <typename T>
void share(T* shares, const T& value) {
  if (lane() < CLUSTER) *of_block(&shares[warp_of_row()], lane()) = value;
}

/// A row without what changes its logits.
SampledLogits model_logits(const SampleParams& params, int32_t row) {
  SampledLogits logits{};
  logits.logits = params.logits + row * params.logits_stride;
  logits.vocabulary = params.vocabulary;
  logits.aligned = reinterpret_cast<uintptr_t>(logits.logits) % 16 == 0;
  logits.ids = (params.vocabulary + all_warps * ids_at_once - 1) / (all_warps * ids_at_once) * ids_at_once;
  logits.first = warp_of_row() * logits.ids;
  logits.end = logits.first < params.vocabulary ? logits.first + logits.ids : logits.first;
  return logits;
}

/// Adds what changes a row's logits. All threads of a block call it.
void read_adjustments(const SampleParams& params, int32_t row, const SequenceSpan& span, int32_t position,
                      IdFilter& filter, SampledLogits& logits) {
  const SlotState& state = params.slots.slots[span.slot];
  const int64_t first_count = int64_t{span.slot} * params.slots.vocabulary;
  logits.parameters = &state.parameters;
  logits.prompt_counts = params.slots.prompt_counts + first_count;
  logits.generated_counts = params.slots.generated_counts + first_count;
  logits.history = params.slots.history + int64_t{span.slot} * params.slots.max_context;
  logits.length = state.length;
  logits.later = span.first_position + span.tokens - 1 - position;
  logits.generated_from = params.slots.generated_from[span.slot];
  if (params.masks != nullptr && params.row_masked[row] != 0) {
    logits.mask = params.masks + int64_t{row} * ((params.vocabulary + 31) / 32);
  }
  logits.penalties = has_penalties(state.parameters);
  const int32_t biases = state.parameters.biases, later = logits.penalties ? logits.later : 0;
  if (biases == 0 && later == 0) return;
  const auto thread = static_cast<int32_t>(threadIdx.x);
  for (int32_t i = thread; i < static_cast<int32_t>(IdFilter::bits / 32); i += THREADS) filter.words[i] = 0;
  __syncthreads();
  const int32_t block_ids = block_warps * logits.ids, first = cluster_rank() * block_ids;
  const auto add = [&](int32_t id) {
    if (id >= first && id < first + block_ids) filter.add(id);
  };
  for (int32_t i = thread; i < biases; i += THREADS) add(state.parameters.bias_ids[i]);
  for (int32_t i = logits.length - later + thread; i < logits.length; i += THREADS) add(logits.history[i]);
  __syncthreads();
  logits.filter = &filter;
}

/// Logits that a lane loads before it looks at one.
struct Batch {
  static constexpr int32_t size = CLUSTER > 1 ? 8 : 4;
  float4 values[size];

  /// A lane's, from `first` on; −infinity behind the warp's last.
  Batch(const SampledLogits& row, int32_t first) {
    const int32_t end = row.end < row.vocabulary ? row.end : row.vocabulary;
    if (row.aligned && first + size * ids_at_once <= end) {
#pragma unroll
      for (int32_t i = 0; i < size; ++i) {
        values[i] = __ldg(reinterpret_cast<const float4*>(row.logits + first + i * ids_at_once));
      }
      return;
    }
    const auto one = [&](int32_t id) { return id < end ? row.logits[id] : no_logit; };
#pragma unroll
    for (int32_t i = 0; i < size; ++i) {
      const int32_t id = first + i * ids_at_once;
      values[i] = {one(id), one(id + 1), one(id + 2), one(id + 3)};
    }
  }
  void order() {
#pragma unroll
    for (float4& x : values) x = {ordered_logit(x.x), ordered_logit(x.y), ordered_logit(x.z), ordered_logit(x.w)};
  }
  /// Calls `take(id, logit)` in the order of ids.
  template <typename Take>
  void for_each(int32_t first, Take take) const {
#pragma unroll
    for (int32_t i = 0; i < size; ++i) {
      const int32_t id = first + i * ids_at_once;
      take(id, values[i].x), take(id + 1, values[i].y), take(id + 2, values[i].z), take(id + 3, values[i].w);
    }
  }
};

/// A lane's look at its part of a row, of which `batch` is the beginning.
Look look_at(const SampledLogits& row, Batch batch) {
  Look look;
  float best = no_logit;
  int32_t best_id = 0;
  for (int32_t first = row.first + 4 * lane(); first < row.end; first += Batch::size * ids_at_once) {
    if (first >= row.first + Batch::size * ids_at_once) batch = Batch(row, first);
    batch.order();
    float most = look.largest;
    batch.for_each(first, [&](int32_t, float logit) { most = fmaxf(most, logit); });
    if (most != no_logit) {
      look.sum *= __expf(look.largest - most);
      look.largest = most;
      batch.for_each(first, [&](int32_t, float logit) { look.sum += __expf(logit - most); });
    }
    if (!row.is_adjusted()) {
      batch.for_each(first, [&](int32_t id, float logit) {
        if (logit > best) best = logit, best_id = id;
      });
      continue;
    }
#pragma unroll 1
    for (int32_t id = first; id < row.end && id < first + Batch::size * ids_at_once; id += ids_at_once) {
#pragma unroll 1
      for (int32_t i = id; i < id + 4 && i < row.vocabulary; ++i) {
        if (row.mask != nullptr && i < look.lowest && row.allows(i)) look.lowest = i;
        const float logit = row.adjust(i, ordered_logit(row.logits[i]));
        if (logit > best) best = logit, best_id = i;
      }
    }
  }
  if (best != no_logit) look.best = candidate_key(best, best_id);
  return look;
}

/// The weight of a candidate in the draw: 0 for those below `floor` and for what min-p drops.
__noinline__ uint64_t weight_in_draw(const Weighing& weighing, uint64_t floor, int32_t id, float ordered) {
  const float logit = weighing.logit(id, ordered);
  if (logit == no_logit || candidate_key(logit, id) < floor) return 0;
  const uint64_t weight = weight_of_exponent(weighing.exponent(logit));
  return passes_min_p(*weighing.row.parameters, weight) ? weight : 0;
}

/// The first of this warp's ids at which the running sum of weights reaches `wanted`; -1 in the other lanes.
int32_t find_drawn(const Weighing& weighing, uint64_t floor, uint64_t wanted) {
  const SampledLogits& row = weighing.row;
  uint64_t before = 0;
#pragma unroll 1
  for (int32_t first = row.first; first < row.end; first += ids_at_once) {
    const int32_t id = first + 4 * lane();
    const float4 x = row.load(id);
    const uint64_t weights[4] = {weight_in_draw(weighing, floor, id, x.x), weight_in_draw(weighing, floor, id + 1, x.y),
                                 weight_in_draw(weighing, floor, id + 2, x.z),
                                 weight_in_draw(weighing, floor, id + 3, x.w)};
    const uint64_t own = weights[0] + weights[1] + weights[2] + weights[3];
    const uint64_t running = before + warp_running_sum(own);
    before = __shfl_sync(all_lanes, running, warp_size - 1);
    if (before < wanted) continue;
    uint64_t sum = running - own;
    if (wanted <= sum || wanted > running) return -1;
    for (int32_t i = 0; i < 4; ++i) {
      sum += weights[i];
      if (wanted <= sum) return id + i;
    }
  }
  return -1;
}

/// Draws a token; one lane of the cluster returns it, the others -1.
int32_t draw(Memory& memory, const Weighing& weighing, int64_t position) {
  const SamplingParameters& parameters = *weighing.row.parameters;
  uint64_t floor = 0;
  if (parameters.top_k > 0) {
    floor = Selection(memory.select, weighing, Measure::one, 0).threshold(parameters.top_k);
  }
  if (parameters.top_p < 1) {
    const uint64_t reached = Selection(memory.select, weighing, Measure::weight, floor).threshold(0);
    floor = reached > floor ? reached : floor;
  }
  uint64_t own = 0;
  weighing.row.for_each([&](int32_t id, float ordered) { own += weight_in_draw(weighing, floor, id, ordered); });
  share(memory.sums, __shfl_sync(all_lanes, warp_running_sum(own), warp_size - 1));
  cluster_sync();
  // Every warp finds whose share has the token.
  const int32_t first = lane() * lane_shares;
  own = 0;
  for (int32_t i = first; i < first + lane_shares && i < all_warps; ++i) own += memory.sums[i];
  const uint64_t running = warp_running_sum(own);
  const uint64_t wanted = drawn_weight(parameters, position, __shfl_sync(all_lanes, running, warp_size - 1));
  uint64_t before = running - own;
  int32_t owner = first;
  const bool has_it = before < wanted && wanted <= running;
  while (has_it && before + memory.sums[owner] < wanted) before += memory.sums[owner++];
  const int source = __ffs(static_cast<int>(__ballot_sync(all_lanes, has_it))) - 1;
  owner = __shfl_sync(all_lanes, owner, source);
  before = __shfl_sync(all_lanes, before, source);
  return owner == warp_of_row() ? find_drawn(weighing, floor, wanted - before) : -1;
}

}  // namespace

extern "C" __global__ void __launch_bounds__(THREADS, 1) sample(const __grid_constant__ SampleParams params) {
  let_successor_start();
  // What the host says of a step is there before any launch of it.
  const auto row = static_cast<int32_t>(blockIdx.x) / CLUSTER;
  const bool has_row = row < rows_of(params.counts);
  const SequenceSpan span = has_row ? params.spans[params.row_sequence[row]] : SequenceSpan{};
  const int32_t position = has_row ? params.row_positions[row] : 0;
  wait_for_predecessors();
  if (!has_row) return;
  cluster_arrive();
  __shared__ alignas(16) unsigned char storage[sizeof(Memory)];
  Memory& memory = *reinterpret_cast<Memory*>(storage);
  const auto thread = static_cast<int32_t>(threadIdx.x);
  const bool writes_result = cluster_rank() == 0 && thread < warp_size;

  SampledLogits logits = model_logits(params, row);
  const Batch batch(logits, logits.first + 4 * lane());
  read_adjustments(params, row, span, position, memory.filter, logits);
  const SamplingParameters& parameters = *logits.parameters;
  const float temperature = parameters.temperature;
  const int32_t top_logprobs = parameters.top_logprobs;
  if (writes_result) {
    if (thread == 0) memory.result.top_count = 0;
    if (thread < max_top_logprobs) memory.result.top_ids[thread] = -1, memory.result.top_logprobs[thread] = no_logit;
  }
  Look look = look_at(logits, batch);
  look.add_lanes();
  cluster_wait();
  share(memory.looks, look);
  cluster_sync();
  look = Look();
  for (int32_t i = lane() * lane_shares; i < (lane() + 1) * lane_shares && i < all_warps; ++i)
    look.add(memory.looks[i]);
  look.add_lanes();

  const double log_sum = logf(look.sum);
  const auto logprob = [&](float logit) {
    return logit == no_logit ? no_logit : static_cast<float>(static_cast<double>(logit) - look.largest - log_sum);
  };
  if (top_logprobs > 0 && look.largest != no_logit) {
    const Weighing weighing{logits, look.largest, true};
    const int32_t limit = top_logprobs < max_top_logprobs ? top_logprobs : max_top_logprobs;
    const uint64_t last = Selection(memory.select, weighing, Measure::one, 0).threshold(limit);
    logits.for_each([&](int32_t id, float logit) {
      const uint64_t key = candidate_key(logit, id);
      if (key < last) return;
      *of_block(&memory.select.keys[atomicAdd(of_block(&memory.result.top_count, 0), 1)], 0) = key;
    });
    cluster_sync();
    if (writes_result && thread < memory.result.top_count) {
      const uint64_t key = memory.select.keys[thread];
      int32_t better = 0;
      for (int32_t i = 0; i < memory.result.top_count; ++i) better += memory.select.keys[i] > key ? 1 : 0;
      memory.result.top_ids[better] = key_id(key);
      memory.result.top_logprobs[better] = logprob(key_logit(key));
    }
  }
  int32_t id = -1;
  const bool draws = look.best != 0 && temperature > 0;
  if (!draws && writes_result && thread == 0) {
    id = look.best != 0 ? key_id(look.best) : look.lowest < params.vocabulary ? look.lowest : 0;
  }
  if (draws) {
    id = draw(memory, {logits, key_logit(look.best), false}, int64_t{position} + 1);
  }
  if (id >= 0) {
    of_block(&memory.result, 0)->id = id;
    // The best candidate of a row that nothing changes has its largest logit.
    const bool is_largest = !draws && look.best != 0 && !logits.is_adjusted();
    of_block(&memory.result, 0)->logprob = logprob(is_largest ? look.largest : ordered_logit(logits.logits[id]));
  }
  if (draws) cluster_sync();
  if (!writes_result) return;
  __syncwarp();
  constexpr int32_t words = sizeof(SampledRow) / sizeof(int32_t);
  for (int32_t i = thread; i < words; i += warp_size) {
    reinterpret_cast<int32_t*>(params.output + row)[i] = reinterpret_cast<const int32_t*>(&memory.result)[i];
  }
  if (thread == 0 && row == span.first_row + span.rows - 1) {
    params.slots.slots[span.slot].last_token = memory.result.id;
  }
}
