#include "compile/write_plan.h"

#include <span>
#include <type_traits>

#include "compile/write_plain_graph.h"
#include "engine/plan_generated.h"

namespace incipit {
namespace {

using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;
using flatbuffers::Vector;

uint32_t unsigned32(int64_t value) {
  INCIPIT_ASSERT(value >= 0 && value <= UINT32_MAX);
  return static_cast<uint32_t>(value);
}

plan::Axis axis_of(DraftAxis axis) { return axis == DraftAxis::tokens ? plan::Axis::tokens : plan::Axis::rows; }

plan::Space space_of(DraftSpace space) {
  switch (space) {
    case DraftSpace::absent: return plan::Space::absent;
    case DraftSpace::buffer: return plan::Space::buffer;
    case DraftSpace::weight: return plan::Space::weight;
    case DraftSpace::ids: return plan::Space::ids;
    case DraftSpace::positions: return plan::Space::positions;
    case DraftSpace::rows: return plan::Space::rows;
    case DraftSpace::row_positions: return plan::Space::row_positions;
    case DraftSpace::cache: return plan::Space::cache;
  }
  INCIPIT_ASSERT(!"space");
}

/// Builds tables bottom up, as FlatBuffers wants; equal strings are stored once.
class PlanWriter {
 public:
  std::vector<std::byte> write(const Packed& packed, std::string_view precision_name) {
    const PlanDraft& draft = packed.draft;
    const Model& model = packed.model;
    const auto weights =
        all(draft.weights.size(), [&](size_t i) { return weight(draft.weights[i], packed.planes.at(i)); });
    const auto buffers = all(draft.buffers.size(), [&](size_t i) { return buffer(draft.buffers[i]); });
    const auto steps = all(packed.steps.size(), [&](size_t i) { return step(packed.steps[i]); });
    const auto buckets =
        all(packed.buckets.size(), [&](size_t i) { return bucket(packed.buckets[i], packed.arenas.at(i)); });
    const auto groups = all(draft.groups.size(), [&](size_t i) { return group(draft.groups[i]); });
    Offset<plan::Step> resolve_tokens, sample;
    Offset<plan::PlainGraph> graph;
    if (draft.graph) {
      graph = write_plain_graph(builder_, draft, packed.constants);
    } else {
      resolve_tokens = step(packed.frame.at(0));
      sample = step(packed.frame.at(1));
    }
    std::vector<int32_t> ends;
    for (int64_t id : model.end_ids) ends.push_back(static_cast<int32_t>(id));
    const auto end_ids = builder_.CreateVector(ends);
    const auto precision = text(precision_name);

    plan::PlanBuilder plan(builder_);
    plan.add_vocabulary(unsigned32(model.vocabulary));
    plan.add_hidden(unsigned32(model.hidden));
    plan.add_layers(unsigned32(model.layers));
    plan.add_max_context(unsigned32(packed.max_context));
    plan.add_max_sequences(unsigned32(packed.max_sequences));
    plan.add_memory_limit(packed.memory_limit);
    plan.add_begin_id(static_cast<int32_t>(model.begin_id));
    plan.add_end_ids(end_ids);
    plan.add_precision(precision);
    plan.add_weights(weights);
    plan.add_buffers(buffers);
    plan.add_steps(steps);
    if (!draft.graph) plan.add_logits(unsigned32(draft.logits));
    plan.add_buckets(buckets);
    plan.add_groups(groups);
    plan.add_resolve_tokens(resolve_tokens);
    plan.add_sample(sample);
    plan.add_graph(graph);
    plan::FinishPlanBuffer(builder_, plan.Finish());
    const auto bytes = std::as_bytes(std::span(builder_.GetBufferPointer(), builder_.GetSize()));
    return {bytes.begin(), bytes.end()};
  }

 private:
  Offset<flatbuffers::String> text(std::string_view value) {
    return builder_.CreateSharedString(value.data(), value.size());
  }

  template <typename F>
  Offset<Vector<std::invoke_result_t<F, size_t>>> all(size_t count, const F& make) {
    std::vector<std::invoke_result_t<F, size_t>> offsets;
    for (size_t i = 0; i < count; ++i) offsets.push_back(make(i));
    return builder_.CreateVector(offsets);
  }

  Offset<plan::Weight> weight(const DraftWeight& weight, const std::vector<WrittenPlane>& written) {
    const auto planes = all(written.size(), [&](size_t i) {
      return plan::CreatePlane(builder_, text(written[i].kind), text(name_of(written[i].dtype)), written[i].offset,
                               written[i].bytes);
    });
    const Shape& shape = weight.values->shape();
    const std::string_view format = weight.dense ? name_of(weight.values->dtype()) : name_of(weight.format);
    return plan::CreateWeight(builder_, text(weight.name), text(weight.dense ? "dense" : panel_layout), text(format),
                              unsigned32(shape.empty() ? 1 : shape[0] / weight.experts),
                              unsigned32(shape.size() < 2 ? 1 : shape[1]), weight.gated, planes,
                              unsigned32(weight.experts));
  }

  Offset<plan::Buffer> buffer(const DraftBuffer& buffer) {
    return plan::CreateBuffer(builder_, text(buffer.name), text(name_of(buffer.dtype)), axis_of(buffer.axis),
                              unsigned32(buffer.width));
  }

  Offset<Vector<Offset<plan::Operand>>> operands(const std::vector<DraftOperand>& list) {
    return all(list.size(), [&](size_t i) {
      return plan::CreateOperand(builder_, space_of(list[i].space), unsigned32(list[i].index),
                                 unsigned32(list[i].column), unsigned32(list[i].width));
    });
  }

  Offset<plan::Step> step(const PlannedStep& planned) {
    const DraftStep& step = planned.step;
    const auto inputs = operands(step.inputs);
    const auto outputs = operands(step.outputs);
    const auto kernels = all(planned.kernels.size(), [&](size_t i) {
      const KernelChoice& choice = planned.kernels[i];
      return plan::CreateKernelUse(builder_, text(choice.kernel), choice.abi, text(choice.config));
    });
    return plan::CreateStep(builder_, text(step.name), text(step.problem), axis_of(step.axis), inputs, outputs,
                            kernels);
  }

  Offset<plan::Bucket> bucket(const BucketBounds& bounds, const ArenaPlan& arena) {
    return plan::CreateBucket(builder_, unsigned32(bounds.tokens), unsigned32(bounds.rows),
                              unsigned32(bounds.sequences), arena.bytes, builder_.CreateVector(arena.offsets));
  }

  Offset<plan::CacheGroup> group(const DraftCacheGroup& group) {
    std::vector<uint32_t> layers;
    for (int64_t layer : group.layers) layers.push_back(unsigned32(layer));
    const KvGeometry& geometry = group.geometry;
    return plan::CreateCacheGroup(builder_, builder_.CreateVector(layers), unsigned32(group.window),
                                  unsigned32(geometry.kv_heads), unsigned32(geometry.head_dim),
                                  text(name_of(geometry.dtype)), unsigned32(geometry.tokens),
                                  static_cast<uint64_t>(geometry.page_bytes()), text(kv_layout));
  }

  FlatBufferBuilder builder_;
};

}  // namespace

std::vector<std::byte> write_plan(const Packed& packed, std::string_view precision) {
  return PlanWriter().write(packed, precision);
}

}  // namespace incipit
