// ONNX's element types, by their numbers in TensorProto.DataType.
#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "import/onnx/model.h"

namespace incipit::onnx {
namespace {

struct ElementType {
  std::string_view name;
  std::optional<DType> dtype;
};
constexpr std::array<ElementType, 27> element_types{{{"undefined", {}},
                                                     {"float", DType::f32},
                                                     {"uint8", DType::u8},
                                                     {"int8", DType::i8},
                                                     {"uint16", DType::u16},
                                                     {"int16", DType::i16},
                                                     {"int32", DType::i32},
                                                     {"int64", DType::i64},
                                                     {"string", {}},
                                                     {"bool", DType::boolean},
                                                     {"float16", DType::f16},
                                                     {"double", DType::f64},
                                                     {"uint32", DType::u32},
                                                     {"uint64", DType::u64},
                                                     {"complex64", {}},
                                                     {"complex128", {}},
                                                     {"bfloat16", DType::bf16},
                                                     {"float8e4m3fn", {}},
                                                     {"float8e4m3fnuz", {}},
                                                     {"float8e5m2", {}},
                                                     {"float8e5m2fnuz", {}},
                                                     {"uint4", {}},
                                                     {"int4", {}},
                                                     {"float4e2m1", {}},
                                                     {"float8e8m0", {}},
                                                     {"uint2", {}},
                                                     {"int2", {}}}};

}  // namespace

DType dtype_of(int32_t element_type, const std::string& thing) {
  const bool listed = element_type >= 0 && static_cast<size_t>(element_type) < element_types.size();
  const ElementType type = listed ? element_types.at(static_cast<size_t>(element_type)) : ElementType{};
  if (type.dtype) return *type.dtype;
  const std::string name = listed ? std::string(type.name) : "number " + std::to_string(element_type);
  throw UnsupportedType(thing, "has the element type " + name, "convert it to a floating type of 16 bits or more");
}

}  // namespace incipit::onnx
