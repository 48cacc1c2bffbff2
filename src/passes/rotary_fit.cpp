#include "passes/rotary_fit.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <set>

#include "passes/primitive_match.h"
#include "passes/probe.h"

namespace incipit {
namespace {

/// Rows of cosines and sines, and the position of the first; the others follow.
struct Tables {
  int64_t first_position = 0, rows = 0, pairs = 0;
  std::vector<float> cosines, sines;  // [rows, pairs]
  double rounding = 0;                // that they went through
};

std::vector<float> floats_of(const Tensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.elements()));
  convert_to_float(tensor.dtype(), tensor.data(), values.data(), values.size());
  return values;
}

bool are_of(DType dtype, std::vector<float> values) {
  const std::vector<float> before = values;
  std::vector<std::byte> narrow(values.size() * size_of(dtype));
  convert_from_float(values.data(), dtype, narrow.data(), values.size());
  convert_to_float(dtype, narrow.data(), values.data(), values.size());
  return values == before;
}

std::optional<Tables> tables_of(const Tensor* cosines, const Tensor* sines, int64_t first, int64_t rows) {
  if (cosines == nullptr || sines == nullptr || cosines->shape().empty() || cosines->shape() != sines->shape()) {
    return std::nullopt;
  }
  const int64_t pairs = cosines->shape().back();
  if (pairs < 1 || rows < 1 || cosines->elements() != rows * pairs) return std::nullopt;
  Tables tables{first, rows, pairs, floats_of(*cosines), floats_of(*sines)};
  // Not the type's, which may be that of a conversion behind the table.
  tables.rounding = are_of(DType::bf16, tables.sines) ? 0x1p-7 : are_of(DType::f16, tables.sines) ? 0x1p-10 : 0x1p-21;
  return tables;
}

/// One of each pair's columns; nothing where the other's are not the same.
std::optional<Tensor> one_of_each(const Tensor* table, bool neighbours) {
  if (table == nullptr || table->shape().empty() || table->shape().back() % 2 != 0) return std::nullopt;
  const int64_t width = table->shape().back(), pairs = width / 2;
  Shape shape = table->shape();
  shape.back() = pairs;
  Tensor single(table->dtype(), shape);
  const auto bytes = size_of(table->dtype());
  for (int64_t i = 0; i < single.elements(); ++i) {
    const int64_t row = i / pairs, pair = i % pairs;
    const int64_t at = row * width + (neighbours ? 2 * pair : pair), beside = at + (neighbours ? 1 : pairs);
    const std::byte* const first = table->data() + static_cast<size_t>(at) * bytes;
    if (std::memcmp(first, table->data() + static_cast<size_t>(beside) * bytes, bytes) != 0) return std::nullopt;
    std::memcpy(single.data() + static_cast<size_t>(i) * bytes, first, bytes);
  }
  return single;
}

bool fits(const Tables& tables, const RotaryFit& fit) {
  const double factor = fit.factor;
  for (int64_t row = 0; row < tables.rows; ++row) {
    for (int64_t j = 0; j < tables.pairs; ++j) {
      const auto at = static_cast<size_t>(row * tables.pairs + j);
      const double angle = static_cast<double>(tables.first_position + row) *
                           static_cast<double>(fit.inverse_frequency[static_cast<size_t>(j)]);
      // The angle itself was rounded to f32.
      const double allowed = factor * (tables.rounding + std::abs(angle) * 0x1p-22);
      const double cosine = tables.cosines[at], sine = tables.sines[at];
      if (!(std::abs(cosine - factor * std::cos(angle)) <= allowed)) return false;
      if (!(std::abs(sine - factor * std::sin(angle)) <= allowed)) return false;
    }
  }
  return true;
}

/// Floating constants of at most so many elements that the values are computed from.
std::vector<ConstantPtr> constants_behind(const Graph& graph, const std::vector<ValueId>& values, int64_t most) {
  std::set<ValueId> wanted(values.begin(), values.end());
  std::vector<ConstantPtr> found;
  for (auto n = graph.order().rbegin(); n != graph.order().rend(); ++n) {
    const Node& node = graph.node(*n);
    if (std::none_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) { return wanted.contains(id); })) {
      continue;
    }
    for (const ValueId input : node.inputs) {
      if (input == none || !wanted.insert(input).second) continue;
      const ConstantPtr& constant = graph.value(input).constant;
      if (!constant || constant->rows() * constant->row_elements() > most) continue;
      if (is_floating(constant->dtype()) && constant->dtype() != DType::f64) found.push_back(constant);
    }
  }
  return found;
}

