#include "import/onnx/wire.h"

#include <optional>

namespace incipit::onnx::wire {
namespace {

std::optional<uint64_t> read_varint(Bytes message, size_t& at) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && at < message.size(); shift += 7) {
    const auto byte = std::to_integer<uint64_t>(message[at++]);
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

}  // namespace

bool for_each_field(Bytes message, const std::function<void(const Field&)>& take) {
  for (size_t at = 0; at < message.size();) {
    const size_t begin = at;
    const std::optional<uint64_t> tag = read_varint(message, at);
    if (!tag || *tag >> 3 == 0 || *tag > UINT32_MAX) return false;
    Field field;
    field.number = static_cast<uint32_t>(*tag >> 3);
    field.type = static_cast<Type>(*tag & 7);
    uint64_t size = 0;
    switch (field.type) {
      case Type::varint:
        if (!read_varint(message, at)) return false;
        break;
      case Type::fixed64: size = 8; break;
      case Type::fixed32: size = 4; break;
      case Type::bytes: {
        const std::optional<uint64_t> length = read_varint(message, at);
        if (!length) return false;
        size = *length;
        break;
      }
      default: return false;
    }
    if (size > message.size() - at) return false;
    if (field.type == Type::bytes) field.payload = message.subspan(at, static_cast<size_t>(size));
    at += static_cast<size_t>(size);
    field.whole = message.subspan(begin, at - begin);
    take(field);
  }
  return true;
}

}  // namespace incipit::onnx::wire
