#include <map>
#include <tuple>

#include "graph/graph.h"
#include "graph/ops/apply_rotary.h"
#include "graph/ops/gather_rows.h"
#include "graph/ops/rotary.h"
#include "graph/ops/rotary_table.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace incipit {
namespace {

class FrequencyTables {
 public:
  explicit FrequencyTables(Graph& graph) : graph_(graph) {}

  /// The table for a Rotary node: an earlier one for the same angles, else a new one before it. For gathered positions
  /// the rows of the tokens' table are gathered, where there is one: a copy is cheaper than cosines.
  ValueId table(NodeId node) {
    const ValueId position = input_of(graph_, node, 1), frequency = input_of(graph_, node, 2);
    const ops::Rotary& rotary = *graph_.op_as<ops::Rotary>(node);
    ValueId& made = tables_.try_emplace(key(position, frequency, rotary), none).first->second;
    if (made != none) return made;
    if (graph_.producer_as<ops::GatherRows>(position)) {
      const NodeId gather = graph_.value(position).producer;
      const auto whole = tables_.find(key(input_of(graph_, gather, 0), frequency, rotary));
      if (whole != tables_.end() && whole->second != none) {
        made = graph_.insert(node, graph_.value(whole->second).name + ".sampled", ops::GatherRows{},
                             {whole->second, input_of(graph_, gather, 1)});
        return made;
      }
    }
    ops::RotaryTable op;
    op.factor = rotary.factor;
    op.growth = rotary.growth;
    op.growth_length = rotary.growth_length;
    made = graph_.insert(node, "rotary_table", op, {position, frequency});
    return made;
  }

 private:
  using Key = std::tuple<ValueId, std::string, float, float, int64_t>;
  Key key(ValueId position, ValueId frequency, const ops::Rotary& rotary) const {
    const Value& value = graph_.value(frequency);
    return {position, value.constant ? value.constant->digest().hex() : value.name, rotary.factor, rotary.growth,
            rotary.growth == 0 ? 1 : rotary.growth_length};
  }
  Graph& graph_;
  std::map<Key, ValueId> tables_;
};

}  // namespace

void share_rotary(Graph& graph, const PassContext&) {
  FrequencyTables tables(graph);
  for (const bool of_gathered : {false, true}) {
    for (const NodeId n : std::vector<NodeId>(graph.order())) {
      const auto* rotary = graph.op_as<ops::Rotary>(n);
      if (rotary == nullptr) continue;
      if ((graph.producer_as<ops::GatherRows>(input_of(graph, n, 1)) != nullptr) != of_gathered) continue;
      ops::ApplyRotary apply;
      apply.heads = rotary->heads;
      apply.head_dim = rotary->head_dim;
      apply.interleaved = rotary->interleaved;
      const ValueId table = tables.table(n);
      const ValueId applied = graph.insert(n, graph.node(n).name, apply, {input_of(graph, n, 0), table});
      substitute(graph, graph.node(n).outputs[0], applied);
    }
  }
  graph.sort();
}

}  // namespace incipit
