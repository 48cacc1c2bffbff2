#include <fmt/format.h>

#include <iterator>
#include <string>

#include "base/readable.h"
#include "engine/describe_plain_graph.h"
#include "engine/engine.h"
#include "engine/plan_items.h"

namespace incipit {
namespace {

class PlanText {
 public:
  explicit PlanText(const plan::Plan& plan) : plan_(plan) {}

  std::string take() {
    if (plan_.graph() != nullptr) {
      line("plan precision={} of a plain graph", text(plan_.precision()));
      describe_weights();
      line("steps {}", count(plan_.steps()));
      for (uint32_t i = 0; i < count(plan_.steps()); ++i) describe_step(static_cast<int>(i), *plan_.steps()->Get(i));
      return text_ + describe_plain_graph(*plan_.graph());
    }
    describe_sizes();
    describe_buckets();
    describe_groups();
    describe_weights();
    describe_buffers();
    line("steps {}", count(plan_.steps()));
    describe_step(-1, *plan_.resolve_tokens());
    for (uint32_t i = 0; i < count(plan_.steps()); ++i) describe_step(static_cast<int>(i), *plan_.steps()->Get(i));
    describe_step(-1, *plan_.sample());
    return std::move(text_);
  }

 private:
  template <typename... Parts>
  void line(fmt::format_string<Parts...> format, Parts&&... parts) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Parts>(parts)...);
    text_ += '\n';
  }

  void describe_sizes() {
    line("plan precision={} vocabulary={} hidden={} layers={} max_context={} max_sequences={}", text(plan_.precision()),
         plan_.vocabulary(), plan_.hidden(), plan_.layers(), plan_.max_context(), plan_.max_sequences());
    std::string ends;
    for (int32_t id : items(plan_.end_ids())) ends += (ends.empty() ? "" : ",") + std::to_string(id);
    line("tokens begin={} end={}", plan_.begin_id(), ends.empty() ? "none" : ends);
    line("memory limit={}",
         plan_.memory_limit() == 0 ? "none" : readable_bytes(static_cast<double>(plan_.memory_limit())));
  }

  void describe_buckets() {
    line("buckets {}", count(plan_.buckets()));
    for (const plan::Bucket* bucket : items(plan_.buckets())) {
      line("  tokens<={} rows<={} sequences<={} arena={}", bucket->tokens(), bucket->rows(), bucket->sequences(),
           readable_bytes(static_cast<double>(bucket->arena_bytes())));
    }
  }

  void describe_groups() {
    line("cache groups {}", count(plan_.groups()));
    for (const plan::CacheGroup* group : items(plan_.groups())) {
      std::string planes;
      for (const plan::CachePlane* plane : items(group->planes())) {
        planes +=
            fmt::format(" {}={}×{}:{}{}", text(plane->role()), plane->heads(), plane->width(), text(plane->dtype()),
                        text(plane->scale()).empty() ? "" : fmt::format("·{}", text(plane->scale())));
      }
      line("  layers={} window={} kind={}{} layout={} page={} tokens, {}", count(group->layers()), group->window(),
           plan::EnumNameCacheKind(group->kind()), planes, text(group->layout()), group->page_tokens(),
           readable_bytes(static_cast<double>(group->page_bytes())));
    }
  }

  void describe_weights() {
    uint64_t total = 0;
    for (const plan::Weight* weight : items(plan_.weights())) {
      for (const plan::Plane* plane : items(weight->planes())) total += plane->bytes();
    }
    line("weights {}, {}", count(plan_.weights()), readable_bytes(static_cast<double>(total)));
    for (uint32_t i = 0; i < count(plan_.weights()); ++i) {
      const plan::Weight& weight = *plan_.weights()->Get(i);
      std::string planes;
      for (const plan::Plane* plane : items(weight.planes())) {
        planes += fmt::format(" {}:{}@{}+{}", plan::EnumNamePlaneRole(plane->role()), text(plane->dtype()),
                              plane->offset(), plane->bytes());
      }
      const std::string experts = weight.experts() > 1 ? fmt::format("{} × ", weight.experts()) : "";
      line("  w{} {} {}[{}, {}] {} {}{}{}", i, text(weight.name()), experts, weight.rows(), weight.columns(),
           text(weight.layout()), text(weight.format()), traits_of(weight), planes);
      for (const plan::WeightSource* source : items(weight.sources())) {
        line("     from {}{}", part_of(*source, weight.columns()),
             text(source->gain()).empty() ? "" : fmt::format(" × {}", text(source->gain())));
      }
    }
  }

