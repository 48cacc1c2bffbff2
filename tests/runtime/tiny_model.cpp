#include "runtime/tiny_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <set>
#include <stdexcept>

#include "engine/writer.h"
#include "kernels/family_list.h"
#include "kernels/problem.h"
#include "kernels/shadow/device_code.h"
#include "kernels/weight_layout.h"
#include "support/packed_weight.h"

namespace incipit {
namespace {

std::vector<float> concatenated(std::initializer_list<const std::vector<float>*> parts) {
  std::vector<float> result;
  for (const std::vector<float>* part : parts) result.insert(result.end(), part->begin(), part->end());
  return result;
}

/// y[n] = W[n, k] · x[k].
std::vector<double> product(const std::vector<float>& w, const std::vector<double>& x) {
  std::vector<double> y(w.size() / x.size());
  for (size_t i = 0; i < y.size(); ++i) {
    for (size_t j = 0; j < x.size(); ++j) y[i] += static_cast<double>(w[i * x.size() + j]) * x[j];
  }
  return y;
}

std::vector<double> normed(const std::vector<double>& x, const std::vector<float>& gain) {
  double squares = 0;
  for (double value : x) squares += value * value;
  const double factor = 1 / std::sqrt(squares / static_cast<double>(x.size()) + TinyModel::epsilon);
  std::vector<double> y(x.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] = x[i] * factor * gain[i];
  return y;
}

void add(std::vector<double>& x, const std::vector<double>& y) {
  for (size_t i = 0; i < x.size(); ++i) x[i] += y[i];
}

void rotate(std::vector<double>& x, size_t position, const std::vector<float>& frequencies) {
  const size_t pairs = frequencies.size();
  for (size_t head = 0; head < x.size(); head += 2 * pairs) {
    for (size_t i = 0; i < pairs; ++i) {
      const double angle = static_cast<double>(position) * frequencies[i];
      const double a = x[head + i], b = x[head + pairs + i];
      x[head + i] = a * std::cos(angle) - b * std::sin(angle);
      x[head + pairs + i] = b * std::cos(angle) + a * std::sin(angle);
    }
  }
}

/// Attention of one query over keys and values [positions][keys].
std::vector<double> attended(const std::vector<double>& q, const std::vector<std::vector<double>>& k,
                             const std::vector<std::vector<double>>& v) {
  constexpr size_t dim = TinyModel::head_dim;
  std::vector<double> out(q.size());
  for (size_t head = 0; head < TinyModel::heads; ++head) {
    const size_t from = head / (TinyModel::heads / TinyModel::kv_heads) * dim;
    std::vector<double> weights;
    double total = 0;
    for (const auto& key : k) {
      double score = 0;
      for (size_t i = 0; i < dim; ++i) score += q[head * dim + i] * key[from + i];
      weights.push_back(std::exp(score / std::sqrt(static_cast<double>(dim))));
      total += weights.back();
    }
    for (size_t at = 0; at < v.size(); ++at) {
      for (size_t i = 0; i < dim; ++i) out[head * dim + i] += weights[at] / total * v[at][from + i];
    }
  }
  return out;
}

/// The first kernel of a target that computes the problem.
plan::KernelUseT kernel_for(const std::string& problem_text, const Target& target) {
  plan::KernelUseT use;
  with_family(family_of(problem_text), [&](auto tag) {
    using Family = typename decltype(tag)::type;
    const auto problem = problem_from_text<typename Family::Problem>(problem_text);
    for (const Kernel<Family>* kernel : kernels_for<Family>(target)) {
      if (!kernel->accepts(problem)) continue;
      use = {{}, 0, std::string(kernel->name), kernel->abi, std::string(kernel->configs[0].name), ""};
      if (target.backend != Backend::cpu) use.function = use.kernel;
      return;
    }
  });
  if (use.kernel.empty()) throw std::logic_error("no kernel for " + problem_text);
  return use;
}

void add_functions(const plan::StepT& step, std::set<DeviceFunction>& functions) {
  for (const plan::KernelUseT& use : step.kernels) functions.insert({use.function, use.abi});
}

/// Adds buffers and steps to a plan.
class PlanBuilder {
 public:
  /// With kernels of the target; of this machine's where that is a processor.
  PlanBuilder(plan::PlanT& plan, const Target& target) : plan_(plan), machine_(this_machine(target.backend)) {}

