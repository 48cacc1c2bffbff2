// A checkpoint of Llama's kind as ONNX Runtime GenAI's model builder would export it, in the forms that it has: with
// grouped attention or MultiHeadAttention, packed products, skipping norms, codes of four bits …, and as operators of
// ONNX's own opset 23.
// Source: onnxruntime-genai's src/python/py/models/builder.py and ONNX Runtime's docs/ContribOperators.md.
#pragma once

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <ostream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/codes.h"
#include "base/json.h"
#include "base/safetensors.h"
#include "support/onnx_bytes.h"

namespace incipit {

struct GenaiForm {
  enum class Attention : uint8_t { grouped, multi_head, opset23 };
  enum class Weights : uint8_t {
    floats,
    codes,           // MatMulNBits: four bits, blocks of 32
    rounded_floats,  // what those codes stand for
    linear_codes,    // eight bits, a scale a column, and DequantizeLinear
    linear_pairs,    // floats that QuantizeLinear and DequantizeLinear round to those
    linear_floats,   // rounded to those
  };
  std::string name;
  Attention attention = Attention::grouped;
  bool packed = false;         // one product for queries, keys and values
  bool rotary_nodes = false;   // before the attention, which then does not rotate
  bool given_lengths = false;  // seqlens_k and total_sequence_length are inputs, not computed from attention_mask
  bool skipping_norms = true;  // SkipSimplifiedLayerNormalization
  bool sampled = false;        // the output is the last token's most likely successor
  bool half = false;           // all of it in f16
  bool half_tables = false;    // cosines and sines in f16
  bool mask_operand = false;   // of opset 23: a causal mask as an operand, not as an attribute
  Weights weights = Weights::floats;
};
inline void PrintTo(const GenaiForm& form, std::ostream* out) { *out << form.name; }

class GenaiModel {
 public:
  /// The bytes of an ONNX file. `frequencies` are the rotation's where they are no plain powers.
  static std::string of(const std::filesystem::path& checkpoint, const GenaiForm& form,
                        std::vector<float> frequencies = {}) {
    GenaiModel model(checkpoint, form);
    model.frequencies_ = std::move(frequencies);
    return model.write();
  }

 private:
  using Names = std::vector<std::string>;
  using Weights = GenaiForm::Weights;

  GenaiModel(const std::filesystem::path& checkpoint, const GenaiForm& form)
      : form_(form), file_(SafetensorsFile::open(checkpoint / "model.safetensors")) {
    std::ifstream stream(checkpoint / "config.json");
    const std::string text(std::istreambuf_iterator<char>(stream), {});
    const boost::json::value config = parse_json(text, "config.json");
    const auto integer = [&](const char* key) { return config.at(key).to_number<int64_t>(); };
    heads_ = integer("num_attention_heads"), kv_heads_ = integer("num_key_value_heads");
    width_ = config.as_object().contains("head_dim") ? integer("head_dim") : integer("hidden_size") / heads_;
    layers_ = integer("num_hidden_layers"), hidden_ = integer("hidden_size");
    positions_ = integer("max_position_embeddings"), vocabulary_ = integer("vocab_size");
    epsilon_ = config.at("rms_norm_eps").to_number<float>();
    theta_ = config.at("rope_parameters").at("rope_theta").to_number<double>();
  }

  // ---- the model

