#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "tune/tuner.h"

namespace incipit {
namespace {

constexpr std::string_view separator = " | ", on_gpu = " on ";

std::string key_of(const Target& target, std::string_view problem, int32_t rows) {
  return fmt::format("{}{}{} rows={}", to_string(target), separator, problem, rows);
}

template <typename T>
bool parse_field(std::string_view& text, std::string_view name, T& value) {
  if (!text.starts_with(name)) return false;
  const char* begin = text.data() + name.size();
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(begin, end, value);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<size_t>(stop - text.data()));
  return true;
}

/// "linear/avx512_bf16 abi=1 config=r8_p4 us=812.5", and " on NVIDIA H200" behind it
std::optional<KernelChoice> parse_choice(std::string_view text) {
  KernelChoice choice;
  const size_t space = text.find(' ');
  if (space == 0 || space == std::string_view::npos) return std::nullopt;
  choice.kernel = text.substr(0, space);
  text.remove_prefix(space);
  if (!parse_field(text, " abi=", choice.abi) || !text.starts_with(" config=")) return std::nullopt;
  text.remove_prefix(8);
  const size_t end = text.find(' ');
  if (end == 0 || end == std::string_view::npos) return std::nullopt;
  choice.config = text.substr(0, end);
  text.remove_prefix(end);
  if (!parse_field(text, " us=", choice.microseconds)) return std::nullopt;
  if (text.size() > on_gpu.size() && text.starts_with(on_gpu)) {
    choice.gpu = text.substr(on_gpu.size());
  } else if (!text.empty()) {
    return std::nullopt;
  }
  return choice;
}

}  // namespace

TuningCache TuningCache::load(const std::filesystem::path& path) {
  TuningCache cache;
  if (!std::filesystem::exists(path)) return cache;
  const std::string text = read_text_file(path);
  size_t number = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = std::string_view(text).substr(at, end - at);
    at = end + 1;
    ++number;
    if (line.empty()) continue;
    const size_t split = line.rfind(separator);
    const std::optional<KernelChoice> choice = split == std::string_view::npos || split == 0
                                                   ? std::nullopt
                                                   : parse_choice(line.substr(split + separator.size()));
    if (!choice) {
      throw Error(path.string(), fmt::format("line {} is no tuning result", number),
                  "choose another --tuning-cache; if this was one, delete it to tune again");
    }
    cache.entries_[std::string(line.substr(0, split))] = *choice;
  }
  return cache;
}

void TuningCache::save(const std::filesystem::path& path) {
  const DirectoryLock turn(path);
  TuningCache merged = load(path);
  for (const std::string& key : unsaved_) merged.entries_[key] = entries_.at(key);
  AtomicFile file(path);
  for (const auto& [key, choice] : merged.entries_) {
    file.write(fmt::format("{}{}{} abi={} config={} us={:.2f}{}{}\n", key, separator, choice.kernel, choice.abi,
                           choice.config, choice.microseconds, choice.gpu.empty() ? "" : on_gpu, choice.gpu));
  }
  file.commit();
  unsaved_.clear();
}

const KernelChoice* TuningCache::find(const Target& target, std::string_view problem, int32_t rows) const {
  const auto found = entries_.find(key_of(target, problem, rows));
  return found == entries_.end() ? nullptr : &found->second;
}

void TuningCache::set(const Target& target, std::string_view problem, int32_t rows, KernelChoice choice) {
  std::string key = key_of(target, problem, rows);
  entries_[key] = std::move(choice);
  unsaved_.insert(std::move(key));
  ++changes_;
}

}  // namespace incipit