  plan::OperandT buffer(const std::string& name, plan::Axis axis, int32_t width) {
    plan_.buffers.push_back({{}, name, "f32", axis, static_cast<uint32_t>(width)});
    return {{}, plan::Space::buffer, static_cast<uint32_t>(plan_.buffers.size() - 1), 0, static_cast<uint32_t>(width)};
  }
  static plan::OperandT columns(plan::OperandT whole, int32_t first, int32_t width) {
    whole.column = static_cast<uint32_t>(first);
    whole.width = static_cast<uint32_t>(width);
    return whole;
  }
  plan::OperandT weight(const std::string& name) const {
    for (size_t i = 0; i < plan_.weights.size(); ++i) {
      if (plan_.weights[i].name == name) return {{}, plan::Space::weight, static_cast<uint32_t>(i)};
    }
    throw std::logic_error(name);
  }
  template <typename P>
  void step(const std::string& name, const P& problem, plan::Axis axis, std::vector<plan::OperandT> inputs,
            std::vector<plan::OperandT> outputs) {
    plan_.steps.push_back(make(name, problem, axis, std::move(inputs), std::move(outputs)));
  }
  template <typename P>
  plan::StepT make(const std::string& name, const P& problem, plan::Axis axis, std::vector<plan::OperandT> inputs,
                   std::vector<plan::OperandT> outputs) const {
    plan::StepT made{{}, name, to_text(problem), axis, std::move(inputs), std::move(outputs), {}};
    for (const plan::BucketT& bucket : plan_.buckets) {
      plan::KernelUseT& use = made.kernels.emplace_back(kernel_for(made.problem, machine_));
      use.rows = axis == plan::Axis::tokens ? bucket.tokens : bucket.rows;
    }
    return made;
  }

