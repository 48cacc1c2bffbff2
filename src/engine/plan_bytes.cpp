#include "engine/plan_bytes.h"

#include <span>

namespace incipit {

std::vector<std::byte> plan_bytes(const plan::PlanT& plan) {
  flatbuffers::FlatBufferBuilder builder;
  plan::FinishPlanBuffer(builder, plan::Plan::Pack(builder, &plan));
  const auto bytes = std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize()));
  return {bytes.begin(), bytes.end()};
}

}  // namespace incipit
