// Golden logits as the JSON of a trailer's record.
#include <fmt/format.h>

#include <boost/json.hpp>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/json.h"
#include "engine/plan_items.h"
#include "measure/golden.h"

namespace incipit {

namespace json = boost::json;

namespace {

/// With the fewest digits that give the same float again.
double shortest(float number) {
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  double value = 0;
  std::from_chars(digits.data(), end.ptr, value);
  return value;
}

json::object to_json(const GoldenRow& row) {
  json::array ids(row.ids.begin(), row.ids.end()), logprobs;
  for (const float logprob : row.logprobs) logprobs.emplace_back(shortest(logprob));
  return {{"ids", std::move(ids)}, {"logprobs", std::move(logprobs)}, {"forced", shortest(row.forced_logprob)}};
}

json::object to_json(const GoldenPrompt& prompt) {
  json::array rows;
  for (const GoldenRow& row : prompt.rows) rows.push_back(to_json(row));
  return {{"bucket", prompt.bucket}, {"tokens", prompt.tokens}, {"rows", std::move(rows)}};
}

/// A record's members, each of which must be there and what it should be.
class GoldenReader {
 public:
  explicit GoldenReader(const Engine& engine)
      : engine_(engine.path().string()),
        vocabulary_(engine.plan().vocabulary()),
        context_(static_cast<int32_t>(engine.plan().max_context())) {}

  GoldenLogits read(const json::value& record) const {
    GoldenLogits golden;
    golden.version = text(record, "version");
    golden.machine = text(record, "machine");
    golden.text = ids(record, "text");
    golden.forced = id(member(record, "forced"), "forced");
    golden.range = positive(record, "range");
    golden.spread = {positive(member(record, "spread"), "largest"), positive(member(record, "spread"), "mean")};
    golden.has_one_way = flag(record, "has_one_way");
    golden.format_error = positive(record, "format_error");
    for (const json::value& bucket : list(record, "left_out")) golden.left_out.push_back(integer(bucket, "left_out"));
    for (const json::value& prompt : list(record, "prompts")) golden.prompts.push_back(read_prompt(prompt, golden));
    if (golden.prompts.empty()) fail("prompts");
    const json::value& reference = member(record, "reference");
    if (reference.is_null()) {
      golden.no_reference = text(record, "no_reference");
    } else {
      golden.reference = {integer(member(reference, "tokens"), "tokens"), positive(reference, "deviation"),
                          positive(reference, "tolerance")};
    }
    return golden;
  }

 private:
  GoldenPrompt read_prompt(const json::value& value, const GoldenLogits& golden) const {
    GoldenPrompt prompt;
    prompt.bucket = integer(member(value, "bucket"), "bucket");
    prompt.tokens = integer(member(value, "tokens"), "tokens");
    for (const json::value& row : list(value, "rows")) prompt.rows.push_back(read_row(row));
    const auto most = std::min(std::ssize(golden.text), static_cast<std::ptrdiff_t>(context_));
    if (prompt.tokens < 1 || prompt.tokens > most) fail("tokens");
    if (prompt.rows.empty() || std::ssize(prompt.rows) > context_ + 1 - prompt.tokens) fail("rows");
    return prompt;
  }
  GoldenRow read_row(const json::value& value) const {
    GoldenRow row;
    row.ids = ids(value, "ids");
    for (const json::value& logprob : list(value, "logprobs")) {
      row.logprobs.push_back(static_cast<float>(number(logprob, "logprobs")));
    }
    row.forced_logprob = static_cast<float>(number(member(value, "forced"), "forced"));
    if (row.ids.empty() || row.ids.size() != row.logprobs.size()) fail("logprobs");
    return row;
  }

  const json::value& member(const json::value& object, std::string_view name) const {
    const json::value* value = object.is_object() ? object.get_object().if_contains(name) : nullptr;
    if (value == nullptr) fail(name);
    return *value;
  }
  std::string text(const json::value& object, std::string_view name) const {
    const json::value& value = member(object, name);
    if (!value.is_string()) fail(name);
    return std::string(value.get_string());
  }
  bool flag(const json::value& object, std::string_view name) const {
    const json::value& value = member(object, name);
    if (!value.is_bool()) fail(name);
    return value.get_bool();
  }
  const json::array& list(const json::value& object, std::string_view name) const {
    const json::value& value = member(object, name);
    if (!value.is_array()) fail(name);
    return value.get_array();
  }
  double number(const json::value& value, std::string_view name) const {
    if (!value.is_number() || !std::isfinite(value.to_number<double>())) fail(name);
    return value.to_number<double>();
  }
  double positive(const json::value& object, std::string_view name) const {
    const double value = number(member(object, name), name);
    if (value < 0) fail(name);
    return value;
  }
  int32_t integer(const json::value& value, std::string_view name) const {
    if (!value.is_int64() || value.get_int64() < 0 || value.get_int64() > INT32_MAX) fail(name);
    return static_cast<int32_t>(value.get_int64());
  }
  int32_t id(const json::value& value, std::string_view name) const {
    const int32_t found = integer(value, name);
    if (static_cast<uint32_t>(found) >= vocabulary_) fail(name);
    return found;
  }
  std::vector<int32_t> ids(const json::value& object, std::string_view name) const {
    std::vector<int32_t> found;
    for (const json::value& value : list(object, name)) found.push_back(id(value, name));
    return found;
  }
  [[noreturn]] void fail(std::string_view name) const {
    throw Error(engine_, fmt::format("its golden logits have no usable '{}'", name), "build it again");
  }

  std::string engine_;
  uint32_t vocabulary_;
  int32_t context_;
};

}  // namespace

void keep_golden(const Engine& engine, const GoldenLogits& golden) {
  json::array prompts;
  for (const GoldenPrompt& prompt : golden.prompts) prompts.push_back(to_json(prompt));
  json::object record{{"version", golden.version},
                      {"machine", golden.machine},
                      {"range", golden.range},
                      {"spread", {{"largest", golden.spread.largest}, {"mean", golden.spread.mean}}},
                      {"has_one_way", golden.has_one_way},
                      {"format_error", golden.format_error},
                      {"reference", nullptr}};
  if (golden.reference) {
    record["reference"] = {{"tokens", golden.reference->tokens},
                           {"deviation", golden.reference->deviation},
                           {"tolerance", golden.reference->tolerance}};
  } else {
    record["no_reference"] = golden.no_reference;
  }
  record["left_out"] = json::array(golden.left_out.begin(), golden.left_out.end());
  record["text"] = json::array(golden.text.begin(), golden.text.end());
  record["forced"] = golden.forced;
  record["prompts"] = std::move(prompts);
  append_trailer(engine.path(), engine.body_digest(), TrailerKind::golden, json::serialize(record));
}

std::optional<GoldenLogits> golden_of(const Engine& engine) {
  for (auto record = engine.trailer().rbegin(); record != engine.trailer().rend(); ++record) {
    if (record->kind != TrailerKind::golden) continue;
    const std::string name = engine.path().string();
    return GoldenReader(engine).read(parse_json(record->json, name + ": golden logits"));
  }
  return std::nullopt;
}

}  // namespace incipit