 private:
  plan::PlanT& plan_;
  Target machine_;
};

}  // namespace

TinyModel::TinyModel(const Target& target)
    : target_(target), pages_(target.backend == Backend::cpu ? PageFormat{16} : page_format(target.backend)) {
  std::mt19937 random(11);
  const auto values = [&](int64_t count, float scale, float mean = 0) {
    std::normal_distribution<float> normal(mean, scale);
    std::vector<float> result(static_cast<size_t>(count));
    for (float& value : result) value = normal(random);
    return result;
  };
  table_ = values(vocabulary * hidden, 1);
  for (int i = 0; i < pairs; ++i) frequencies_.push_back(std::pow(100.0f, -static_cast<float>(i) / pairs));
  for (int i = 0; i < layers; ++i) {
    layers_.push_back({values(hidden, 0.2f, 1), values(queries * hidden, 0.25f), values(keys * hidden, 0.25f),
                       values(keys * hidden, 0.2f), values(hidden * queries, 0.2f), values(hidden, 0.2f, 1),
                       values(ff * hidden, 0.2f), values(ff * hidden, 0.2f), values(hidden * ff, 0.2f)});
  }
  final_gain_ = values(hidden, 0.2f, 1);
  head_ = values(vocabulary * hidden, 0.3f);
}

std::vector<float> TinyModel::forward(std::span<const int32_t> tokens) const {
  std::vector<std::vector<double>> stream;
  for (int32_t token : tokens) {
    stream.emplace_back(table_.begin() + token * hidden, table_.begin() + (token + 1) * hidden);
  }
  for (const Layer& layer : layers_) {
    std::vector<std::vector<double>> k, v;
    for (size_t t = 0; t < stream.size(); ++t) {
      std::vector<double>& x = stream[t];
      const std::vector<double> n = normed(x, layer.input_gain);
      std::vector<double> q = product(layer.query, n);
      k.push_back(product(layer.key, n));
      v.push_back(product(layer.value, n));
      rotate(q, t, frequencies_);
      rotate(k.back(), t, frequencies_);
      add(x, product(layer.output, attended(q, k, v)));
      const std::vector<double> m = normed(x, layer.middle_gain);
      std::vector<double> h = product(layer.gate, m);
      const std::vector<double> up = product(layer.up, m);
      for (size_t i = 0; i < h.size(); ++i) h[i] = h[i] / (1 + std::exp(-h[i])) * up[i];
      add(x, product(layer.down, h));
    }
  }
  std::vector<float> logits;
  for (const std::vector<double>& x : stream) {
    for (double value : product(head_, normed(x, final_gain_))) logits.push_back(static_cast<float>(value));
  }
  return logits;
}

std::vector<TinyModel::NamedWeight> TinyModel::weights() const {
  std::vector<NamedWeight> list;
  const auto weight = [](const std::string& name, std::string_view layout, int32_t rows, int32_t columns) {
    plan::WeightT made;
    made.name = name;
    made.layout = layout;
    made.format = "f32";
    made.rows = static_cast<uint32_t>(rows);
    made.columns = static_cast<uint32_t>(columns);
    return made;
  };
  const auto dense = [&](const std::string& name, int32_t rows, int32_t columns, const std::vector<float>& values) {
    list.push_back({weight(name, "dense", rows, columns), values});
  };
  const WeightLayout& layout = target_.backend == Backend::cpu ? panel16 : k_major8;
  const auto packed = [&](const std::string& name, int32_t n, int32_t k, const std::vector<float>& values,
                          bool gated = false) {
    const WeightShape shape = weight_shape(WeightFormat::f32, n, k, gated);
    std::vector<float> panels(static_cast<size_t>(packed_shape(layout, shape).bytes()) / 4);
    pack_codes(layout, shape, std::as_bytes(std::span(values)).data(), reinterpret_cast<std::byte*>(panels.data()));
    list.push_back({weight(name, layout.name, n, k), panels});
    if (gated) list.back().weight.pairing = plan::Pairing::gate_up;
  };
  dense("table", vocabulary, hidden, table_);
  dense("frequencies", pairs, 1, frequencies_);
  dense("final_gain", hidden, 1, final_gain_);
  packed("head", vocabulary, hidden, head_);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const std::string prefix = std::to_string(i) + ".";
    dense(prefix + "input_gain", hidden, 1, layer.input_gain);
    dense(prefix + "middle_gain", hidden, 1, layer.middle_gain);
    if (i + 1 < layers_.size()) {
      packed(prefix + "qkv", queries + 2 * keys, hidden, concatenated({&layer.query, &layer.key, &layer.value}));
    } else {
      packed(prefix + "q", queries, hidden, layer.query);
      packed(prefix + "kv", 2 * keys, hidden, concatenated({&layer.key, &layer.value}));
    }
    packed(prefix + "output", hidden, queries, layer.output);
    packed(prefix + "gate_up", 2 * ff, hidden, concatenated({&layer.gate, &layer.up}), true);
    packed(prefix + "down", hidden, ff, layer.down);
  }
  return list;
}

