#include "measure/request_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cmath>
#include <optional>
#include <span>
#include <stdexcept>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace incipit {
namespace {

constexpr int64_t record_format = 1;
constexpr std::string_view format_key = "incipit_record";
constexpr int64_t most_recorded_tokens = 1 << 30;

std::string hex_of(uint64_t digest) { return fmt::format("{:016x}", digest); }

size_t digests_of(int64_t tokens) {
  return static_cast<size_t>((tokens + recorded_prefix_tokens - 1) / recorded_prefix_tokens);
}

/// What is wrong with a line.
struct LineFault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The fields of one object of a line. Throws LineFault.
class RecordFields {
 public:
  explicit RecordFields(const boost::json::value& value) : fields_(value.if_object()) {
    if (fields_ == nullptr) throw LineFault{fmt::format("there is {} where an object should be", kind_name(value))};
  }

  const boost::json::value* find(std::string_view key) const { return fields_->if_contains(key); }
  const boost::json::value& at(std::string_view key) const {
    if (const boost::json::value* found = find(key)) return *found;
    throw LineFault{fmt::format("'{}' is missing", key)};
  }
  std::string text(std::string_view key) const {
    const boost::json::value& found = at(key);
    if (!found.is_string()) throw LineFault{fmt::format("'{}' is no text", key)};
    return std::string(found.get_string());
  }
  const boost::json::array& list(std::string_view key) const {
    const boost::json::value& found = at(key);
    if (!found.is_array()) throw LineFault{fmt::format("'{}' is no list", key)};
    return found.get_array();
  }
  double number(std::string_view key) const {
    const boost::json::value& found = at(key);
    if (!found.is_number() || !std::isfinite(found.to_number<double>())) {
      throw LineFault{fmt::format("'{}' is no number", key)};
    }
    return found.to_number<double>();
  }
  double number(std::string_view key, double otherwise) const {
    const boost::json::value* found = find(key);
    return found == nullptr || found->is_null() ? otherwise : number(key);
  }
  template <typename T>
  T integer(std::string_view key, T least, T most) const {
    return integer_in(at(key), key, least, most);
  }
  template <typename T>
  T integer(std::string_view key, T least, T most, T otherwise) const {
    const boost::json::value* found = find(key);
    return found == nullptr || found->is_null() ? otherwise : integer_in(*found, key, least, most);
  }
  bool flag(std::string_view key) const {
    const boost::json::value* found = find(key);
    if (found == nullptr) return false;
    if (!found->is_bool()) throw LineFault{fmt::format("'{}' is neither true nor false", key)};
    return found->get_bool();
  }

  template <typename T>
  static T integer_in(const boost::json::value& value, std::string_view key, T least, T most) {
    boost::json::error_code fault;
    const T number = value.is_double() ? T() : value.to_number<T>(fault);
    if (value.is_double() || fault || number < least || number > most) {
      throw LineFault{fmt::format("'{}' is no integer of {} to {}", key, least, most)};
    }
    return number;
  }

 private:
  const boost::json::object* fields_;
};

uint64_t digest_in(const boost::json::value& value, std::string_view key) {
  const boost::json::string* text = value.if_string();
  uint64_t digest = 0;
  if (text != nullptr && text->size() == 16) {
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), digest, 16);
    if (error == std::errc() && end == text->data() + text->size()) return digest;
  }
  throw LineFault{fmt::format("'{}' has what is no digest", key)};
}

uint64_t digest_or_none(const RecordFields& fields, std::string_view key) {
  const boost::json::value* found = fields.find(key);
  return found == nullptr ? 0 : digest_in(*found, key);
}

std::vector<int32_t> ids_in(const boost::json::array& list, std::string_view key) {
  std::vector<int32_t> ids;
  ids.reserve(list.size());
  for (const boost::json::value& id : list) ids.push_back(RecordFields::integer_in<int32_t>(id, key, 0, INT32_MAX));
  return ids;
}

boost::json::object sampling_object(const SamplingParameters& sampling) {
  boost::json::object object{{"temperature", sampling.temperature},
                             {"top_k", sampling.top_k},
                             {"top_p", sampling.top_p},
                             {"min_p", sampling.min_p},
                             {"repetition_penalty", sampling.repetition_penalty},
                             {"frequency_penalty", sampling.frequency_penalty},
                             {"presence_penalty", sampling.presence_penalty}};
  if (sampling.top_logprobs > 0) object["top_logprobs"] = sampling.top_logprobs;
  if (sampling.biases == 0) return object;
  boost::json::object biases;
  for (size_t i = 0; i < static_cast<size_t>(sampling.biases); ++i) {
    biases[std::to_string(sampling.bias_ids[i])] = sampling.bias_values[i];
  }
  object["logit_bias"] = std::move(biases);
  return object;
}