/// What the tables show. Finely rounded ones do in the first row; of others the angles of all rows say more, each
/// counted on from what those before it let expect.
RotaryFit shown_by(const Tables& tables) {
  const auto pairs = static_cast<size_t>(tables.pairs);
  const bool is_fine = tables.rounding <= 0x1p-20;
  RotaryFit shown;
  double lengths = 0;
  for (size_t j = 0; j < pairs; ++j) {
    double frequency = 0, weighted = 0, weight = 0;
    const int64_t last = is_fine ? 1 : tables.rows - 1;
    for (int64_t row = 1; row <= last; ++row) {
      const size_t at = static_cast<size_t>(row) * pairs + j;
      const double cosine = tables.cosines[at], sine = tables.sines[at];
      const auto position = static_cast<double>(row);
      const double expected = frequency * position;
      lengths += std::hypot(cosine, sine);
      const double angle = expected + std::remainder(std::atan2(sine, cosine) - expected, 2 * std::numbers::pi);
      weighted += position * angle;
      weight += position * position;
      frequency = weighted / weight;
    }
    shown.inverse_frequency.push_back(static_cast<float>(frequency));
  }
  shown.factor = tables.cosines[0];
  if (!is_fine) {
    const double mean = lengths / static_cast<double>(tables.pairs * (tables.rows - 1));
    shown.factor = std::abs(mean - 1) < tables.rounding ? 1 : static_cast<float>(mean);
  }
  return shown;
}

/// The powers θ^(−j / pairs), over a whole number where positions are stretched, of the roundest θ for which the tables
/// are these: what almost all models have.
std::optional<RotaryFit> powers_like(const Tables& tables, const RotaryFit& shown) {
  const std::vector<float>& seen = shown.inverse_frequency;
  const auto pairs = static_cast<double>(seen.size());
  const double stretch = std::round(1 / static_cast<double>(seen[0]));
  size_t telling = 0;  // the pair whose frequency says most about θ
  double most = 0;
  for (size_t j = 1; j < seen.size(); ++j) {
    const double weight = static_cast<double>(j) * static_cast<double>(seen[j]);
    if (weight > most) most = weight, telling = j;
  }
  if (telling == 0 || !(stretch >= 1)) return std::nullopt;
  const double estimate = std::pow(static_cast<double>(seen[telling]) * stretch, -pairs / static_cast<double>(telling));
  const bool plausible = estimate > 1 && estimate < 1e12;  // no NaN is
  if (!plausible) return std::nullopt;
  RotaryFit powers{{}, shown.factor};
  for (int digits = 1; digits <= 7; ++digits) {
    const double unit = std::pow(10, std::floor(std::log10(estimate)) + 1 - digits);
    const double base = std::round(estimate / unit) * unit;
    powers.inverse_frequency.clear();
    for (size_t j = 0; j < seen.size(); ++j) {
      // As Transformers rounds them.
      const auto exponent = static_cast<float>(j) / static_cast<float>(seen.size());
      const auto period = static_cast<float>(std::pow(base, static_cast<double>(exponent)));
      powers.inverse_frequency.push_back(1 / period / static_cast<float>(stretch));
    }
    if (fits(tables, powers)) return powers;
  }
  return std::nullopt;
}

std::optional<RotaryFit> fit(const Graph& graph, const Tables& tables, const std::vector<ValueId>& sources) {
  if (tables.first_position != 0 || tables.rows < 2) return std::nullopt;
  const RotaryFit shown = shown_by(tables);
  // What the table shows is rounded; the constants behind it are what it was made with.
  RotaryFit exact = shown;
  bool has_frequencies = false;
  const auto pairs = static_cast<size_t>(tables.pairs);
  const auto slack = static_cast<float>(4 * tables.rounding);
  const auto near = [&](float value, float wanted) {
    return std::abs(value - wanted) <= slack * std::max(std::abs(wanted), 0.25F);
  };
  for (const ConstantPtr& constant : constants_behind(graph, sources, 2 * tables.pairs)) {
    std::vector<float> values(static_cast<size_t>(constant->rows() * constant->row_elements()));
    constant->read_floats(0, constant->rows(), values.data());
    if (values.size() == 1 && near(values[0], shown.factor)) exact.factor = values[0];
    if (values.size() != pairs && values.size() != 2 * pairs) continue;
    bool all = true;
    for (size_t j = 0; j < pairs; ++j) all = all && near(values[j], shown.inverse_frequency[j]);
    if (!all) continue;
    exact.inverse_frequency.assign(values.begin(), values.begin() + static_cast<ptrdiff_t>(pairs));
    has_frequencies = true;
  }
  if (has_frequencies && fits(tables, exact)) return exact;
  if (std::optional<RotaryFit> powers = powers_like(tables, shown)) return powers;
  return fits(tables, shown) ? std::optional(shown) : std::nullopt;
}

}  // namespace

