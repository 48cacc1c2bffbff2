#include "graph/ops/primitive.h"

namespace incipit::ops {
namespace {

template <typename... P>
std::unique_ptr<Op> make_one(primitives::List<P...>, std::string_view name) {
  std::unique_ptr<Op> made;
  ((name == P::op_name ? void(made = std::make_unique<Primitive<P>>()) : void()), ...);
  return made;
}

template <typename... P>
std::vector<std::string_view> names_of(primitives::List<P...>) {
  return {P::op_name...};
}

}  // namespace

std::unique_ptr<Op> make_primitive(std::string_view name) { return make_one(primitives::All{}, name); }
std::vector<std::string_view> primitive_names() { return names_of(primitives::All{}); }

}  // namespace incipit::ops
