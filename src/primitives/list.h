// Every primitive. A new one is its files and a line here.
#pragma once

#include "primitives/concat.h"

namespace incipit::primitives {

template <typename... P>
struct List {};

using All = List<Concat  //
                 >;

}  // namespace incipit::primitives
