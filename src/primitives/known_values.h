// What is known of the results of arithmetic on small integers of which something is known.
#pragma once

#include <initializer_list>
#include <vector>

#include "primitives/binary.h"
#include "primitives/dim.h"
#include "primitives/unary.h"

namespace incipit::primitives {

/// A function of values of that dtype, where it follows from what is known of them; else unknown.
Dim applied(const Binary& op, DType dtype, const Dim& a, const Dim& b);
Dim applied(const Unary& op, DType dtype, const Dim& a);
/// Element i of a broadcast operand.
const Dim& element(const std::vector<Dim>& contents, size_t i);
/// As many elements as contents that are broadcast against one another have; 0 where they do not fit.
size_t common_count(std::initializer_list<const std::vector<Dim>*> all);

}  // namespace incipit::primitives
