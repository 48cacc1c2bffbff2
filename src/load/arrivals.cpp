#include "load/arrivals.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cmath>
#include <ctime>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace incipit {
namespace {

constexpr int64_t most_tokens = 1 << 30;

Error bad_line(const std::string& name, size_t line, std::string_view fault) {
  return Error(fmt::format("{}, line {}", name, line), std::string(fault),
               "give TIMESTAMP,ContextTokens,GeneratedTokens, or lines of JSON with timestamp, input_length and "
               "output_length");
}

template <typename T>
std::optional<T> whole_number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

/// "2023-11-16 18:17:03.9799600" as seconds since 1970, or plain seconds.
std::optional<double> seconds_of(std::string_view text) {
  if (const auto plain = whole_number<double>(text)) return std::isfinite(*plain) ? plain : std::nullopt;
  std::tm calendar{};
  const std::string copy(text);
  const char* rest = ::strptime(copy.c_str(), "%Y-%m-%d %H:%M:%S", &calendar);
  if (rest == nullptr) return {};
  const std::optional<double> fraction = *rest == '\0' ? 0 : whole_number<double>(rest);
  const bool is_fraction = fraction && *fraction >= 0 && *fraction < 1;  // no NaN is
  if (!is_fraction) return {};
  return static_cast<double>(::timegm(&calendar)) + *fraction;
}

std::optional<Arrival> read_row(std::string_view line) {
  const size_t first = line.find(','), second = line.find(',', first + 1);
  if (first == std::string_view::npos || second == std::string_view::npos) return {};
  const auto due = seconds_of(line.substr(0, first));
  const auto prompt = whole_number<int32_t>(line.substr(first + 1, second - first - 1));
  const auto generated = whole_number<int32_t>(line.substr(second + 1));
  if (!due || !prompt || !generated || *prompt < 1 || *generated < 1) return {};
  return Arrival{*due, *prompt, *generated, {}};
}

std::optional<Arrival> read_object(std::string_view line, const std::string& name) {
  const boost::json::value parsed = parse_json(line, name);
  const boost::json::object* object = parsed.if_object();
  if (object == nullptr) return {};
  const auto number = [&](std::string_view key) -> std::optional<double> {
    const boost::json::value* found = object->if_contains(key);
    if (found == nullptr || !found->is_number()) return {};
    return found->to_number<double>();
  };
  const auto due = number("timestamp"), prompt = number("input_length"), generated = number("output_length");
  const auto is_count = [](const auto& one) { return one && *one >= 1 && *one <= static_cast<double>(most_tokens); };
  if (!due || !std::isfinite(*due) || !is_count(prompt) || !is_count(generated)) return {};
  Arrival arrival{*due / 1e3, static_cast<int32_t>(*prompt), static_cast<int32_t>(*generated), {}};
  if (const boost::json::value* blocks = object->if_contains("hash_ids")) {
    if (!blocks->is_array()) return {};
    for (const boost::json::value& block : blocks->get_array()) {
      if (!block.is_int64()) return {};
      arrival.blocks.push_back(block.get_int64());
    }
  }
  return arrival;
}

/// Steele, Lea and Flood: SplitMix64.
uint64_t mixed(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace

std::vector<Arrival> parse_arrivals(std::string_view text, const std::string& name) {
  std::vector<Arrival> arrivals;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || (number == 1 && line.starts_with("TIMESTAMP,"))) continue;
    const std::optional<Arrival> arrival = line.starts_with('{') ? read_object(line, name) : read_row(line);
    if (!arrival) throw bad_line(name, number, "is no request of a trace");
    arrivals.push_back(*arrival);
  }
  if (arrivals.empty()) throw Error(name, "has no requests", "give a trace");
  std::ranges::stable_sort(arrivals, {}, &Arrival::due_s);
  const double begin = arrivals.front().due_s;
  for (Arrival& arrival : arrivals) arrival.due_s -= begin;
  return arrivals;
}

std::vector<Arrival> read_arrivals(const std::filesystem::path& path) {
  return parse_arrivals(read_text_file(path), path.string());
}

std::vector<Arrival> random_arrivals(int32_t count, double rate, int32_t prompt_tokens, int32_t new_tokens,
                                     uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<Arrival> arrivals;
  double due = 0;
  for (int32_t i = 0; i < count; ++i) {
    arrivals.push_back({due, prompt_tokens, new_tokens, {}});
    // Of (0, 1]: its logarithm is finite.
    const double uniform = (static_cast<double>(random() >> 11) + 1) * 0x1p-53;
    if (rate > 0) due += -std::log(uniform) / rate;
  }
  return arrivals;
}

int32_t cut_to_context(std::vector<Arrival>& arrivals, int32_t context) {
  int32_t cut = 0;
  for (Arrival& arrival : arrivals) {
    const int32_t generated = std::min(arrival.new_tokens, std::max(1, context / 2));
    const int32_t prompt = std::min(arrival.prompt_tokens, std::max(1, context - generated));
    cut += prompt != arrival.prompt_tokens || generated != arrival.new_tokens;
    arrival.prompt_tokens = prompt;
    arrival.new_tokens = generated;
  }
  return cut;
}

std::vector<int32_t> prompt_of(const Arrival& arrival, uint64_t number, uint64_t seed, int32_t first, int32_t last) {
  std::vector<int32_t> ids(static_cast<size_t>(arrival.prompt_tokens));
  const auto range = static_cast<uint64_t>(last - first);
  const auto block_tokens = static_cast<size_t>(arrival.block_tokens);
  for (size_t i = 0; i < ids.size(); ++i) {
    const size_t block = i / block_tokens;
    const uint64_t source =
        block < arrival.blocks.size() ? mixed(static_cast<uint64_t>(arrival.blocks[block])) : mixed(~number) + block;
    ids[i] = first + static_cast<int32_t>(mixed(mixed(seed ^ source) + i % block_tokens) % range);
  }
  return ids;
}

}  // namespace incipit
