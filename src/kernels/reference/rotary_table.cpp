#include "base/rotary.h"
#include "kernels/families.h"

namespace incipit {

void RotaryTable::reference(const Problem& problem, const Args& args) {
  const auto pairs = static_cast<size_t>(problem.pairs);
  const RotaryFactor factor{problem.factor, problem.growth, problem.growth_length};
  for (int64_t row = 0; row < args.rows; ++row) {
    rotary_row(args.positions[row], {args.inverse_frequencies, pairs}, factor,
               {args.output + row * args.output_stride, 2 * pairs});
  }
}

}  // namespace incipit