  std::string write() {
    using namespace onnx_bytes;
    inputs_.push_back(value("input_ids", i64, {"batch_size", "sequence_length"}));
    if (form_.given_lengths) {
      inputs_.push_back(value("seqlens_k", i32, {"batch_size"}));
      inputs_.push_back(value("total_sequence_length", i32, {}));
      seqlens_ = "seqlens_k", total_ = "total_sequence_length";
    } else {
      inputs_.push_back(value("attention_mask", i64, {"batch_size", "total_sequence_length"}));
      if (form_.attention == GenaiForm::Attention::grouped) add_lengths();
    }
    if (form_.rotary_nodes || form_.attention != GenaiForm::Attention::grouped) {
      inputs_.push_back(value("position_ids", i64, {"batch_size", "sequence_length"}));
    }
    if (form_.attention == GenaiForm::Attention::multi_head || form_.mask_operand) add_causal_bias();
    add_tables();
    std::string stream = embed(), skip;
    for (int64_t i = 0; i < layers_; ++i) {
      const std::string layer = "model.layers." + std::to_string(i) + ".";
      std::string normed = norm(layer + "input_layernorm", stream, skip);
      skip = attention(i, layer + "self_attn.", normed);
      normed = norm(layer + "post_attention_layernorm", stream, skip);
      const std::string gate = product(layer + "mlp.gate_proj", normed);
      const std::string silu = node("Mul", {gate, node("Sigmoid", {gate}, gate + "/sigmoid", {})}, gate + "/act", {});
      const std::string gated = node("Mul", {silu, product(layer + "mlp.up_proj", normed)}, layer + "mlp/gated", {});
      skip = product(layer + "mlp.down_proj", gated);
    }
    std::string last = norm("model.norm", stream, skip);
    if (form_.sampled) {
      initializers_.push_back(tensor("last", i64, {}, raw<int64_t>({-1})));
      last = node("Gather", {last, "last"}, "last_row", {integer_attribute("axis", 1)});
    }
    const bool tied = !file_.contains("lm_head.weight");
    std::string logits =
        product(tied ? "model.embed_tokens" : "lm_head", last, form_.sampled ? "last_logits" : "logits");
    if (form_.sampled) {
      node("ArgMax", {logits}, "next", {integer_attribute("axis", -1), integer_attribute("keepdims", 0)});
      outputs_.insert(outputs_.begin(), value("next", i64, {"batch_size"}));
    } else {
      outputs_.insert(outputs_.begin(),
                      value("logits", element(), {"batch_size", "sequence_length", std::to_string(vocabulary_)}));
    }
    const int64_t opset = form_.attention == GenaiForm::Attention::opset23 ? 23 : 18;
    std::string graph;
    for (const std::string& one : nodes_) graph += bytes(1, one);
    for (const std::string& one : initializers_) graph += bytes(5, one);
    for (const std::string& one : inputs_) graph += bytes(11, one);
    for (const std::string& one : outputs_) graph += bytes(12, one);
    return number(1, 10) + bytes(2, "onnxruntime-genai") + bytes(7, graph) + bytes(8, number(2, opset)) +
           bytes(8, bytes(1, "com.microsoft") + number(2, 1));
  }

  /// Of a tied model's codes there is one copy, in the shape that the head takes.
  std::string embed() {
    using namespace onnx_bytes;
    const bool tied = !file_.contains("lm_head.weight");
    if (!tied || (form_.weights != Weights::codes && form_.weights != Weights::rounded_floats)) {
      add_weight("model.embed_tokens.weight", "embed");
      return node("Gather", {"embed", "input_ids"}, "embedded", {});
    }
    const Codes codes = codes_of(floats_of("model.embed_tokens.weight"), hidden_);
    if (form_.weights == Weights::rounded_floats) {
      add_floats("embed", {vocabulary_, hidden_}, codes.numbers);
      return node("Gather", {"embed", "input_ids"}, "embedded", {});
    }
    initializers_.push_back(integers("table_shape", {2}, {vocabulary_, hidden_ / 2}));
    add_floats("table_scales", {vocabulary_, hidden_ / block}, codes.scales);
    node("Reshape", {"model.embed_tokens.qweight", "table_shape"}, "table", {});
    return node("GatherBlockQuantized", {"table", "input_ids", "table_scales"}, "embedded",
                {integer_attribute("bits", 4), integer_attribute("block_size", block),
                 integer_attribute("gather_axis", 0), integer_attribute("quantize_axis", 1)},
                "com.microsoft");
  }

  /// ReduceSum → Sub → Cast, and Shape → Gather → Cast.
  void add_lengths() {
    using namespace onnx_bytes;
    initializers_.push_back(integers("one", {1}, {1}));
    initializers_.push_back(tensor("index", i64, {}, raw<int64_t>({1})));
    node("ReduceSum", {"attention_mask", "one"}, "mask/sum", {});
    node("Sub", {"mask/sum", "one"}, "mask/less_one", {});
    seqlens_ = node("Cast", {"mask/less_one"}, "mask/seqlens_k", {integer_attribute("to", i32)});
    node("Shape", {"attention_mask"}, "mask/shape", {});
    node("Gather", {"mask/shape", "index"}, "mask/total", {integer_attribute("axis", 0)});
    total_ = node("Cast", {"mask/total"}, "mask/total_sequence_length", {integer_attribute("to", i32)});
  }