plan::PlanT TinyModel::plan() const {
  using plan::Axis;
  using plan::Space;
  plan::PlanT result;
  result.vocabulary = vocabulary;
  result.hidden = hidden;
  result.layers = layers;
  result.max_context = max_context;
  result.max_sequences = slots;
  result.end_ids = {0};
  const KvGeometry geometry{layers, kv_heads, head_dim, pages_.tokens, DType::f32, pages_.layout};
  result.groups = {{{},
                    {0, 1},
                    0,
                    plan::CacheKind::paged,
                    {{{}, "keys", kv_heads, head_dim, "f32", ""}, {{}, "values", kv_heads, head_dim, "f32", ""}},
                    static_cast<uint32_t>(pages_.tokens),
                    static_cast<uint64_t>(geometry.page_bytes()),
                    std::string(name_of(geometry.layout))}};
  result.precision = "f32";
  result.buckets = {{{}, 1, 1, 1, 0, {}}, {{}, 8, 4, 2, 0, {}}, {{}, max_tokens, max_rows, slots, 0, {}}};
  for (NamedWeight& one : weights()) result.weights.push_back(one.weight);

  PlanBuilder builder(result, target_);
  const auto norm = [&](const std::string& name, Axis axis, const plan::OperandT& x) {
    const plan::OperandT out = builder.buffer(name, axis, hidden);
    builder.step(name, RmsNorm::Problem{hidden, epsilon, true}, axis, {x, {}, builder.weight(name)}, {out});
    return out;
  };
  const auto linear = [&](const std::string& name, Axis axis, int32_t n, int32_t k, const plan::OperandT& x,
                          const plan::OperandT& residual, const plan::OperandT& out,
                          Activation activation = Activation::none) {
    Linear::Problem problem{n, k};
    problem.residual = residual.space == Space::buffer;
    problem.activation = activation;
    builder.step(name, problem, axis, {x, builder.weight(name), residual}, {out});
  };
  const auto rotary = [&](const std::string& name, Axis axis, int32_t count, const plan::OperandT& x,
                          const plan::OperandT& table) {
    builder.step(name, Rotary::Problem{count, head_dim, pairs}, axis, {x, table}, {x});
  };
  const auto rotary_table = [&](Axis axis, Space positions) {
    const plan::OperandT out = builder.buffer("rotary_table", axis, 2 * pairs);
    builder.step("rotary_table", RotaryTable::Problem{pairs}, axis, {{{}, positions}, builder.weight("frequencies")},
                 {out});
    return out;
  };
  const auto gather = [&](const std::string& name, const plan::OperandT& x) {
    const plan::OperandT out = builder.buffer(name, Axis::rows, static_cast<int32_t>(x.width));
    builder.step(name, GatherRows::Problem{static_cast<int32_t>(x.width)}, Axis::rows, {x, {{}, Space::rows}}, {out});
    return out;
  };
  const auto attention = [&](const std::string& name, Axis axis, uint32_t layer, const plan::OperandT& q,
                             const plan::OperandT& table = {}) {
    Attention::Problem problem{heads, kv_heads, head_dim, pages_.tokens};
    problem.pages = pages_.layout;
    problem.rotary_pairs = static_cast<int32_t>(table.width / 2);
    problem.scale = 1 / std::sqrt(static_cast<float>(head_dim));
    problem.over_rows = axis == Axis::rows;
    const plan::OperandT out = builder.buffer(name, axis, queries);
    builder.step(name, problem, axis, {q, {{}, Space::cache, 0, layer}, table, {}, {}}, {out});
    return out;
  };
  const auto mlp = [&](const std::string& prefix, Axis axis, const plan::OperandT& x) {
    const plan::OperandT n = norm(prefix + "middle_gain", axis, x);
    const plan::OperandT h = builder.buffer(prefix + "h", axis, ff);
    linear(prefix + "gate_up", axis, 2 * ff, hidden, n, {}, h, Activation::silu_gate);
    linear(prefix + "down", axis, hidden, ff, h, x, x);
  };

  const plan::OperandT x = builder.buffer("x", Axis::tokens, hidden);
  builder.step("embed", Embedding::Problem{vocabulary, hidden}, Axis::tokens,
               {{{}, Space::ids}, builder.weight("table")}, {x});
  const plan::OperandT token_table = rotary_table(Axis::tokens, Space::positions);
  KvWrite::Problem write{kv_heads, head_dim, pages_.tokens};
  write.pages = pages_.layout;
  {
    const plan::OperandT qkv = builder.buffer("0.qkv", Axis::tokens, queries + 2 * keys);
    const plan::OperandT q = PlanBuilder::columns(qkv, 0, queries), k = PlanBuilder::columns(qkv, queries, keys),
                         v = PlanBuilder::columns(qkv, queries + keys, keys);
    linear("0.qkv", Axis::tokens, queries + 2 * keys, hidden, norm("0.input_gain", Axis::tokens, x), {}, qkv);
    rotary("0.rotary_q", Axis::tokens, heads, q, token_table);
    rotary("0.rotary_k", Axis::tokens, kv_heads, k, token_table);
    builder.step("0.write", write, Axis::tokens, {k, v, {{}, Space::cache, 0, 0}, {}}, {});
    linear("0.output", Axis::tokens, hidden, queries, attention("0.attention", Axis::tokens, 0, q), x, x);
    mlp("0.", Axis::tokens, x);
  }
  const plan::OperandT n = norm("1.input_gain", Axis::tokens, x);
  const plan::OperandT kv = builder.buffer("1.kv", Axis::tokens, 2 * keys);
  const plan::OperandT k = PlanBuilder::columns(kv, 0, keys), v = PlanBuilder::columns(kv, keys, keys);
  linear("1.kv", Axis::tokens, 2 * keys, hidden, n, {}, kv);
  write.rotary_pairs = pairs;
  builder.step("1.write", write, Axis::tokens, {k, v, {{}, Space::cache, 0, 1}, token_table}, {});
  const plan::OperandT row_x = gather("1.x", x);
  const plan::OperandT q = builder.buffer("1.q", Axis::rows, queries);
  linear("1.q", Axis::rows, queries, hidden, gather("1.n", n), {}, q);
  const plan::OperandT row_table = rotary_table(Axis::rows, Space::row_positions);
  linear("1.output", Axis::rows, hidden, queries, attention("1.attention", Axis::rows, 1, q, row_table), row_x, row_x);
  mlp("1.", Axis::rows, row_x);
  const plan::OperandT logits = builder.buffer("logits", Axis::rows, vocabulary);
  linear("head", Axis::rows, vocabulary, hidden, norm("final_gain", Axis::rows, row_x), {}, logits);
  result.logits = logits.index;

  result.resolve_tokens = std::make_unique<plan::StepT>(
      builder.make("resolve_tokens", ResolveTokens::Problem{vocabulary}, Axis::tokens, {}, {}));
  result.sample =
      std::make_unique<plan::StepT>(builder.make("sample", Sample::Problem{vocabulary}, Axis::rows, {}, {}));
  for (plan::BucketT& bucket : result.buckets) {
    int64_t widest = 0;
    for (const plan::BufferT& buffer : result.buffers) {
      const int64_t rows = buffer.axis == Axis::tokens ? bucket.tokens : bucket.rows;
      bucket.offsets.push_back(bucket.arena_bytes);
      bucket.arena_bytes += static_cast<uint64_t>(rows * row_stride(buffer.width) * 4);
      widest = std::max(widest, row_stride(buffer.width));
    }
    bucket.arena_bytes += static_cast<uint64_t>(rows_behind(target_.backend) * widest * 4);
  }
  return result;
}

