#include "primitives/sdpa.h"

#include <algorithm>
#include <limits>

#include "base/activation.h"
#include "base/softmax.h"
#include "primitives/broadcast.h"
#include "primitives/broadcast_strides.h"
#include "primitives/carrier.h"
#include "primitives/product.h"
#include "primitives/rule.h"

namespace incipit::primitives {
namespace {

/// Queries whose scores are computed at a time.
constexpr int64_t block = 64;

/// Everything that one call computes with; tensors are wide.
struct Problem {
  const Sdpa& op;
  const Tensor& q;
  const Tensor& k;
  const Tensor& v;
  const Tensor* mask;  // bool, or as wide as q
  std::vector<int64_t> mask_strides;
  std::vector<int64_t> first, lengths;  // by sequence
  Tensor& y;
  Tensor* scores;
};

/// Which keys a query sees by its position.
struct Seen {
  int64_t begin, end;
};
Seen seen_by(const Problem& p, int64_t b, int64_t query) {
  Seen seen{0, p.lengths[static_cast<size_t>(b)]};
  const int64_t position = p.first[static_cast<size_t>(b)] + query;
  if (p.op.causal) seen.end = std::clamp<int64_t>(position + 1, 0, seen.end);
  if (p.op.window > 0 && position >= p.op.window) seen.begin = std::min(position - p.op.window + 1, seen.end);
  return seen;
}

/// Scores of one query to their softmax, over what it sees; keeps what `scores` asks for in `shown`.
template <typename T>
void weigh(const Problem& p, T* score, int64_t keys, const Seen& seen, const std::byte* mask, int64_t mask_step,
           T* shown) {
  const auto show = [&](Sdpa::Scores stage) {
    if (shown != nullptr && p.op.scores == stage) std::copy_n(score, keys, shown);
  };
  show(Sdpa::Scores::product);
  if (p.op.soft_cap > 0) {
    const T cap = static_cast<T>(p.op.soft_cap);
    for (int64_t j = 0; j < keys; ++j) score[j] = soft_capped(score[j], cap);
  }
  show(Sdpa::Scores::capped);
  constexpr T nothing = -std::numeric_limits<T>::infinity();
  std::fill(score, score + seen.begin, nothing);
  std::fill(score + seen.end, score + keys, nothing);
  if (mask != nullptr && p.mask->dtype() == DType::boolean) {
    for (int64_t j = seen.begin; j < seen.end; ++j) {
      if (mask[j * mask_step] == std::byte{0}) score[j] = static_cast<T>(p.op.hidden_score);
    }
  } else if (mask != nullptr) {
    const T* const addend = reinterpret_cast<const T*>(mask);
    for (int64_t j = seen.begin; j < seen.end; ++j) score[j] += addend[j * mask_step];
  }
  show(Sdpa::Scores::masked);
  const double sum = to_softmax_terms(score + seen.begin, seen.end - seen.begin).sum;
  const T factor = sum == 0 ? T{0} : static_cast<T>(1 / sum);
  for (int64_t j = seen.begin; j < seen.end; ++j) score[j] *= factor;
  std::fill(score, score + seen.begin, T{0});
  std::fill(score + seen.end, score + keys, T{0});
  if (sum == 0 && p.op.empty_is_nan) std::fill(score, score + keys, std::numeric_limits<T>::quiet_NaN());
  show(Sdpa::Scores::softmax);
}

template <typename T>
void attend(const Problem& p) {
  const Shape& q_shape = p.q.shape();
  const int64_t batch = q_shape[0], heads = q_shape[1], queries = q_shape[2], width = q_shape[3];
  const int64_t kv_heads = p.k.shape()[1], keys = p.k.shape()[2], value_width = p.v.shape()[3];
  const T scale = static_cast<T>(p.op.scale);
  std::vector<T> transposed(static_cast<size_t>(width * keys)),
      score(static_cast<size_t>(std::min(block, queries) * keys));
  const size_t mask_bytes = p.mask == nullptr ? 0 : size_of(p.mask->dtype());
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t kv = b * kv_heads + h * kv_heads / heads, head = b * heads + h;
      const T* const k = p.k.as<T>().data() + kv * keys * width;
      const T* const q = p.q.as<T>().data() + head * queries * width;
      if (h % (heads / kv_heads) == 0) {  // heads before had other keys
        for (int64_t j = 0; j < keys; ++j) {
          for (int64_t d = 0; d < width; ++d) transposed[static_cast<size_t>(d * keys + j)] = k[j * width + d] * scale;
        }
      }
      for (int64_t s = 0; s < queries; s += block) {
        const int64_t rows = std::min(block, queries - s);
        std::fill(score.begin(), score.end(), T{0});
        add_product(q + s * width, transposed.data(), score.data(), rows, width, keys);
        for (int64_t r = 0; r < rows; ++r) {
          const std::byte* mask = nullptr;
          if (p.mask != nullptr) {
            mask = p.mask->data() +
                   static_cast<size_t>(b * p.mask_strides[0] + h * p.mask_strides[1] + (s + r) * p.mask_strides[2]) *
                       mask_bytes;
          }
          T* const shown = p.scores == nullptr ? nullptr : p.scores->as<T>().data() + (head * queries + s + r) * keys;
          weigh(p, score.data() + r * keys, keys, seen_by(p, b, s + r), mask, p.mask == nullptr ? 0 : p.mask_strides[3],
                shown);
        }
        add_product(score.data(), p.v.as<T>().data() + kv * keys * value_width,
                    p.y.as<T>().data() + (head * queries + s) * value_width, rows, keys, value_width);
      }
    }
  }
}

