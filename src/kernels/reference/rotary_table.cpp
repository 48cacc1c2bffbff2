#include <cmath>

#include "base/query_growth.h"
#include "kernels/families.h"

namespace incipit {

void RotaryTable::reference(const Problem& problem, const Args& args) {
  for (int64_t row = 0; row < args.rows; ++row) {
    float* output = args.output + row * args.output_stride;
    const double factor = problem.factor * query_growth(problem.growth, problem.growth_length, args.positions[row]);
    for (int64_t i = 0; i < problem.pairs; ++i) {
      // Exact: 31 bits of position times 24 bits of frequency; to two bits more than a double holds.
      const double angle = static_cast<double>(args.positions[row]) * static_cast<double>(args.inverse_frequencies[i]);
      output[i] = static_cast<float>(factor * std::cos(angle));
      output[problem.pairs + i] = static_cast<float>(factor * std::sin(angle));
    }
  }
}

}  // namespace incipit