  /// "T[0:8]": rows; "T[:, 0:8]": columns; else what gives an element of row r and column c.
  static std::string part_of(const plan::WeightSource& source, uint64_t columns) {
    const std::string_view tensor = text(source.tensor());
    const uint64_t first = source.first(), rows = source.rows(), step = source.row_step();
    if (source.column_step() == 1 && step == columns && first % columns == 0) {
      return fmt::format("{}[{}:{}]", tensor, first / columns, first / columns + rows);
    }
    if (step == 1 && first + rows <= source.column_step())
      return fmt::format("{}[:, {}:{}]", tensor, first, first + rows);
    return fmt::format("{}[{} + {}r + {}c], {} rows", tensor, first, step, source.column_step(), rows);
  }

  /// What most weights are without.
  static std::string traits_of(const plan::Weight& weight) {
    std::string traits;
    if (weight.pairing() != plan::Pairing::none) {
      traits += fmt::format(" pairs={}", plan::EnumNamePairing(weight.pairing()));
    }
    if (weight.block_rows() > 0 || weight.block_columns() > 0) {
      traits += fmt::format(" blocks={}×{}", weight.block_rows(), weight.block_columns());
    }
    if (weight.ranks() > 1) traits += fmt::format(" rank={}/{}", weight.rank(), weight.ranks());
    return traits;
  }

  void describe_buffers() {
    line("buffers {}", count(plan_.buffers()));
    for (uint32_t i = 0; i < count(plan_.buffers()); ++i) {
      const plan::Buffer& buffer = *plan_.buffers()->Get(i);
      std::string offsets;
      for (const plan::Bucket* bucket : items(plan_.buckets())) {
        offsets += fmt::format(" {}", bucket->offsets()->Get(i));
      }
      line("  b{} {} {}[{}, {}]{} at{}", i, text(buffer.name()), text(buffer.dtype()), axis_name(buffer.axis()),
           buffer.width(), i == plan_.logits() ? " logits" : "", offsets);
    }
  }

  static std::string_view axis_name(plan::Axis axis) { return axis == plan::Axis::tokens ? "tokens" : "rows"; }

  std::string operand_text(const plan::Operand& operand) const {
    switch (operand.space()) {
      case plan::Space::absent: return "-";
      case plan::Space::buffer: {
        const bool whole = operand.column() == 0 && operand.width() == plan_.buffers()->Get(operand.index())->width();
        return whole ? fmt::format("b{}", operand.index())
                     : fmt::format("b{}[{}:{}]", operand.index(), operand.column(), operand.column() + operand.width());
      }
      case plan::Space::weight: return fmt::format("w{}", operand.index());
      case plan::Space::ids: return "ids";
      case plan::Space::positions: return "positions";
      case plan::Space::rows: return "rows";
      case plan::Space::row_positions: return "row_positions";
      case plan::Space::cache: return fmt::format("cache{}.{}", operand.index(), operand.column());
    }
    return "?";
  }

  std::string operands_text(const flatbuffers::Vector<flatbuffers::Offset<plan::Operand>>* operands) const {
    std::string result;
    for (const plan::Operand* operand : items(operands)) {
      result += (result.empty() ? "" : ", ") + operand_text(*operand);
    }
    return result;
  }

  /// `number` < 0: one of the steps that frame the others.
  void describe_step(int number, const plan::Step& step) {
    line("  {} {} ({}) -> ({})  {}", number < 0 ? "*" : fmt::format("s{}", number), text(step.name()),
         operands_text(step.inputs()), operands_text(step.outputs()), text(step.problem()));
    for (const plan::KernelUse* use : items(step.kernels())) {
      if (text(use->kernel()).empty()) {
        line("     up to {} {}: nothing, as readers make it", use->rows(), axis_name(step.axis()));
        continue;
      }
      line("     up to {} {}: {} abi {} {}{}", use->rows(), axis_name(step.axis()), text(use->kernel()), use->abi(),
           text(use->config()), text(use->function()).empty() ? "" : fmt::format(" {}", text(use->function())));
    }
  }

  const plan::Plan& plan_;
  std::string text_;
};

}  // namespace

std::string describe_plan(const plan::Plan& plan) { return PlanText(plan).take(); }

}  // namespace incipit
