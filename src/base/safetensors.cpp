#include "base/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace incipit {
namespace {

constexpr size_t length_bytes = 8;
constexpr uint64_t header_limit = 100'000'000;  // as the reference implementation
constexpr std::string_view damaged = "the file is damaged or not safetensors: fetch or write it again";

struct ElementType {
  std::string_view name;
  uint32_t bits;
  std::optional<DType> dtype;  // empty: known to the format, not read by us
};
constexpr std::array<ElementType, 21> element_types{{{"F32", 32, DType::f32},
                                                     {"F16", 16, DType::f16},
                                                     {"BF16", 16, DType::bf16},
                                                     {"F64", 64, DType::f64},
                                                     {"I8", 8, DType::i8},
                                                     {"U8", 8, DType::u8},
                                                     {"I16", 16, DType::i16},
                                                     {"U16", 16, DType::u16},
                                                     {"I32", 32, DType::i32},
                                                     {"U32", 32, DType::u32},
                                                     {"I64", 64, DType::i64},
                                                     {"U64", 64, DType::u64},
                                                     {"BOOL", 8, DType::boolean},
                                                     {"F8_E4M3", 8, DType::u8},
                                                     {"F8_E5M2", 8, {}},
                                                     {"F8_E8M0", 8, {}},
                                                     {"F6_E2M3", 6, {}},
                                                     {"F6_E3M2", 6, {}},
                                                     {"F4", 4, {}},
                                                     {"F4_E2M1", 4, {}},
                                                     {"C64", 64, {}}}};

const ElementType* find_element_type(std::string_view name) {
  for (const ElementType& type : element_types) {
    if (type.name == name) return &type;
  }
  return nullptr;
}

std::string_view element_type_name(DType dtype) {
  for (const ElementType& type : element_types) {
    if (type.dtype == dtype) return type.name;
  }
  INCIPIT_ASSERT(!"every dtype has a name in the format");
}

std::string_view view(const boost::json::string& text) { return {text.data(), text.size()}; }

/// A list of numbers that are ≥ 0 and fit an int64; empty optional for anything else.
std::optional<std::vector<int64_t>> natural_numbers(const boost::json::value* value) {
  if (value == nullptr || !value->is_array()) return {};
  std::vector<int64_t> numbers;
  for (const boost::json::value& item : value->get_array()) {
    if (!item.is_int64() || item.get_int64() < 0) return {};
    numbers.push_back(item.get_int64());
  }
  return numbers;
}

/// dtype × shape in bytes; empty when it overflows or ends within a byte.
std::optional<int64_t> byte_count(const Shape& shape, uint32_t bits) {
  int64_t count = bits;
  for (int64_t extent : shape) {
    if (__builtin_mul_overflow(count, extent, &count)) return {};
  }
  if (count % 8 != 0) return {};
  return count / 8;
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  std::shared_ptr<const MappedFile> file = MappedFile::open(path);
  const std::span<const std::byte> bytes = file->bytes();
  SafetensorsFile parsed = parse(path.string(), bytes, file);
  parsed.file_ = std::move(file);
  return parsed;
}

SafetensorsFile SafetensorsFile::parse(std::string name, std::span<const std::byte> bytes,
                                       std::shared_ptr<const void> owner) {
  SafetensorsFile file;
  file.name_ = std::move(name);
  file.bytes_ = bytes;
  file.owner_ = std::move(owner);

  if (bytes.size() < length_bytes) {
    throw Error(file.name_, fmt::format("is {} bytes long, too short for a safetensors header", bytes.size()), damaged);
  }
  uint64_t length = 0;
  for (size_t i = 0; i < length_bytes; ++i) length |= std::to_integer<uint64_t>(bytes[i]) << (8 * i);
  if (length > header_limit) {
    throw Error(file.name_, fmt::format("says its header has {} bytes (at most {})", length, header_limit), damaged);
  }
  if (length > bytes.size() - length_bytes) {
    throw Error(file.name_,
                fmt::format("says its header has {} bytes, but only {} follow", length, bytes.size() - length_bytes),
                damaged);
  }
  const auto data_begin = length_bytes + static_cast<size_t>(length);
  file.read_header({reinterpret_cast<const char*>(bytes.data()) + length_bytes, static_cast<size_t>(length)},
                   data_begin);
  file.check_layout(data_begin);
  return file;
}

void SafetensorsFile::read_header(std::string_view header, size_t data_begin) {
  const boost::json::value parsed = parse_json(header, name_ + " (header)");
  const boost::json::object* root = parsed.if_object();
  if (root == nullptr) throw Error(name_, "has a header that is not a JSON object", damaged);
  if (const std::string key = repeated_key(header); !key.empty()) {
    throw Error(name_, fmt::format("has '{}' twice in its header", key), damaged);
  }
  for (const auto& [key, value] : *root) {
    const std::string tensor(key.data(), key.size());
    if (tensor == "__metadata__") continue;
    const auto bad = [&](std::string_view fault) {
      throw Error(name_, fmt::format("tensor {}: {}", tensor, fault), damaged);
    };
    const boost::json::object* fields = value.if_object();
    if (fields == nullptr) bad("its header entry is not an object");
    const boost::json::value* dtype = fields->if_contains("dtype");
    if (dtype == nullptr || !dtype->is_string()) bad("dtype is missing or not a string");
    const auto shape = natural_numbers(fields->if_contains("shape"));
    if (!shape) bad("shape is missing or not a list of numbers from 0");
    const auto offsets = natural_numbers(fields->if_contains("data_offsets"));
    if (!offsets || offsets->size() != 2) bad("data_offsets is missing or not two numbers from 0");
    const int64_t begin = (*offsets)[0], end = (*offsets)[1];
    if (begin > end) bad(fmt::format("data_offsets [{}, {}] run backwards", begin, end));
    const auto available = static_cast<int64_t>(bytes_.size() - data_begin);
    if (end > available) {
      bad(fmt::format("ends at byte {} of {}: the file is cut short by {} or more", end, available, end - available));
    }
    Entry entry{std::string(view(dtype->get_string())), *shape, data_begin + static_cast<size_t>(begin),
                data_begin + static_cast<size_t>(end)};
    if (const ElementType* type = find_element_type(entry.dtype)) {
      const auto expected = byte_count(entry.shape, type->bits);
      if (!expected) bad(fmt::format("shape [{}] overflows or is no whole number of bytes", fmt::join(*shape, ", ")));
      if (*expected != end - begin) {
        bad(fmt::format("{}[{}] needs {} bytes, data_offsets give {}", entry.dtype, fmt::join(*shape, ", "), *expected,
                        end - begin));
      }
    }
    entries_.emplace(tensor, std::move(entry));
  }
}

void SafetensorsFile::check_layout(size_t data_begin) const {
  std::vector<const std::pair<const std::string, Entry>*> in_order;
  in_order.reserve(entries_.size());
  for (const auto& item : entries_) in_order.push_back(&item);
  std::sort(in_order.begin(), in_order.end(), [](const auto* a, const auto* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  size_t expected = data_begin;
  std::string_view previous;
  for (const auto* item : in_order) {
    const Entry& entry = item->second;
    if (entry.begin < expected) {
      throw Error(name_, fmt::format("tensors {} and {} overlap", previous, item->first), damaged);
    }
    if (entry.begin > expected) {
      throw Error(name_,
                  fmt::format("{} bytes before tensor {} belong to no tensor", entry.begin - expected, item->first),
                  damaged);
    }
    expected = entry.end;
    previous = item->first;
  }
  if (expected != bytes_.size()) {
    throw Error(name_, fmt::format("{} bytes after the last tensor belong to none", bytes_.size() - expected), damaged);
  }
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  names.reserve(entries_.size());
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
}

const SafetensorsFile::Entry& SafetensorsFile::entry(std::string_view tensor) const {
  const auto found = entries_.find(tensor);
  if (found == entries_.end()) throw Error(name_, fmt::format("has no tensor {}", tensor));
  return found->second;
}

const Shape& SafetensorsFile::shape(std::string_view tensor) const { return entry(tensor).shape; }

TensorView SafetensorsFile::tensor(std::string_view tensor) const {
  const Entry& found = entry(tensor);
  const ElementType* type = find_element_type(found.dtype);
  if (type == nullptr || !type->dtype) {
    throw Error(name_,
                fmt::format("tensor {} has element type {}, which this build does not read", tensor, found.dtype),
                "give a checkpoint in F32, F16 or BF16");
  }
  return {*type->dtype, found.shape, bytes_.data() + found.begin};
}

Tensor SafetensorsFile::load(std::string_view name) const {
  const TensorView source = tensor(name);
  Tensor copy(source.dtype, source.shape);
  if (copy.bytes() > 0) std::memcpy(copy.data(), source.data, copy.bytes());
  return copy;
}

void write_safetensors(const std::filesystem::path& path, const std::map<std::string, Tensor>& tensors,
                       std::string_view made_by) {
  // Widest elements first: then every tensor is aligned to its element type, as the header's length is to 8.
  std::vector<const std::pair<const std::string, Tensor>*> in_order;
  in_order.reserve(tensors.size());
  for (const auto& item : tensors) in_order.push_back(&item);
  std::stable_sort(in_order.begin(), in_order.end(), [](const auto* a, const auto* b) {
    return size_of(a->second.dtype()) > size_of(b->second.dtype());
  });

  boost::json::object header;
  if (!made_by.empty()) header["__metadata__"] = {{"made_by", made_by}};
  uint64_t offset = 0;
  for (const auto* item : in_order) {
    const Tensor& tensor = item->second;
    boost::json::array shape;
    for (int64_t extent : tensor.shape()) shape.push_back(extent);
    const uint64_t end = offset + tensor.bytes();
    const std::string_view dtype = element_type_name(tensor.dtype());
    header[item->first] = {{"dtype", boost::json::string_view(dtype.data(), dtype.size())},
                           {"shape", std::move(shape)},
                           {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = boost::json::serialize(header);
  text.resize((text.size() + length_bytes - 1) / length_bytes * length_bytes, ' ');

  AtomicFile file(path);
  std::array<std::byte, length_bytes> length{};
  for (size_t i = 0; i < length_bytes; ++i) length.at(i) = static_cast<std::byte>(text.size() >> (8 * i));
  file.write(length);
  file.write(text);
  for (const auto* item : in_order) file.write({item->second.data(), item->second.bytes()});
  file.commit();
}

}  // namespace incipit