  /// [batch, 1, sequence, total]: 0 where a key is seen, else the type's lowest number.
  void add_causal_bias() {
    using namespace onnx_bytes;
    initializers_.push_back(integers("axis0", {1}, {0}));
    initializers_.push_back(integers("axis1", {1}, {1}));
    initializers_.push_back(integers("axes12", {2}, {1, 2}));
    for (const int64_t i : {0, 1}) {
      initializers_.push_back(tensor("number" + std::to_string(i), i64, {}, raw<int64_t>({i})));
    }
    node("Shape", {"input_ids"}, "ids/shape", {});
    node("Gather", {"ids/shape", "number1"}, "ids/length", {});
    node("Shape", {"attention_mask"}, "mask/shape", {});
    node("Gather", {"mask/shape", "number1"}, "mask/length", {});
    node("Sub", {"mask/length", "ids/length"}, "mask/past", {});
    node("Range", {"number0", "mask/length", "number1"}, "mask/keys", {});
    node("Range", {"mask/past", "mask/length", "number1"}, "mask/queries", {});
    node("Unsqueeze", {"mask/queries", "axis1"}, "mask/query_column", {});
    node("LessOrEqual", {"mask/keys", "mask/query_column"}, "mask/causal", {});
    node("Cast", {"attention_mask"}, "mask/present", {integer_attribute("to", boolean)});
    node("Unsqueeze", {"mask/present", "axes12"}, "mask/present4", {});
    const std::string seen = node("And", {"mask/causal", "mask/present4"}, "mask/seen", {});
    if (form_.attention == GenaiForm::Attention::opset23) {
      bias_ = seen;
      return;
    }
    add_floats("mask/zero", {}, {0});
    add_floats("mask/lowest", {}, {form_.half ? -65504.0F : -3.4028235e38F});
    bias_ = node("Where", {seen, "mask/zero", "mask/lowest"}, "mask/bias", {});
  }

  void add_tables() {
    const int64_t pairs = width_ / 2;
    for (int64_t j = std::ssize(frequencies_); j < pairs; ++j) {
      const double exponent = static_cast<double>(2 * j) / static_cast<double>(width_);
      frequencies_.push_back(1 / static_cast<float>(std::pow(theta_, exponent)));
    }
    std::vector<float> cosines, sines;
    for (int64_t p = 0; p < positions_; ++p) {
      for (int64_t j = 0; j < pairs; ++j) {
        const double angle = static_cast<double>(p) * static_cast<double>(frequencies_[static_cast<size_t>(j)]);
        cosines.push_back(static_cast<float>(std::cos(angle)));
        sines.push_back(static_cast<float>(std::sin(angle)));
      }
    }
    add_floats("cos_cache", {positions_, pairs}, cosines, form_.half_tables);
    add_floats("sin_cache", {positions_, pairs}, sines, form_.half_tables);
  }

  /// Of stream + skip, which becomes the stream.
  std::string norm(const std::string& name, std::string& stream, const std::string& skip) {
    using namespace onnx_bytes;
    add_weight(name + ".weight", name + ".weight");
    const std::string output = name + "/output_0";
    if (form_.attention == GenaiForm::Attention::opset23 || !form_.skipping_norms || skip.empty()) {
      if (!skip.empty()) stream = node("Add", {stream, skip}, name + "/sum", {});
      return simple_norm(name, stream);
    }
    // Last is the one whose sum nothing reads.
    const bool is_last = name == "model.norm";
    const std::string sum = name + "/output_3";
    node("SkipSimplifiedLayerNormalization", {stream, skip, name + ".weight"},
         is_last ? Names{output} : Names{output, "", "", sum}, {float_attribute("epsilon", epsilon_)}, "com.microsoft");
    stream = sum;
    return output;
  }
  std::string simple_norm(const std::string& name, const std::string& x) {
    using namespace onnx_bytes;
    const bool is_own = form_.attention == GenaiForm::Attention::opset23;
    std::vector<std::string> attributes{float_attribute("epsilon", epsilon_), integer_attribute("axis", -1)};
    attributes.push_back(integer_attribute("stash_type", 1));
    return node(is_own ? "RMSNormalization" : "SimplifiedLayerNormalization", {x, name + ".weight"}, name + "/output_0",
                attributes);
  }

