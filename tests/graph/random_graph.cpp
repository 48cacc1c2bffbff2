#include "random_graph.h"

#include "graph/ops/activate.h"
#include "graph/ops/add.h"
#include "graph/ops/add_rms_norm.h"
#include "graph/ops/apply_rotary.h"
#include "graph/ops/attention.h"
#include "graph/ops/convert.h"
#include "graph/ops/embedding.h"
#include "graph/ops/expert_linear.h"
#include "graph/ops/gather_rows.h"
#include "graph/ops/kv_write.h"
#include "graph/ops/layer_norm.h"
#include "graph/ops/linear.h"
#include "graph/ops/multiply.h"
#include "graph/ops/quantize_rows.h"
#include "graph/ops/quantized_expert_linear.h"
#include "graph/ops/quantized_linear.h"
#include "graph/ops/rms_norm.h"
#include "graph/ops/rotary.h"
#include "graph/ops/rotary_table.h"
#include "graph/ops/router.h"
#include "graph/ops/scale.h"
#include "graph/ops/slice_columns.h"
#include "graph/ops/soft_cap.h"
#include "graph/ops/weighted_sum.h"
#include "graph/ops/xielu.h"

namespace incipit {
namespace {

class Generator {
 public:
  explicit Generator(std::mt19937& random) : random_(random) {
    ids_ = graph_.add_input(name(), {DType::i32, {Dim::symbol("T")}});
    position_ = graph_.add_input(name(), {DType::i32, {Dim::symbol("T")}});
    rows_ = graph_.add_input(name(), {DType::i32, {Dim::symbol("R")}});
    // Of an extent that no op makes, only to be printed.
    graph_.add_input(name(), {DType::u64, {Dim::parse("2*past*past - T + 7"), Dim(0)}});
    graph_.add_input(name(), {DType::boolean, {}});
    const ValueId x = graph_.add(name(), ops::Embedding{}, {ids_, constant(DType::f16, {9, width()})});
    matrices_.push_back({x, position_});
  }

  Graph run(int nodes) {
    while (static_cast<int>(graph_.order().size()) < nodes) step();
    for (const DType dtype : {DType::i8, DType::u8, DType::i16, DType::u16, DType::u32, DType::i64, DType::u64,
                              DType::f64, DType::boolean}) {
      Tensor tensor(dtype, {below(3), 2});
      for (size_t i = 0; i < tensor.bytes(); ++i) {
        tensor.data()[i] = static_cast<std::byte>(dtype == DType::boolean ? below(2) : below(120));
      }
      graph_.add_constant(name(), make_constant(std::move(tensor)));
    }
    graph_.set_outputs({matrices_.back().value, matrices_.front().value});
    return std::move(graph_);
  }

 private:
  struct Matrix {
    ValueId value, position;
  };

  int below(int limit) { return std::uniform_int_distribution<int>(0, limit - 1)(random_); }
  int64_t width() { return 2 * (1 + below(8)); }
  float real() { return std::normal_distribution<float>()(random_); }

  std::string name() {
    static const std::string plain[] = {"model.layers.0.q_proj", "x", "_", "const", "a:b", "a/b-c", "true", "cache"};
    static const std::string odd[] = {"with space", "quote\"d", "back\\slash", "new\nline", "é", "colon:", "#", "{1}"};
    switch (below(4)) {
      case 0: return plain[below(8)];
      case 1: return odd[below(8)];
      default: return "v" + std::to_string(below(1000));
    }
  }

  ValueId constant(DType dtype, Shape shape) {
    switch (below(3)) {
      case 0: return graph_.add_constant(name(), make_random_constant(dtype, shape, random_(), 0.3F));
      case 1:
        if (below(4) == 0) return graph_.add_constant(name(), make_zero_constant(dtype, shape));
        [[fallthrough]];
      default: {
        Tensor tensor(dtype, shape);
        std::vector<float> values(static_cast<size_t>(tensor.elements()));
        for (float& value : values) value = real();
        convert_from_float(values.data(), dtype, tensor.data(), values.size());
        return graph_.add_constant(name(), make_constant(std::move(tensor)));
      }
    }
  }

  const ValueType& type(const Matrix& m) { return graph_.value(m.value).type; }
  int64_t columns(const Matrix& m) { return type(m).shape[1].constant(); }

  void push(ValueId value, ValueId position) { matrices_.push_back({value, position}); }