/// A number for each sequence.
std::vector<int64_t> by_sequence(const Tensor* given, int64_t batch, int64_t otherwise) {
  std::vector<int64_t> values(static_cast<size_t>(batch), otherwise);
  if (given == nullptr) return values;
  if (given->dtype() != DType::i64 || given->shape().size() > 1) {
    throw Error(Sdpa::op_name, "takes positions and lengths as i64, one or one for each sequence");
  }
  const std::vector<int64_t> numbers = integers(*given);
  if (numbers.size() != 1 && numbers.size() != values.size()) {
    throw Error(Sdpa::op_name, "takes positions and lengths for each sequence");
  }
  for (size_t i = 0; i < values.size(); ++i) values[i] = numbers[numbers.size() == 1 ? 0 : i];
  return values;
}

}  // namespace

void Sdpa::check_attributes() const {
  if (window < 0) throw Error(op_name, "has a negative window");
  if (!(soft_cap >= 0)) throw Error(op_name, "has a soft cap below 0");
}

Outputs Sdpa::compute(Inputs inputs) const {
  check_attributes();
  const Tensor& q = required_input(op_name, inputs, 0);
  const Tensor& k = required_input(op_name, inputs, 1);
  const Tensor& v = required_input(op_name, inputs, 2);
  const Tensor* const mask = optional_input(inputs, 3);
  with_float_type(op_name, q.dtype(), [](auto) {});
  if (k.dtype() != q.dtype() || v.dtype() != q.dtype()) throw Error(op_name, "takes q, k and v of one type");
  if (q.shape().size() != 4 || k.shape().size() != 4 || v.shape().size() != 4) {
    throw Error(op_name, "takes q, k and v of rank 4");
  }
  const int64_t batch = q.shape()[0], heads = q.shape()[1], queries = q.shape()[2];
  const int64_t kv_heads = k.shape()[1], keys = k.shape()[2];
  if (k.shape()[0] != batch || v.shape()[0] != batch || v.shape()[1] != kv_heads || v.shape()[2] != keys ||
      k.shape()[3] != q.shape()[3]) {
    throw Error(op_name, "q, k and v do not fit together");
  }
  if (heads > 0 && (kv_heads == 0 || heads % kv_heads != 0)) {
    throw Error(op_name, std::to_string(heads) + " query heads cannot share " + std::to_string(kv_heads) + " of keys");
  }
  const Shape score_shape{batch, heads, queries, keys};
  if (mask != nullptr) {
    if (mask->dtype() != DType::boolean && carrier_of(mask->dtype()) != carrier_of(q.dtype())) {
      throw Error(op_name, "takes a mask of bool or as wide as q");
    }
    if (broadcast_shape(op_name, mask->shape(), score_shape) != score_shape) {
      throw Error(op_name, "its mask is larger than the scores");
    }
  }
  Tensor q_storage, k_storage, v_storage, mask_storage;
  const Tensor& wide_q = widened(q, q_storage);
  Tensor y(wide_q.dtype(), {batch, heads, queries, v.shape()[3]});
  Tensor shown = scores == Scores::none ? Tensor() : Tensor(wide_q.dtype(), score_shape);
  Problem problem{*this,
                  wide_q,
                  widened(k, k_storage),
                  widened(v, v_storage),
                  nullptr,
                  {},
                  {},
                  {},
                  y,
                  scores == Scores::none ? nullptr : &shown};
  if (mask != nullptr) {
    problem.mask = mask->dtype() == DType::boolean ? mask : &widened(*mask, mask_storage);
    problem.mask_strides = broadcast_strides(mask->shape(), 4);
  }
  problem.first = by_sequence(optional_input(inputs, 4), batch, 0);
  problem.lengths = by_sequence(optional_input(inputs, 5), batch, keys);
  for (int64_t& first : problem.first) first = std::clamp<int64_t>(first, -queries, keys);
  for (size_t b = 0; b < problem.lengths.size(); ++b) {
    const int64_t length = problem.lengths[b];
    if (length < 0 || length > keys) {
      throw Error(op_name, "sequence " + std::to_string(b) + " has " + std::to_string(length) + " of " +
                               std::to_string(keys) + " keys");
    }
    if (causal && queries > 0 && optional_input(inputs, 5) != nullptr && problem.first[b] >= length && length > 0) {
      throw Error(op_name, "sequence " + std::to_string(b) + " has " + std::to_string(length) +
                               " keys, and its queries begin at " + std::to_string(problem.first[b]));
    }
  }
  if (batch * heads * queries > 0) {
    wide_q.dtype() == DType::f64 ? attend<double>(problem) : attend<float>(problem);
  }
  Outputs outputs;
  outputs.push_back(narrowed(std::move(y), q.dtype()));
  if (scores != Scores::none) outputs.push_back(narrowed(std::move(shown), q.dtype()));
  return outputs;
}

