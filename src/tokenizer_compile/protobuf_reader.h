// The wire format of protocol buffers, as far as reading one message's fields in turn takes.
// Source: protobuf.dev/programming-guides/encoding.
#pragma once

#include <cstdint>
#include <string_view>

namespace incipit {

/// Reads a message. Nothing is copied; the bytes and the file's name must outlive it.
class ProtobufReader {
 public:
  ProtobufReader(std::string_view message, std::string_view file) : rest_(message), file_(file) {}

  /// Goes to the next field; false at the end. Throws Error naming the file when the bytes are no message.
  bool next();

  uint32_t field() const { return field_; }
  /// Of the present field: throws Error when it is of another wire type.
  std::string_view bytes() const;
  int64_t integer() const;
  bool boolean() const { return integer() != 0; }
  float number() const;

 private:
  enum class Type : uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };
  uint64_t read_varint();
  std::string_view take(uint64_t size);
  void expect(Type type) const;
  [[noreturn]] void refuse() const;

  std::string_view rest_;
  std::string_view file_;
  uint32_t field_ = 0;
  Type type_ = Type::varint;
  uint64_t integer_ = 0;    // of a varint
  std::string_view bytes_;  // of the other types
};

}  // namespace incipit