SamplingParameters read_sampling_object(const RecordFields& fields) {
  SamplingParameters sampling;
  const auto set = [&](std::string_view key, float& field) { field = static_cast<float>(fields.number(key, field)); };
  set("temperature", sampling.temperature);
  set("top_p", sampling.top_p);
  set("min_p", sampling.min_p);
  set("repetition_penalty", sampling.repetition_penalty);
  set("frequency_penalty", sampling.frequency_penalty);
  set("presence_penalty", sampling.presence_penalty);
  sampling.top_k = fields.integer<int32_t>("top_k", 0, INT32_MAX, 0);
  sampling.top_logprobs = fields.integer<int32_t>("top_logprobs", 0, max_top_logprobs, 0);
  const boost::json::value* biases = fields.find("logit_bias");
  if (biases == nullptr) return sampling;
  if (!biases->is_object() || biases->get_object().size() > SamplingParameters::max_biases) {
    throw LineFault{"'logit_bias' is no object of biases"};
  }
  const RecordFields given(*biases);
  for (const auto& [key, bias] : biases->get_object()) {
    const auto at = static_cast<size_t>(sampling.biases++);
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), sampling.bias_ids[at]);
    if (error != std::errc() || end != key.data() + key.size()) throw LineFault{"'logit_bias' has what is no token id"};
    sampling.bias_values[at] = static_cast<float>(given.number(key));
  }
  return sampling;
}

FinishReason finish_in(const std::string& text) {
  for (const FinishReason reason :
       {FinishReason::none, FinishReason::stop, FinishReason::length, FinishReason::cancelled, FinishReason::failed}) {
    if (text == name_of(reason)) return reason;
  }
  throw LineFault{"'finish' is none of the ways to end"};
}

RecordedPrompt read_prompt(const RecordFields& fields) {
  RecordedPrompt prompt;
  prompt.tokens = fields.integer<int32_t>("tokens", 1, most_recorded_tokens);
  if (fields.find("ids") != nullptr) {
    prompt.ids = ids_in(fields.list("ids"), "ids");
    if (prompt.ids.size() != static_cast<size_t>(prompt.tokens)) throw LineFault{"'ids' are not as many as 'tokens'"};
    return prompt;
  }
  for (const boost::json::value& digest : fields.list("digests")) {
    prompt.digests.push_back(digest_in(digest, "digests"));
  }
  if (prompt.digests.size() != digests_of(prompt.tokens)) {
    throw LineFault{fmt::format("'digests' are not one for each {} tokens", recorded_prefix_tokens)};
  }
  return prompt;
}

RecordedChoice read_choice(const RecordFields& fields) {
  RecordedChoice choice;
  choice.seed = fields.integer<uint64_t>("seed", 0, UINT64_MAX);
  choice.new_tokens = fields.integer<int32_t>("completion_tokens", 0, most_recorded_tokens);
  choice.finish = finish_in(fields.text("finish"));
  choice.first_token_ms = fields.number("ttft_ms", -1);
  if (fields.find("text") != nullptr) choice.text = fields.text("text");
  return choice;
}

Request read_terms(const RecordFields& fields) {
  Request terms;
  terms.sampling = read_sampling_object(RecordFields(fields.at("sampling")));
  terms.max_new_tokens = fields.integer<int32_t>("max_tokens", 0, INT32_MAX, 0);
  terms.min_new_tokens = fields.integer<int32_t>("min_tokens", 0, INT32_MAX, 0);
  terms.ignore_end = fields.flag("ignore_eos");
  terms.priority = fields.integer<int32_t>("priority", INT32_MIN, INT32_MAX, 0);
  constexpr double most_ms = 1e9;
  terms.first_token_us = static_cast<int64_t>(1000 * std::clamp(fields.number("deadline_ms", 0), 0.0, most_ms));
  terms.cache_salt = digest_or_none(fields, "salt");
  terms.tenant = digest_or_none(fields, "tenant");
  terms.tenant_weight = fields.integer<int32_t>("weight", 1, 1000, 1);
  if (fields.find("stop") != nullptr) {
    for (const boost::json::value& stop : fields.list("stop")) {
      if (!stop.is_string()) throw LineFault{"'stop' has what is no text"};
      terms.stop_texts.emplace_back(stop.get_string());
    }
  }
  if (fields.find("stop_token_ids") != nullptr)
    terms.stop_ids = ids_in(fields.list("stop_token_ids"), "stop_token_ids");
  return terms;
}

