#include "measure/work.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "kernels/families.h"
#include "kernels/problem.h"

namespace incipit {
namespace {

/// Of the codes and scales of a weight, without padding.
double weight_bytes(const WeightShape& weight) {
  const WeightFormat& format = weight.format;
  const auto blocks =
      static_cast<double>(format.blocks_of_n(weight.n)) * static_cast<double>(format.blocks_of_k(weight.k));
  double a_block = 0;
  for (const std::optional<DType>& plane : {format.scales, format.zero_points}) {
    if (plane) a_block += static_cast<double>(size_of(*plane));
  }
  return static_cast<double>(weight.n * format.bytes_of(weight.k)) + blocks * a_block;
}

Work linear_work(const Linear::Problem& problem, int64_t rows) {
  return {2.0 * static_cast<double>(rows) * problem.n * problem.k, problem.format.activation,
          weight_bytes(problem.weight())};
}

/// Tokens that choose evenly, each on its own: an expert is read when any of them chose it.
Work expert_work(const ExpertLinear::Problem& problem, int64_t rows) {
  const double share = static_cast<double>(problem.top_k) / problem.experts;
  const double read = problem.experts * (1 - std::pow(1 - share, static_cast<double>(rows)));
  return {2.0 * static_cast<double>(rows) * problem.top_k * problem.n * problem.k, problem.input,
          read * weight_bytes(problem.weight())};
}

Work attention_work(const Attention::Problem& problem, int64_t rows, int64_t context, int64_t sequences) {
  // Query i of `rows` stands at position context − rows + i and sees one key more than the one before it.
  double keys = 0;
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t visible = context - rows + i + 1;
    keys += static_cast<double>(problem.window > 0 ? std::min<int64_t>(visible, problem.window) : visible);
  }
  const int64_t earlier = context - rows;
  const int64_t read = problem.window > 0 ? std::min<int64_t>(earlier, problem.window) : earlier;
  Work work;
  work.operations = 4.0 * problem.heads * problem.head_dim * keys * static_cast<double>(sequences);
  work.arithmetic = problem.cache == DType::i8 ? DType::f32 : problem.cache;  // codes are multiplied as floats
  work.bytes = static_cast<double>(problem.geometry().page_bytes()) / problem.page_tokens *
               static_cast<double>(read * sequences);
  return work;
}

}  // namespace

Work work_of(std::string_view problem, int64_t rows, int64_t context, int64_t sequences) {
  const std::string_view family = family_of(problem);
  if (family == Linear::Problem::family) {
    return linear_work(problem_from_text<Linear::Problem>(problem), rows * sequences);
  }
  if (family == ExpertLinear::Problem::family) {
    return expert_work(problem_from_text<ExpertLinear::Problem>(problem), rows * sequences);
  }
  if (family == Attention::Problem::family) {
    return attention_work(problem_from_text<Attention::Problem>(problem), rows, context, sequences);
  }
  return {};
}

double limit_seconds(const Work& work, const Ceilings& ceilings) {
  return std::max(work.operations / ceilings.of(work.arithmetic), work.bytes / ceilings.bandwidth);
}

}  // namespace incipit