  std::string attention(int64_t i, const std::string& at, const std::string& x) {
    using namespace onnx_bytes;
    const std::string past = "past_key_values." + std::to_string(i), present = "present." + std::to_string(i);
    for (const char* part : {".key", ".value"}) {
      const std::string heads = std::to_string(kv_heads_), width = std::to_string(width_);
      inputs_.push_back(value(past + part, element(), {"batch_size", heads, "past_sequence_length", width}));
      outputs_.push_back(value(present + part, element(), {"batch_size", heads, "total_sequence_length", width}));
    }
    std::string q, k, v;
    if (form_.packed) {
      q = product(at + "qkv_proj", x);
    } else {
      q = product(at + "q_proj", x), k = product(at + "k_proj", x), v = product(at + "v_proj", x);
    }
    if (file_.contains(at + "q_norm.weight")) {
      q = head_norm(at + "q_norm", q, heads_), k = head_norm(at + "k_norm", k, kv_heads_);
    }
    const Names made{at + "attn/output_0", present + ".key", present + ".value"};
    if (form_.attention == GenaiForm::Attention::opset23) {
      attend_by_opset23(at, q, k, v, past, made);
    } else {
      if (form_.rotary_nodes || form_.attention == GenaiForm::Attention::multi_head) {
        for (std::string* rotated : {&q, &k}) {
          *rotated = node(
              "RotaryEmbedding", {*rotated, "position_ids", "cos_cache", "sin_cache"}, *rotated + "/rotary",
              {integer_attribute("interleaved", 0), integer_attribute("num_heads", rotated == &q ? heads_ : kv_heads_)},
              "com.microsoft");
        }
      }
      if (form_.attention == GenaiForm::Attention::grouped) {
        Names operands{q, k, v, past + ".key", past + ".value", seqlens_, total_};
        if (!form_.rotary_nodes) operands.insert(operands.end(), {"cos_cache", "sin_cache"});
        node("GroupQueryAttention", operands, made,
             {integer_attribute("num_heads", heads_), integer_attribute("kv_num_heads", kv_heads_),
              float_attribute("scale", static_cast<float>(1 / std::sqrt(static_cast<double>(width_)))),
              integer_attribute("local_window_size", -1), float_attribute("softcap", 0),
              integer_attribute("do_rotary", form_.rotary_nodes ? 0 : 1), integer_attribute("rotary_interleaved", 0)},
             "com.microsoft");
      } else {
        node("MultiHeadAttention", {q, k, v, "", "", bias_, past + ".key", past + ".value"}, made,
             {integer_attribute("num_heads", heads_)}, "com.microsoft");
      }
    }
    return product(at + "o_proj", made[0]);
  }

  void attend_by_opset23(const std::string& at, std::string q, std::string k, std::string v, const std::string& past,
                         const Names& made) {
    using namespace onnx_bytes;
    for (std::string* part : {&q, &k, &v}) {
      const int64_t heads = part == &q ? heads_ : kv_heads_;
      const std::string shape = "heads" + std::to_string(heads);
      add_once(shape, integers(shape, {4}, {0, 0, heads, width_}));
      const std::string split = node("Reshape", {*part, shape}, *part + "/split", {});
      *part = node("Transpose", {split}, *part + "/heads", {integers_attribute("perm", {0, 2, 1, 3})});
      if (part != &v) {
        *part = node("RotaryEmbedding", {*part, "cos_cache", "sin_cache", "position_ids"}, *part + "/rotary", {});
      }
    }
    Names outputs = made;
    outputs[0] += "/heads";
    std::vector<std::string> attributes;
    if (!form_.mask_operand) attributes.push_back(integer_attribute("is_causal", 1));
    node("Attention", {q, k, v, form_.mask_operand ? bias_ : "", past + ".key", past + ".value"}, outputs, attributes);
    const std::string turned =
        node("Transpose", {outputs[0]}, at + "attn/turned", {integers_attribute("perm", {0, 2, 1, 3})});
    add_once("rows", integers("rows", {3}, {0, 0, heads_ * width_}));
    node("Reshape", {turned, "rows"}, made[0], {});
  }

  /// A norm of each head: [batch, sequence, heads·width] as [batch, sequence·heads, width] and back.
  std::string head_norm(const std::string& name, const std::string& x, int64_t heads) {
    using namespace onnx_bytes;
    add_weight(name + ".weight", name + ".weight");
    add_once("head_rows", integers("head_rows", {3}, {0, -1, width_}));
    const std::string shape = name + "/shape";
    initializers_.push_back(integers(shape, {3}, {0, -1, heads * width_}));
    const std::string rows = node("Reshape", {x, "head_rows"}, name + "/rows", {});
    return node("Reshape", {simple_norm(name, rows), shape}, name + "/joined", {});
  }

