// Requests as a server has recorded them (incipit serve --record), a line of JSON each: for incipit replay.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/keyed_digest.h"
#include "session/session.h"

namespace incipit {

/// Prompts that are recorded as digests have one for each beginning of so many tokens more, and one for the whole.
constexpr int32_t recorded_prefix_tokens = 16;

/// Either of the two lists is empty.
struct RecordedPrompt {
  int32_t tokens = 0;
  std::vector<int32_t> ids;
  std::vector<uint64_t> digests;  // equal ones stand for equal beginnings
};

struct RecordedChoice {
  uint64_t seed = 0;
  int32_t new_tokens = 0;
  FinishReason finish = FinishReason::none;
  double first_token_ms = -1;  // after the request's first byte; −1: none came
  std::string text;            // where texts are recorded
};

struct RecordedRequest {
  std::string time, id, endpoint, model;
  double arrival_ms = 0;  // after the record's begin; read_record(): after the first request
  double total_ms = 0;
  int64_t prompt_tokens = 0, cached_tokens = 0;
  bool stream = false;
  /// All but its prompt and its seed. The salt and the tenant are digests. Without texts it has no stop texts, stop ids
  /// or biases.
  Request terms;
  int64_t hidden_stops = 0;  // stop texts and stop ids that were there
  std::vector<RecordedPrompt> prompts;
  std::vector<RecordedChoice> choices;  // as many of each prompt, those of one side by side
  size_t line = 0;                      // where it was read

  bool has_texts() const { return !prompts.front().ids.empty(); }
  size_t prompt_of(size_t choice) const { return choice / (choices.size() / prompts.size()); }
};

/// Digests of a prompt's beginnings. Prompts of other salts have others.
std::vector<uint64_t> digest_beginnings(const DigestKey& key, uint64_t salt, const std::vector<int32_t>& ids);
/// Digests in the place of ids; no text of the prompt, the answer or the stops is left, nor a token id.
void hide_texts(const DigestKey& key, RecordedRequest& request);

/// What a record begins with, and what follows an interruption: a line, without its end.
boost::json::object record_heading(const std::string& time, bool with_texts);
/// Whether a file that begins so is a record.
bool is_record(std::string_view beginning);
boost::json::object to_json(const RecordedRequest& request);

/// In the order of arrival. What was recorded after an interruption follows what was recorded before it without the
/// pause between them. Throws Error naming the line that is no recorded request.
std::vector<RecordedRequest> parse_record(std::string_view text, const std::string& name);
std::vector<RecordedRequest> read_record(const std::filesystem::path& path);

}  // namespace incipit