  void step() {
    const Matrix x = matrices_[static_cast<size_t>(below(static_cast<int>(matrices_.size())))];
    const int64_t w = columns(x);
    const bool f32 = type(x).dtype == DType::f32;
    static constexpr Activation activations[] = {Activation::none,      Activation::silu,
                                                 Activation::gelu_tanh, Activation::relu,
                                                 Activation::silu_gate, Activation::clamped_silu_gate};
    switch (below(17)) {
      case 0: {
        ops::Linear op;
        op.activation = activations[below(6)];
        op.output = below(3) == 0 ? DType::bf16 : DType::f32;
        const bool gated = is_gated(op.activation);
        const int64_t made = width();
        const DType dtype = f32 && below(2) == 0 ? DType::f32 : DType::bf16;
        const ValueId weight = constant(dtype, {gated ? 2 * made : made, w});
        const ValueId bias = below(2) == 0 ? none : constant(DType::f32, {gated ? 2 * made : made});
        const ValueId residual = below(2) == 0 || !f32 || made != w ? none : x.value;
        push(graph_.add(name(), op, {x.value, weight, bias, residual}), x.position);
        return;
      }
      case 1: {
        const auto rows = graph_.add_node(name(), std::make_unique<ops::QuantizeRows>(), {x.value});
        ops::QuantizedLinear op;
        op.activation = activations[below(3)];
        const int64_t made = width();
        Tensor codes(DType::i8, {made, w});
        for (int8_t& code : codes.as<int8_t>()) code = static_cast<int8_t>(below(255) - 127);
        const ValueId weight = graph_.add_constant(name(), make_constant(std::move(codes)));
        const ValueId scales = constant(DType::f32, {made});
        push(graph_.add(name(), op, {rows[0], rows[1], weight, scales}), x.position);
        if (below(2) == 0) push(graph_.add(name(), op, {x.value, none, weight, scales}), x.position);
        return;
      }
      case 2: {
        ops::Convert op;
        op.to = below(2) == 0 ? DType::bf16 : DType::f32;
        push(graph_.add(name(), op, {x.value}), x.position);
        return;
      }
      case 3: {
        if (!f32) return;
        ops::RmsNorm op;
        op.epsilon = std::abs(real()) + 1e-7F;
        op.groups = 1 + below(2);
        op.output = below(2) == 0 ? DType::i8 : DType::bf16;
        const ValueId gain = below(2) == 0 ? none : constant(DType::bf16, {w / op.groups});
        graph_.add_node(name(), op.clone(), {x.value, gain});
        return;
      }
      case 4: {
        if (!f32) return;
        ops::AddRmsNorm op;
        op.output = below(2) == 0 ? DType::i8 : DType::f32;
        push(graph_.add(name(), op, {x.value, x.value}), x.position);
        return;
      }
      case 5: push(graph_.add(name(), ops::Add{}, {x.value, constant(DType::f16, {w})}), x.position); return;
      case 6: push(graph_.add(name(), ops::Multiply{}, {x.value, x.value}), x.position); return;
      case 7: {
        ops::Activate op;
        if (below(3) == 0) {
          push(graph_.add(name(), ops::Xielu{}, {x.value, constant(DType::f32, {4})}), x.position);
          return;
        }
        op.kind = activations[1 + below(3)];
        push(graph_.add(name(), op, {x.value}), x.position);
        return;
      }
      case 8: {
        ops::SliceColumns op;
        op.first = below(static_cast<int>(w / 2));
        op.count = 2 * (w / 4);
        if (op.count > 0) push(graph_.add(name(), op, {x.value}), x.position);
        return;
      }
      case 9: {
        if (x.position != position_) return;
        const ValueId gathered = graph_.add(name(), ops::GatherRows{}, {position_, rows_});
        push(graph_.add(name(), ops::GatherRows{}, {x.value, rows_}), gathered);
        return;
      }
      case 10: {
        ops::Rotary op;
        op.heads = 1;
        op.head_dim = w;
        op.factor = real();
        op.growth = below(2) == 0 ? 0 : real();
        op.growth_length = 1 + below(3);
        op.interleaved = below(2) == 0;
        push(graph_.add(name(), op, {x.value, x.position, constant(DType::f32, {w / 2})}), x.position);
        return;
      }
      case 11: {
        ops::RotaryTable made;
        made.factor = 2;
        const ValueId table = graph_.add(name(), made, {x.position, constant(DType::f32, {1})});
        ops::ApplyRotary op;
        op.heads = w / 2;
        op.head_dim = 2;
        push(graph_.add(name(), op, {x.value, table}), x.position);
        return;
      }
      case 12: {
        if (x.position != position_) return;
        ops::KvWrite write;
        write.layer = layer_;
        write.kv_heads = w / 2;
        write.head_dim = 2;
        write.window = below(2) * 3;
        write.cache = below(2) == 0 ? DType::bf16 : DType::f32;
        const ValueId frequencies = constant(DType::f32, {1});
        const ValueId table = below(2) == 0 ? none : graph_.add(name(), ops::RotaryTable{}, {position_, frequencies});
        write.interleaved = below(2) == 0;
        const ValueId cache = graph_.add(name(), write, {x.value, x.value, position_, table});
        ops::Attention op;
        op.layer = layer_++;
        op.heads = op.kv_heads = w / 2;
        op.head_dim = 2;
        op.window = write.window;
        op.cache = write.cache;
        op.scale = real();
        op.soft_cap = static_cast<float>(below(2)) * 30;
        push(graph_.add(name(), op,
                        {x.value, position_, cache, below(2) == 0 ? none : table,
                         below(2) == 0 ? none : constant(DType::f32, {w / 2}),
                         below(2) == 0 ? none : constant(DType::bf16, {w / 2})}),
             x.position);
        return;
      }
      case 13: {
        if (!f32) return;
        ops::LayerNorm op;
        op.output = below(2) == 0 ? DType::bf16 : DType::f32;
        const ValueId gain = below(2) == 0 ? none : constant(DType::f16, {w});
        push(graph_.add(name(), op, {x.value, gain, below(2) == 0 ? none : constant(DType::f32, {w})}), x.position);
        return;
      }
      case 14: {
        ops::SoftCap cap;
        cap.cap = std::abs(real()) + 1;
        ops::Scale scale;
        scale.factor = real();
        push(graph_.add(name(), scale, {graph_.add(name(), cap, {x.value})}), x.position);
        return;
      }
      case 15: experts(x); return;
      default: {
        ops::Embedding op;
        op.scale = real();
        push(graph_.add(name(), op, {ids_, constant(DType::bf16, {5, width()})}), position_);
      }
    }
  }

