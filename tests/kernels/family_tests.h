// Typed tests of every family, by its name.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "kernels/family_list.h"

namespace incipit {

template <typename Tuple>
struct TypesOf;
template <typename... Families>
struct TypesOf<std::tuple<FamilyTag<Families>...>> {
  using Types = ::testing::Types<Families...>;
};
using AllFamilies = TypesOf<KernelFamilies>::Types;

struct FamilyNames {
  template <typename Family>
  static std::string GetName(int) {
    return std::string(Family::Problem::family);
  }
};

}  // namespace incipit