namespace {

std::optional<std::vector<int64_t>> probed_integers(const Graph& graph, const DecoderInputs& inputs, ValueId value,
                                                    int64_t past, int64_t seq) {
  Probe probe(graph, inputs, past, seq);
  const Tensor* seen = probe.value(value);
  if (seen == nullptr || (seen->dtype() != DType::i32 && seen->dtype() != DType::i64)) return std::nullopt;
  return primitives::integers(*seen);
}

/// Extents that tell apart what depends on them in different ways; no earlier tokens where the graph takes none.
std::vector<std::pair<int64_t, int64_t>> telling_extents(const DecoderInputs& inputs) {
  if (inputs.past.empty()) return {{0, 7}, {0, 1}};
  return {{0, 7}, {3, 4}, {6, 1}};
}

}  // namespace

bool is_position(const Graph& graph, const DecoderInputs& inputs, ValueId value) {
  for (const auto& [past, seq] : telling_extents(inputs)) {
    const auto seen = probed_integers(graph, inputs, value, past, seq);
    if (!seen || std::ssize(*seen) != seq) return false;
    for (int64_t i = 0; i < seq; ++i) {
      if ((*seen)[static_cast<size_t>(i)] != past + i) return false;
    }
  }
  return true;
}

bool counts_tokens(const Graph& graph, const DecoderInputs& inputs, ValueId value, int64_t new_tokens) {
  if (value == none) return inputs.past.empty() && new_tokens == 0;
  for (const auto& [past, seq] : telling_extents(inputs)) {
    const auto seen = probed_integers(graph, inputs, value, past, seq);
    if (!seen || seen->size() != 1 || seen->front() != past + new_tokens * seq) return false;
  }
  return true;
}

const RotaryFit* RotaryFits::of(const Node& rotary) {
  const ValueId cosines = past_casts(graph_, rotary.inputs.at(1)), sines = past_casts(graph_, rotary.inputs.at(2));
  const bool has_positions = rotary.inputs.size() > 3 && rotary.inputs[3] != none;
  if (has_positions && !is_position(graph_, inputs_, rotary.inputs[3])) return nullptr;
  const auto& op = dynamic_cast<const ops::RotaryEmbedding&>(*rotary.op);
  const Columns columns = !op.spelled_out  ? Columns::one
                          : op.interleaved ? Columns::both_neighbours
                                           : Columns::both_halves;
  const auto [found, is_new] = known_.try_emplace({cosines, sines, columns});
  if (is_new) {
    found->second = has_positions ? of_all_positions(cosines, sines) : of_these_positions(cosines, sines, columns);
  }
  return found->second ? &*found->second : nullptr;
}

std::optional<RotaryFit> RotaryFits::of_all_positions(ValueId cosines, ValueId sines) const {
  const ConstantPtr& first = graph_.value(cosines).constant;
  const ConstantPtr& second = graph_.value(sines).constant;
  if (!first || !second || first->shape().size() != 2) return std::nullopt;
  const Tensor all_cosines = first->materialise(), all_sines = second->materialise();
  const auto tables = tables_of(&all_cosines, &all_sines, 0, first->rows());
  return tables ? fit(graph_, *tables, {cosines, sines}) : std::nullopt;
}

std::optional<RotaryFit> RotaryFits::of_these_positions(ValueId cosines, ValueId sines, Columns columns) const {
  constexpr int64_t near = 64, far = 5'000, farthest = 1 << 20, prompt = 2'048;
  const auto seen = [&](int64_t past, int64_t seq) -> std::optional<Tables> {
    Probe probe(graph_, inputs_, past, seq);
    const Tensor *all_cosines = probe.value(cosines), *all_sines = probe.value(sines);
    if (columns == Columns::one) return tables_of(all_cosines, all_sines, past, seq);
    const bool neighbours = columns == Columns::both_neighbours;
    const auto some_cosines = one_of_each(all_cosines, neighbours), some_sines = one_of_each(all_sines, neighbours);
    return some_cosines && some_sines ? tables_of(&*some_cosines, &*some_sines, past, seq) : std::nullopt;
  };
  const auto tables = seen(0, near);
  const std::optional<RotaryFit> found = tables ? fit(graph_, *tables, {cosines, sines}) : std::nullopt;
  if (!found) return std::nullopt;
  // Far positions tell scaled rotations from those that only begin alike.
  const bool can_be_far = !inputs_.past.empty() || inputs_.position != none;
  const auto more = can_be_far ? seen(far, 3) : seen(0, prompt);
  if (!more || !fits(*more, *found)) return std::nullopt;
  // Some begin to differ farther still. A table that was stored ends before, and what it rounds hides the angles there.
  const bool can_tell = can_be_far && tables->rounding <= 0x1p-20;
  for (int64_t past = 2 * far; can_tell && past <= farthest; past *= 4) {
    const auto last = seen(past, 3);
    if (last && !fits(*last, *found)) return std::nullopt;
  }
  return found;
}

}  // namespace incipit
