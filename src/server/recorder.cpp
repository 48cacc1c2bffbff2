#include "server/recorder.h"

#include <boost/json.hpp>
#include <memory>
#include <span>
#include <utility>

namespace incipit {
namespace {

/// None stays none.
uint64_t hidden(const DigestKey& key, uint64_t number) {
  return number == 0 ? 0 : keyed_digest(key, std::as_bytes(std::span(&number, 1)));
}

size_t bytes_of(const RecordedRequest& request) {
  size_t bytes = sizeof request;
  for (const RecordedPrompt& prompt : request.prompts) bytes += sizeof prompt + prompt.ids.size() * sizeof(int32_t);
  for (const RecordedChoice& choice : request.choices) bytes += sizeof choice + choice.text.size();
  return bytes;
}

}  // namespace

Recorder::Recorder(std::filesystem::path path, bool with_texts)
    : with_texts_(with_texts),
      lines_(std::move(path), {.name = "record of requests", .mode = 0600, .enforce_mode = true, .heading = [this] {
                                 key_ = DigestKey::random();
                                 const auto now = std::chrono::system_clock::now();
                                 return boost::json::serialize(record_heading(utc_time(now), with_texts_));
                               }}) {}

void Recorder::add(RecordedRequest request, Clock::time_point begun) {
  const auto ms = [](Clock::duration time) { return std::chrono::duration<double, std::milli>(time).count(); };
  const Clock::time_point now = Clock::now();
  request.arrival_ms = ms(begun - begin_);
  request.total_ms = ms(now - begun);
  request.time = utc_time(std::chrono::system_clock::now() -
                          std::chrono::duration_cast<std::chrono::system_clock::duration>(now - begun));
  const size_t bytes = bytes_of(request);
  const auto shared = std::make_shared<RecordedRequest>(std::move(request));
  lines_.add(
      [this, shared] {
        shared->terms.cache_salt = hidden(key_, shared->terms.cache_salt);
        shared->terms.tenant = hidden(key_, shared->terms.tenant);
        if (!with_texts_) hide_texts(key_, *shared);
        return boost::json::serialize(to_json(*shared));
      },
      bytes);
}

void Recorder::reopen() { lines_.reopen(); }

}  // namespace incipit