RecordedRequest read_request(const RecordFields& fields) {
  RecordedRequest request;
  request.time = fields.text("time");
  request.id = fields.text("id");
  request.endpoint = fields.text("endpoint");
  request.model = fields.text("model");
  request.arrival_ms = fields.number("arrival_ms");
  request.total_ms = fields.number("total_ms");
  request.prompt_tokens = fields.integer<int64_t>("prompt_tokens", 0, INT64_MAX);
  request.cached_tokens = fields.integer<int64_t>("cached_tokens", 0, INT64_MAX);
  request.stream = fields.flag("stream");
  request.hidden_stops = fields.integer<int64_t>("hidden_stops", 0, INT32_MAX, 0);
  request.terms = read_terms(fields);
  for (const boost::json::value& prompt : fields.list("prompts")) {
    request.prompts.push_back(read_prompt(RecordFields(prompt)));
  }
  for (const boost::json::value& choice : fields.list("choices")) {
    request.choices.push_back(read_choice(RecordFields(choice)));
  }
  if (request.prompts.empty() || request.choices.empty() || request.choices.size() % request.prompts.size() != 0) {
    throw LineFault{"'choices' are not as many of each of 'prompts'"};
  }
  return request;
}

void check_heading(const RecordFields& fields) {
  if (fields.integer<int64_t>(format_key, 0, INT64_MAX) != record_format) {
    throw LineFault{"it is a record of another version of incipit"};
  }
  if (fields.integer<int64_t>("prefix_tokens", 1, INT64_MAX) != recorded_prefix_tokens) {
    throw LineFault{"its digests are of other beginnings than this version's"};
  }
}

/// A record's lines in their order.
class RecordReader {
 public:
  void read(std::string_view line, size_t number, const std::string& thing) {
    const boost::json::value parsed = parse_json(line, thing);
    const RecordFields fields(parsed);
    if (fields.find(format_key) != nullptr) {
      check_heading(fields);
      end_section();
      headed_ = true;
      return;
    }
    if (!headed_) throw LineFault{"a record begins with another line"};
    section_.push_back(read_request(fields));
    section_.back().line = number;
  }

  std::vector<RecordedRequest> finish() {
    end_section();
    return std::move(requests_);
  }

 private:
  /// A line is written when its request ends: their order is not that of arrival.
  void end_section() {
    if (section_.empty()) return;
    std::ranges::stable_sort(section_, {}, &RecordedRequest::arrival_ms);
    const double from = section_.front().arrival_ms;
    const double begin = requests_.empty() ? 0 : requests_.back().arrival_ms;
    for (RecordedRequest& request : section_) {
      request.arrival_ms += begin - from;
      requests_.push_back(std::move(request));
    }
    section_.clear();
  }

  std::vector<RecordedRequest> requests_, section_;
  bool headed_ = false;
};

}  // namespace

std::vector<uint64_t> digest_beginnings(const DigestKey& key, uint64_t salt, const std::vector<int32_t>& ids) {
  std::vector<uint64_t> digests;
  digests.reserve(digests_of(std::ssize(ids)));
  uint64_t before = keyed_digest(key, std::as_bytes(std::span(&salt, 1)));
  std::vector<std::byte> bytes;
  for (size_t at = 0; at < ids.size(); at += recorded_prefix_tokens) {
    const auto part = std::span(ids).subspan(at, std::min<size_t>(recorded_prefix_tokens, ids.size() - at));
    const auto of_before = std::as_bytes(std::span(&before, 1)), of_part = std::as_bytes(part);
    bytes.assign(of_before.begin(), of_before.end());
    bytes.insert(bytes.end(), of_part.begin(), of_part.end());
    digests.push_back(before = keyed_digest(key, bytes));
  }
  return digests;
}

void hide_texts(const DigestKey& key, RecordedRequest& request) {
  for (RecordedPrompt& prompt : request.prompts) {
    prompt.digests = digest_beginnings(key, request.terms.cache_salt, prompt.ids);
    prompt.ids.clear();
  }
  for (RecordedChoice& choice : request.choices) choice.text.clear();
  request.hidden_stops = std::ssize(request.terms.stop_texts) + std::ssize(request.terms.stop_ids);
  request.terms.stop_texts.clear();
  request.terms.stop_ids.clear();
  request.terms.sampling.biases = 0;
}

