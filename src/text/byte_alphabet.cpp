#include "text/byte_alphabet.h"

#include <array>

#include "base/utf8.h"

namespace incipit {
namespace {

constexpr bool stands_for_itself(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

constexpr uint32_t symbol_limit = 0x144;

struct Alphabet {
  std::array<uint16_t, 256> symbols{};
  std::array<int16_t, symbol_limit> bytes{};
};

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  alphabet.bytes.fill(-1);
  uint16_t next = 0x100;  // the others follow on, in order
  for (int byte = 0; byte < 256; ++byte) {
    const uint16_t symbol = stands_for_itself(byte) ? static_cast<uint16_t>(byte) : next++;
    alphabet.symbols[byte] = symbol;
    alphabet.bytes[symbol] = static_cast<int16_t>(byte);
  }
  return alphabet;
}

constexpr Alphabet byte_alphabet = make_alphabet();

}  // namespace

uint32_t byte_symbol(uint8_t byte) { return byte_alphabet.symbols[byte]; }

std::optional<std::string> bytes_of_symbols(std::string_view symbols) {
  std::string bytes;
  bytes.reserve(symbols.size());
  for (size_t position = 0; position < symbols.size();) {
    const Utf8Unit unit = utf8_unit_at(symbols, position);
    if (unit.code_point >= symbol_limit || byte_alphabet.bytes[unit.code_point] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(byte_alphabet.bytes[unit.code_point]));
    position += unit.size;
  }
  return bytes;
}

}  // namespace incipit
