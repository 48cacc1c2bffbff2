#include "tokenizer_compile/protobuf_reader.h"

#include <cstring>

#include "base/error.h"

namespace incipit {

void ProtobufReader::refuse() const {
  throw Error(file_, "it is cut short or no SentencePiece model", "download it again");
}

uint64_t ProtobufReader::read_varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (rest_.empty()) refuse();
    const auto byte = static_cast<uint8_t>(rest_[0]);
    rest_.remove_prefix(1);
    value |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return value;
  }
  refuse();
}

std::string_view ProtobufReader::take(uint64_t size) {
  if (size > rest_.size()) refuse();
  const std::string_view taken = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return taken;
}

bool ProtobufReader::next() {
  if (rest_.empty()) return false;
  const uint64_t tag = read_varint();
  if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff) refuse();
  field_ = static_cast<uint32_t>(tag >> 3);
  type_ = static_cast<Type>(tag & 7);
  switch (type_) {
    case Type::varint: integer_ = read_varint(); return true;
    case Type::fixed64: bytes_ = take(8); return true;
    case Type::bytes: bytes_ = take(read_varint()); return true;
    case Type::fixed32: bytes_ = take(4); return true;
  }
  refuse();  // groups, which no published model has, and what is none
}

void ProtobufReader::expect(Type type) const {
  if (type_ != type) refuse();
}

std::string_view ProtobufReader::bytes() const {
  expect(Type::bytes);
  return bytes_;
}

int64_t ProtobufReader::integer() const {
  expect(Type::varint);
  return static_cast<int64_t>(integer_);
}

float ProtobufReader::number() const {
  expect(Type::fixed32);
  float value;
  std::memcpy(&value, bytes_.data(), sizeof value);
  return value;
}

}  // namespace incipit