OutputTypes Sdpa::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 3);
  check_attributes();
  rule.same_float({1, 2});
  for (const size_t i : {size_t{0}, size_t{1}, size_t{2}}) rule.require_rank(i, 4);
  const std::vector<Dim>&q = rule.type(0).shape, &k = rule.type(1).shape, &v = rule.type(2).shape;
  const Dim batch = same_extent(rule, same_extent(rule, q[0], k[0]), v[0]);
  const Dim kv_heads = same_extent(rule, k[1], v[1]), keys = same_extent(rule, k[2], v[2]);
  same_extent(rule, q[3], k[3]);
  const std::optional<int64_t> heads = q[1].try_constant(), groups = kv_heads.try_constant();
  rule.require(!heads || !groups || *heads == 0 || (*groups > 0 && *heads % *groups == 0),
               q[1].text() + " query heads cannot share " + kv_heads.text() + " of keys");
  const std::vector<Dim> scores{batch, q[1], q[2], keys};
  if (rule.has(3)) {
    const DType mask = rule.type(3).dtype;
    rule.require(mask == DType::boolean || is_floating(mask), "takes a mask of bool or floating");
    if (mask == DType::f64 || rule.type(0).dtype == DType::f64) {
      rule.require(mask == DType::boolean || mask == rule.type(0).dtype, "takes a mask of f64 with q of f64");
    }
    broadcasts_to(rule, 3, scores);
  }
  for (const size_t i : {size_t{4}, size_t{5}}) {
    if (!rule.has(i)) continue;
    rule.require(rule.type(i).dtype == DType::i64 && rule.type(i).shape.size() <= 1,
                 "takes positions and lengths as i64, one or one for each sequence");
    if (!rule.type(i).shape.empty() && rule.type(i).shape[0] != Dim(1)) same_extent(rule, batch, rule.type(i).shape[0]);
  }
  OutputTypes types{{rule.type(0).dtype, {batch, q[1], q[2], v[3]}}};
  if (this->scores != none) types.push_back({rule.type(0).dtype, scores});
  return types;
}

}  // namespace incipit::primitives
