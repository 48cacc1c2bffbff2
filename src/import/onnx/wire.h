// Protocol Buffers' wire format, as far as a large file must be taken apart without copying it: protobuf's own parser
// copies every weight. Source: https://protobuf.dev/programming-guides/encoding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace incipit::onnx::wire {

using Bytes = std::span<const std::byte>;

enum class Type : uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

struct Field {
  uint32_t number = 0;
  Type type = Type::varint;
  Bytes whole;    // with its tag
  Bytes payload;  // of Type::bytes; empty for others
};

/// Calls `take` for each field of a message, in order. Returns false, after those before it, at a field that does not
/// end within the message or is of a type that ONNX does not use (groups).
bool for_each_field(Bytes message, const std::function<void(const Field&)>& take);

}  // namespace incipit::onnx::wire