  /// x · weightᵀ, or with the weights of q, k and v in one.
  std::string product(const std::string& name, const std::string& x, std::string output = {}) {
    using namespace onnx_bytes;
    if (output.empty()) output = name + "/output_0";
    const std::string prefix = name.substr(0, name.rfind('.') + 1);
    std::vector<float> weight, bias;
    for (const std::string& part :
         name.ends_with("qkv_proj") ? Names{prefix + "q_proj", prefix + "k_proj", prefix + "v_proj"} : Names{name}) {
      const std::vector<float> rows = floats_of(part + ".weight");
      weight.insert(weight.end(), rows.begin(), rows.end());
      if (!file_.contains(part + ".bias")) continue;
      const std::vector<float> numbers = floats_of(part + ".bias");
      bias.insert(bias.end(), numbers.begin(), numbers.end());
    }
    // All products but the MLP's last and the attention's read the stream.
    const int64_t columns = name.ends_with("o_proj")      ? heads_ * width_
                            : name.ends_with("down_proj") ? file_.shape(name + ".weight")[1]
                                                          : hidden_;
    const std::string made = bias.empty() ? output : output + "/product";
    multiply(name, x, weight, columns, made);
    if (bias.empty()) return output;
    add_floats(name + ".bias", {static_cast<int64_t>(bias.size())}, bias);
    return node("Add", {made, name + ".bias"}, output, {});
  }