void TinyModel::write(const std::filesystem::path& path, const std::function<void(plan::PlanT&)>& change) const {
  plan::PlanT result = plan();
  EngineWriter writer(path, target_);
  const std::vector<NamedWeight> list = weights();
  for (size_t i = 0; i < list.size(); ++i) {
    const auto bytes = std::as_bytes(std::span(list[i].values));
    result.weights[i].planes = {{{}, plan::PlaneRole::values, "f32", writer.write_weights(bytes), bytes.size()}};
  }
  if (change) change(result);
  writer.add_section(SectionKind::plan, plan_bytes(result));
  if (target_.backend == Backend::shadow) {
    std::set<DeviceFunction> functions{{"publish/shadow", 1}, {"reset_slot/shadow", 1}, {"truncate_slot/shadow", 1}};
    for (const plan::StepT* step : {result.resolve_tokens.get(), result.sample.get()}) add_functions(*step, functions);
    for (const plan::StepT& step : result.steps) add_functions(step, functions);
    const std::string code = write_device_code(functions);
    writer.add_section(SectionKind::device_code, std::as_bytes(std::span(code)));
  }
  writer.add_section(SectionKind::manifest, std::as_bytes(std::span("{}", 2)));
  writer.commit();
}

std::vector<int32_t> some_text(size_t length, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> text(length);
  for (int32_t& token : text) token = static_cast<int32_t>(random() % TinyModel::vocabulary);
  return text;
}

}  // namespace incipit
