// The plan of a graph that is no decoder: its operations, and how many rows one launch has.
#include <algorithm>
#include <utility>

#include "base/error.h"
#include "compile/buckets.h"
#include "compile/pack.h"
#include "compile/stages.h"

namespace incipit {
namespace {

/// Why the passes did not make a decoder of the graph.
std::string why_plain(const std::vector<PassReport>& passes) {
  const auto packing = std::ranges::find(passes, "pack_tokens", &PassReport::name);
  if (packing == passes.end()) return "pack_tokens was left out";
  return packing->note.empty() ? "it has no input_ids, or inputs that decoders do not have" : packing->note;
}

}  // namespace

Planned plan_plain_graph(Rewritten rewritten, const CompileOptions& options, const Target& target) {
  for (const auto& [option, given] : {std::pair("--max-context", options.max_context), {"--memory", options.memory}}) {
    if (given != 0) throw Error(option, "means nothing to a plain graph, which has no sequences", "leave it out");
  }
  Planned planned(std::move(rewritten));
  planned.model.chat_template.clear();  // tensors go in and come out, no text
  planned.draft = lower_plain_graph(planned.model.graph, planned.ports);
  plan::PlanT& plan = planned.draft.plan;
  for (const uint32_t rows : {32U, unsigned32(largest_step)}) {
    plan::BucketT& bucket = plan.buckets.emplace_back();  // no offsets: values come and go as the graph runs
    bucket.tokens = bucket.rows = rows;
    bucket.sequences = 1;
  }
  planned.report.plain = why_plain(planned.report.passes);
  planned.report.steps = static_cast<int32_t>(plan.graph->operations.size());
  planned.report.launches = static_cast<int32_t>(plan.steps.size());
  choose_layouts(planned.draft, target);
  planned.report.weight_bytes = weight_bytes(planned.draft);
  return planned;
}

}  // namespace incipit