boost::json::object record_heading(const std::string& time, bool with_texts) {
  return {{format_key, record_format},
          {"time", time},
          {"prompts", with_texts ? "ids" : "digests"},
          {"prefix_tokens", recorded_prefix_tokens}};
}

bool is_record(std::string_view beginning) { return beginning.starts_with(fmt::format("{{\"{}\":", format_key)); }

boost::json::object to_json(const RecordedRequest& request) {
  const Request& terms = request.terms;
  boost::json::array prompts, choices;
  for (const RecordedPrompt& prompt : request.prompts) {
    boost::json::object& object = prompts.emplace_back(boost::json::object{{"tokens", prompt.tokens}}).get_object();
    if (prompt.digests.empty()) {
      object["ids"] = boost::json::value_from(prompt.ids);
      continue;
    }
    boost::json::array& digests = object["digests"].emplace_array();
    for (const uint64_t digest : prompt.digests) digests.emplace_back(hex_of(digest));
  }
  int64_t new_tokens = 0;
  std::optional<double> first_ms;
  FinishReason finish = FinishReason::none;
  for (const RecordedChoice& choice : request.choices) {
    const bool has_token = choice.first_token_ms >= 0;
    choices.push_back({{"seed", choice.seed},
                       {"completion_tokens", choice.new_tokens},
                       {"finish", name_of(choice.finish)},
                       {"ttft_ms", has_token ? boost::json::value(choice.first_token_ms) : nullptr}});
    if (request.has_texts()) choices.back().get_object()["text"] = choice.text;
    new_tokens += choice.new_tokens;
    if (has_token) first_ms = std::min(first_ms.value_or(choice.first_token_ms), choice.first_token_ms);
    finish = choice.finish;
  }
  boost::json::object line{{"time", request.time},
                           {"arrival_ms", request.arrival_ms},
                           {"id", request.id},
                           {"endpoint", request.endpoint},
                           {"model", request.model},
                           {"stream", request.stream},
                           {"prompt_tokens", request.prompt_tokens},
                           {"cached_tokens", request.cached_tokens},
                           {"completion_tokens", new_tokens},
                           {"finish", name_of(finish)},
                           {"ttft_ms", first_ms ? boost::json::value(*first_ms) : boost::json::value(nullptr)},
                           {"total_ms", request.total_ms},
                           {"max_tokens", terms.max_new_tokens},
                           {"sampling", sampling_object(terms.sampling)}};
  if (terms.min_new_tokens > 0) line["min_tokens"] = terms.min_new_tokens;
  if (terms.ignore_end) line["ignore_eos"] = true;
  if (terms.priority != 0) line["priority"] = terms.priority;
  if (terms.first_token_us > 0) line["deadline_ms"] = static_cast<double>(terms.first_token_us) / 1000;
  if (terms.cache_salt != 0) line["salt"] = hex_of(terms.cache_salt);
  if (terms.tenant != 0) line["tenant"] = hex_of(terms.tenant);
  if (terms.tenant_weight != 1) line["weight"] = terms.tenant_weight;
  if (!terms.stop_texts.empty()) line["stop"] = boost::json::value_from(terms.stop_texts);
  if (!terms.stop_ids.empty()) line["stop_token_ids"] = boost::json::value_from(terms.stop_ids);
  if (request.hidden_stops > 0) line["hidden_stops"] = request.hidden_stops;
  line["prompts"] = std::move(prompts);
  line["choices"] = std::move(choices);
  return line;
}

std::vector<RecordedRequest> parse_record(std::string_view text, const std::string& name) {
  RecordReader reader;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string place = fmt::format("{}, line {}", name, number);
    const auto refuse = [&](const std::string& fault) {
      return Error(place, fmt::format("is no recorded request: {}", fault),
                   "give a file that serve --record has written; a line that was cut off may be removed");
    };
    try {
      reader.read(line, number, place);
    } catch (const LineFault& fault) {
      throw refuse(fault.what());
    } catch (const Error& error) {
      throw refuse(error.fault());
    }
  }
  std::vector<RecordedRequest> requests = reader.finish();
  if (requests.empty()) throw Error(name, "has no requests", "give a file that serve --record has written");
  return requests;
}

std::vector<RecordedRequest> read_record(const std::filesystem::path& path) {
  constexpr size_t most = size_t{4} << 30;
  return parse_record(read_text_file(path, most), path.string());
}

}  // namespace incipit
