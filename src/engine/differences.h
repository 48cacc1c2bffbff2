// What is different between two engines.
#pragma once

#include <string>
#include <vector>

namespace incipit {

class Engine;

/// One thing that is not the same. `a` and `b` are what each engine has there, to be read by people; empty: it has
/// none.
struct Difference {
  std::string area;  // "sources", "options", "passes", "texts", "sizes", "weights", "kernels", "baselines"
  std::string name;
  std::string a, b;
};

/// In the order of the areas above. Weights are compared byte by byte where both engines hold them in the same form, so
/// all of both is read. Steps that changed alike are one difference. Of baselines the last one of each engine counts,
/// where both are of one machine and as many threads; every time that both have is told, whether it differs or not.
/// Throws Error where a manifest or a baseline cannot be read.
std::vector<Difference> differences(const Engine& a, const Engine& b);

}  // namespace incipit
