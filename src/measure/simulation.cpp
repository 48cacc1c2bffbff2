#include "measure/simulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/progress.h"

namespace incipit {
namespace {

constexpr int32_t mooncake_block = 512;

/// Two digits and more at fixed places of "2023-11-16 18:17:03.9799600".
bool take_digits(std::string_view text, size_t at, size_t count, int64_t& value) {
  if (text.size() < at + count) return false;
  const char* const end = text.data() + at + count;
  const auto [stop, error] = std::from_chars(text.data() + at, end, value);
  return error == std::errc() && stop == end;
}

/// Days since 1970-03-01 of the proleptic Gregorian calendar, whose years begin with March here.
int64_t day_number(int64_t year, int64_t month, int64_t day) {
  const int64_t shifted = month > 2 ? month - 3 : month + 9;
  const int64_t from = month > 2 ? year : year - 1;
  return 365 * from + from / 4 - from / 100 + from / 400 + (153 * shifted + 2) / 5 + day;
}

bool take_time(std::string_view text, int64_t& us) {
  int64_t year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, fraction = 0;
  if (!take_digits(text, 0, 4, year) || !take_digits(text, 5, 2, month) || !take_digits(text, 8, 2, day) ||
      !take_digits(text, 11, 2, hour) || !take_digits(text, 14, 2, minute) || !take_digits(text, 17, 2, second)) {
    return false;
  }
  std::string digits(text.size() > 20 ? text.substr(20) : std::string_view());
  digits.resize(6, '0');
  if (!take_digits(digits, 0, 6, fraction)) return false;
  us = (((day_number(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1'000'000 + fraction;
  return true;
}

bool take_csv_line(std::string_view line, TraceRequest& request) {
  const size_t first = line.find(','), second = line.find(',', first == line.npos ? first : first + 1);
  if (second == line.npos || !take_time(line.substr(0, first), request.arrival_us)) return false;
  const auto whole = [](std::string_view text, int32_t& value) {
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && stop == text.data() + text.size();
  };
  return whole(line.substr(first + 1, second - first - 1), request.prompt_tokens) &&
         whole(line.substr(second + 1), request.new_tokens);
}

TraceRequest json_request(std::string_view line, const std::string& thing) {
  const boost::json::value value = parse_json(line, thing);
  const auto number = [&](std::string_view key) {
    const boost::json::value* field = value.is_object() ? value.get_object().if_contains(key) : nullptr;
    if (field == nullptr || !field->is_number() || !(field->to_number<double>() >= 0) ||
        field->to_number<double>() > 1e12) {
      throw Error(thing, fmt::format("'{}' is missing, or no number", key), "give a trace as Mooncake publishes them");
    }
    return field->to_number<double>();
  };
  TraceRequest request;
  request.arrival_us = static_cast<int64_t>(number("timestamp") * 1000);
  request.prompt_tokens = static_cast<int32_t>(std::min(number("input_length"), 1e9));
  request.new_tokens = static_cast<int32_t>(std::min(number("output_length"), 1e9));
  if (const boost::json::value* blocks = value.get_object().if_contains("hash_ids"); blocks && blocks->is_array()) {
    for (const boost::json::value& block : blocks->get_array()) {
      if (block.is_int64()) request.blocks.push_back(block.get_int64());
    }
  }
  return request;
}

/// A prompt's ids: those of its blocks, and behind them of nobody else.
std::vector<int32_t> ids_of(const TraceRequest& request, size_t index, int32_t tokens, int32_t block_tokens) {
  std::vector<int32_t> ids(static_cast<size_t>(tokens));
  for (int32_t i = 0; i < tokens; ++i) {
    const size_t block = block_tokens > 0 ? static_cast<size_t>(i / block_tokens) : request.blocks.size();
    const uint64_t text =
        block < request.blocks.size() ? static_cast<uint64_t>(request.blocks[block]) : (uint64_t{1} << 40) + index;
    const uint64_t mixed = (text * 0x9e3779b97f4a7c15U) ^ (static_cast<uint64_t>(i) * 0xc2b2ae3d27d4eb4fU);
    ids[static_cast<size_t>(i)] = static_cast<int32_t>((mixed >> 33) & INT32_MAX);
  }
  return ids;
}

/// A replay: the clock is the steps'.
class Replay {
 public:
  Replay(const RequestTrace& trace, const StepCosts& costs, const SimulationOptions& options)
      : trace_(trace), costs_(costs), options_(options), scheduler_(options.limits, options.policy, costs) {}

  SimulationResult run() {
    while (next_ < trace_.requests.size() || !live_.empty()) {
      while (next_ < trace_.requests.size() && arrival_of(next_) <= result_.us) arrive();
      if (step()) continue;
      if (next_ == trace_.requests.size()) break;
      result_.us = std::max(result_.us, arrival_of(next_));
    }
    INCIPIT_ASSERT(live_.empty());
    return std::move(result_);
  }

 private:
  struct Live {
    int64_t arrival_us = 0, predicted_us = 0, alone_us = 0, last_token_us = 0;
    int32_t tokens_left = 0;
  };

  int64_t arrival_of(size_t index) const {
    return static_cast<int64_t>(static_cast<double>(trace_.requests[index].arrival_us) / options_.speed);
  }

  void arrive() {
    check_interrupt();
    const size_t index = next_++;
    const TraceRequest& request = trace_.requests[index];
    const int32_t most = scheduler_.limits().max_context;
    const int32_t tokens = std::clamp(request.prompt_tokens, 1, most);
    result_.cut += tokens < request.prompt_tokens;
    Live one;
    one.arrival_us = arrival_of(index);
    one.tokens_left = std::clamp(request.new_tokens, 1, most + 1 - tokens);
    one.alone_us = std::max<int64_t>(1, costs_.predict_prompt(tokens));
    const std::vector<int32_t> prompt = ids_of(request, index, tokens, trace_.block_tokens);
    SequenceTerms terms;
    terms.arrival_us = one.arrival_us;
    one.predicted_us = result_.us - one.arrival_us + scheduler_.predict_first_token(prompt, terms);
    if (options_.most_first_token_us > 0 && one.predicted_us > options_.most_first_token_us) {
      ++result_.refused;
      return;
    }
    const auto id = static_cast<SequenceId>(index + 1);
    if (!scheduler_.add(id, prompt, tokens + one.tokens_left, terms)) {
      ++result_.refused;
      return;
    }
    result_.prompt_tokens += tokens;
    live_.emplace(id, one);
  }

  bool step() {
    std::vector<SequenceId> samples;
    for (const ScheduledEntry& entry : scheduler_.schedule()) {
      if (entry.samples) samples.push_back(entry.id);
      if (entry.starts && live_.at(entry.id).last_token_us == 0) result_.cached_tokens += entry.first_position;
    }
    const int64_t us = costs_.predict(scheduler_.work());
    if (us == 0) return false;
    result_.us += us;
    result_.busy_us += us;
    scheduler_.ran(us);
    for (const SequenceId id : samples) take_token(id);
    return true;
  }

  void take_token(SequenceId id) {
    Live& one = live_.at(id);
    scheduler_.learn(id, 0);
    ++result_.new_tokens;
    if (one.last_token_us == 0) {
      const int64_t first = result_.us - one.arrival_us;
      result_.first_tokens.push_back(first);
      result_.slowdowns.push_back(static_cast<double>(first) / static_cast<double>(one.alone_us));
      result_.predictions.push_back(static_cast<double>(one.predicted_us) / static_cast<double>(first));
    } else {
      result_.gaps.push_back(result_.us - one.last_token_us);
    }
    one.last_token_us = result_.us;
    if (--one.tokens_left > 0) return;
    scheduler_.remove(id);
    live_.erase(id);
  }

  const RequestTrace& trace_;
  const StepCosts& costs_;
  const SimulationOptions& options_;
  Scheduler scheduler_;
  std::map<SequenceId, Live> live_;
  size_t next_ = 0;
  SimulationResult result_;
};

}  // namespace

RequestTrace read_request_trace(const std::filesystem::path& path) {
  const std::string whole = read_text_file(path);
  RequestTrace trace;
  int64_t number = 0;
  for (size_t at = 0; at < whole.size();) {
    const size_t end = std::min(whole.find('\n', at), whole.size());
    std::string_view line = std::string_view(whole).substr(at, end - at);
    at = end + 1;
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || (number == 1 && line.starts_with("TIMESTAMP"))) continue;
    const std::string thing = fmt::format("{}: line {}", path.string(), number);
    TraceRequest request;
    if (line.starts_with('{')) {
      request = json_request(line, thing);
      if (!request.blocks.empty()) trace.block_tokens = mooncake_block;
    } else if (!take_csv_line(line, request)) {
      throw Error(thing, "it is no request", "give TIMESTAMP,ContextTokens,GeneratedTokens, or an object in JSON");
    }
    trace.requests.push_back(std::move(request));
  }
  if (trace.requests.empty()) throw Error(path.string(), "it has no requests", "give a trace");
  std::ranges::stable_sort(trace.requests, {}, &TraceRequest::arrival_us);
  const int64_t first = trace.requests.front().arrival_us;
  for (TraceRequest& request : trace.requests) request.arrival_us -= first;
  return trace;
}

SimulationResult simulate(const RequestTrace& trace, const StepCosts& costs, const SimulationOptions& options) {
  INCIPIT_ASSERT(costs.known());
  SimulationOptions own = options;
  own.limits.prefix_cache = own.limits.prefix_cache && trace.block_tokens > 0;
  return Replay(trace, costs, own).run();
}

}  // namespace incipit