  /// A router over x's columns, gated products of the chosen experts and their sum, quantised or not.
  void experts(const Matrix& x) {
    if (type(x).dtype != DType::f32) return;
    const int64_t w = columns(x), made = width(), top_k = 2;
    ops::Router router;
    router.top_k = top_k;
    router.normalize = below(2) == 0;
    router.scores = below(2) == 0 ? RoutingScores::sigmoid : RoutingScores::softmax;
    router.scale = real();
    router.groups = router.top_groups = 1 + below(2);
    const ValueId correction = below(2) == 0 ? none : constant(DType::f32, {w});
    const std::vector<ValueId> chosen = graph_.add_node(name(), router.clone(), {x.value, correction});
    ops::ExpertLinear up;
    up.top_k = top_k;
    up.activation = Activation::silu_gate;
    ValueId y = graph_.add(name(), up,
                           {x.value, chosen[0], constant(DType::bf16, {w, 2 * made, w}),
                            below(2) == 0 ? none : constant(DType::f16, {w, 2 * made})});
    if (below(2) == 0) {
      ops::ExpertLinear down;
      down.top_k = top_k;
      y = graph_.add(name(), down, {y, chosen[0], constant(DType::f32, {w, w, made})});
    } else {
      ops::QuantizeRows quantize;
      quantize.groups = top_k;
      const std::vector<ValueId> rows = graph_.add_node(name(), quantize.clone(), {y});
      ops::QuantizedExpertLinear down;
      down.top_k = top_k;
      Tensor codes(DType::i8, {w, w, made});
      for (int8_t& code : codes.as<int8_t>()) code = static_cast<int8_t>(below(255) - 127);
      const ValueId weight = graph_.add_constant(name(), make_constant(std::move(codes)));
      y = graph_.add(name(), down,
                     {rows[0], rows[1], chosen[0], weight, constant(DType::f32, {w, w}), none,
                      below(2) == 0 ? none : constant(DType::f32, {w, w})});
    }
    push(graph_.add(name(), ops::WeightedSum{}, {y, chosen[1], below(2) == 0 ? none : x.value}), x.position);
  }

  std::mt19937& random_;
  Graph graph_;
  ValueId ids_ = none, position_ = none, rows_ = none;
  int64_t layer_ = 0;
  std::vector<Matrix> matrices_;
};

}  // namespace

Graph random_graph(std::mt19937& random, int nodes) { return Generator(random).run(nodes); }

}  // namespace incipit