  void multiply(const std::string& name, const std::string& x, std::vector<float> weight, int64_t columns,
                const std::string& output) {
    using namespace onnx_bytes;
    const int64_t rows = static_cast<int64_t>(weight.size()) / columns;
    if (form_.weights == Weights::codes || form_.weights == Weights::rounded_floats) {
      Codes codes = codes_of(weight, columns);
      if (form_.weights == Weights::codes) {
        const int64_t blocks = std::ssize(codes.scales) / rows;
        initializers_.push_back(tensor_of(name + ".qweight", u8, {rows, blocks, block / 2}, codes.bytes));
        add_floats(name + ".scales", {rows * blocks}, codes.scales);
        node("MatMulNBits", {x, name + ".qweight", name + ".scales"}, output,
             {integer_attribute("K", columns), integer_attribute("N", rows), integer_attribute("bits", 4),
              integer_attribute("block_size", block), integer_attribute("accuracy_level", 4)},
             "com.microsoft");
        return;
      }
      weight = std::move(codes.numbers);
    }
    std::vector<float> turned(weight.size());
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < columns; ++c) {
        turned[static_cast<size_t>(c * rows + r)] = weight[static_cast<size_t>(r * columns + c)];
      }
    }
    const std::string factor = name + ".MatMul.weight";
    if (form_.weights == Weights::floats || form_.weights == Weights::rounded_floats) {
      add_floats(factor, {columns, rows}, turned);
    } else {
      add_linear(factor, {columns, rows}, turned);
    }
    node("MatMul", {x, factor}, output, {});
  }

  static constexpr int64_t block = 32;
  struct Codes {
    std::string bytes;
    std::vector<float> scales, numbers;  // what the codes stand for
  };
  /// Four bits each, in blocks along rows.
  static Codes codes_of(const std::vector<float>& weight, int64_t columns) {
    const int64_t rows = static_cast<int64_t>(weight.size()) / columns, blocks = (columns + block - 1) / block;
    Codes made{std::string(static_cast<size_t>(rows * blocks * block / 2), '\x88'), {}, weight};
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t b = 0; b < blocks; ++b) {
        const int64_t first = r * columns + b * block, end = std::min(first + block, (r + 1) * columns);
        float most = 0;
        for (int64_t i = first; i < end; ++i) most = std::max(most, std::fabs(weight[static_cast<size_t>(i)]));
        const float scale = most == 0 ? 1 : most / 7;
        made.scales.push_back(scale);
        for (int64_t i = first; i < end; ++i) {
          const auto code = static_cast<int>(std::lround(weight[static_cast<size_t>(i)] / scale)) + 8;
          const int64_t place = i - first, byte = (r * blocks + b) * block / 2 + place / 2;
          auto& two = reinterpret_cast<unsigned char&>(made.bytes[static_cast<size_t>(byte)]);
          two = static_cast<unsigned char>(place % 2 == 0 ? (two & 0xf0) | code : (two & 0x0f) | code << 4);
          made.numbers[static_cast<size_t>(i)] = static_cast<float>(code - 8) * scale;
        }
      }
    }
    return made;
  }

  /// A matrix rounded to eight bits, with a scale for each column.
  void add_linear(const std::string& name, const std::vector<int64_t>& shape, std::vector<float> values) {
    using namespace onnx_bytes;
    const auto width = static_cast<size_t>(shape[1]);
    std::vector<float> scales(width, 0);
    for (size_t i = 0; i < values.size(); ++i) scales[i % width] = std::max(scales[i % width], std::fabs(values[i]));
    for (float& scale : scales) scale = code_scale(scale);
    std::string codes;
    std::vector<float> rounded;
    for (size_t i = 0; i < values.size(); ++i) {
      const int8_t code = code_of(values[i], scales[i % width]);
      codes += static_cast<char>(code);
      rounded.push_back(static_cast<float>(code) * scales[i % width]);
    }
    if (form_.weights == Weights::linear_floats) return add_floats(name, shape, rounded);
    add_floats(name + "/scale", {shape[1]}, scales);
    initializers_.push_back(tensor_of(name + "/zero", i8, {shape[1]}, std::string(width, '\0')));
    if (form_.weights == Weights::linear_codes) {
      initializers_.push_back(tensor_of(name + "/codes", i8, shape, codes));
    } else {
      add_floats(name + "/numbers", shape, values);
      node("QuantizeLinear", {name + "/numbers", name + "/scale", name + "/zero"}, name + "/codes",
           {integer_attribute("axis", 1)});
    }
    node("DequantizeLinear", {name + "/codes", name + "/scale", name + "/zero"}, name, {integer_attribute("axis", 1)});
  }

  // ---- its parts

  int element() const { return form_.half ? onnx_bytes::half : onnx_bytes::f32; }

  std::vector<float> floats_of(const std::string& name) const {
    const Tensor tensor = file_.load(name);
    std::vector<float> values(static_cast<size_t>(tensor.elements()));
    convert_to_float(tensor.dtype(), tensor.data(), values.data(), values.size());
    return values;
  }
  void add_weight(const std::string& source, const std::string& name) {
    add_floats(name, file_.shape(source), floats_of(source));
  }
  /// In the model's type, or in f16.
  void add_floats(const std::string& name, const std::vector<int64_t>& shape, const std::vector<float>& values,
                  bool half = false) {
    const DType dtype = half || form_.half ? DType::f16 : DType::f32;
    std::string content(values.size() * size_of(dtype), '\0');
    convert_from_float(values.data(), dtype, reinterpret_cast<std::byte*>(content.data()), values.size());
    initializers_.push_back(tensor_of(name, dtype == DType::f16 ? onnx_bytes::half : onnx_bytes::f32, shape, content));
  }
  void add_once(const std::string& name, const std::string& initializer) {
    if (once_.insert(name).second) initializers_.push_back(initializer);
  }
  static std::string tensor_of(const std::string& name, int type, const std::vector<int64_t>& shape,
                               std::string_view content) {
    using namespace onnx_bytes;
    std::string text;
    for (const int64_t extent : shape) text += number(1, extent);
    return text + number(2, type) + bytes(8, name) + bytes(9, content);
  }

  std::string node(const std::string& op, const Names& inputs, const std::string& output,
                   const std::vector<std::string>& attributes, const std::string& domain = {}) {
    return node(op, inputs, Names{output}, attributes, domain);
  }
  std::string node(const std::string& op, const Names& inputs, const Names& outputs,
                   const std::vector<std::string>& attributes, const std::string& domain = {}) {
    using namespace onnx_bytes;
    std::string text;
    for (const std::string& input : inputs) text += bytes(1, input);
    for (const std::string& output : outputs) text += bytes(2, output);
    text += bytes(3, outputs[0] + "/" + op) + bytes(4, op);
    for (const std::string& attribute : attributes) text += bytes(5, attribute);
    if (!domain.empty()) text += bytes(7, domain);
    nodes_.push_back(text);
    return outputs[0];
  }

  const GenaiForm& form_;
  SafetensorsFile file_;
  int64_t heads_ = 0, kv_heads_ = 0, width_ = 0, layers_ = 0, hidden_ = 0, positions_ = 0, vocabulary_ = 0;
  float epsilon_ = 0;
  double theta_ = 0;
  std::vector<float> frequencies_;
  std::vector<std::string> nodes_, initializers_, inputs_, outputs_;
  std::set<std::string> once_;
  std::string seqlens_, total_, bias_;
};

}  // namespace incipit
