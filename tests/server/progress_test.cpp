// How far a prompt is, and where the time of its first token went.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "scripted_server.h"

namespace incipit {
namespace {

using boost::json::array;
using boost::json::object;
using boost::json::value;

constexpr std::string_view completions_path = "/v1/completions";

object progress_of(const std::string& event) {
  const object chunk = boost::json::parse(event).as_object();
  EXPECT_EQ(chunk.at("choices"), value(array()));
  return chunk.at("prompt_progress").as_object();
}

TEST(Progress, IsToldAsChunksOfAStream) {
  const ScriptedServer served;
  RawClient client = served.connect();
  client.post(completions_path, {{"prompt", array{1, 2, 3, 4, 5, 6}}, {"stream", true}, {"return_progress", true}});
  EXPECT_TRUE(served.source->wait_for(1).tell_progress);
  client.read_head();
  std::string stream = client.read_chunk();
  served.source->progress(1, 4, 2);
  stream += client.read_chunk();
  served.source->say(1, " dark", FinishReason::stop);
  for (std::string chunk = client.read_chunk(); !chunk.empty(); chunk = client.read_chunk()) stream += chunk;
  const std::vector<std::string> events = events_of(stream);
  ASSERT_EQ(events.size(), 5U);
  for (const auto& [event, processed] : {std::pair(0, 0), {1, 4}, {2, 6}}) {
    const object progress = progress_of(events[static_cast<size_t>(event)]);
    EXPECT_EQ(progress.at("total"), 6);
    EXPECT_EQ(progress.at("processed"), processed);
    EXPECT_GE(progress.at("time_ms").as_int64(), 0);
  }
  EXPECT_EQ(progress_of(events[1]).at("cache"), 2);
  EXPECT_EQ(boost::json::parse(events[3]).at("choices").at(0).at("text"), " dark");
}

TEST(Progress, IsNotToldWhereItWasNotAskedFor) {
  const ScriptedServer served;
  RawClient client = served.connect();
  client.post(completions_path, {{"prompt", array{1, 2}}, {"stream", true}});
  EXPECT_FALSE(served.source->wait_for(1).tell_progress);
  served.source->progress(1, 1, 0);
  served.source->say(1, "x", FinishReason::stop);
  for (const std::string& event : events_of(client.read().body)) {
    EXPECT_THAT(event, testing::Not(testing::HasSubstr("prompt_progress")));
    EXPECT_THAT(event, testing::Not(testing::HasSubstr("timings")));
  }
}

TEST(Progress, TimingsSayWhereTheTimeWent) {
  const ScriptedServer served;
  const object body{{"prompt", array{1, 2, 3, 4, 5, 6}}, {"timings_per_token", true}};
  RawClient client = served.connect();
  client.post(completions_path, body);
  served.source->wait_for(1);
  served.source->progress(1, 4, 2);
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  served.source->say(1, " a");
  served.source->say(1, " b", FinishReason::stop);
  const object whole = client.read().json().at("timings").as_object();
  EXPECT_EQ(whole.at("cache_n"), 1);  // as the script's events say
  EXPECT_EQ(whole.at("prompt_n"), 5);
  EXPECT_EQ(whole.at("predicted_n"), 2);
  EXPECT_GE(whole.at("predicted_ms").as_double(), 0);
  const object& stages = whole.at("stages").as_object();
  for (const char* stage : {"accept_ms", "wait_ms", "parse_ms", "render_ms", "tokenise_ms", "lookup_ms"}) {
    EXPECT_GE(stages.at(stage).as_double(), 0) << stage;
  }
  ASSERT_EQ(stages.at("prefill").as_array().size(), 2U);
  EXPECT_EQ(stages.at("prefill").at(0).at("tokens"), 2);
  EXPECT_EQ(stages.at("prefill").at(1).at("tokens"), 2);
  EXPECT_GE(stages.at("prefill").at(1).at("ms").as_double(), 2);
  EXPECT_TRUE(stages.at("first_write_ms").is_null());

  object streamed = body;
  streamed["stream"] = true;
  streamed["stream_options"] = {{"include_usage", true}};
  client.post(completions_path, streamed);
  served.source->wait_for(2);
  served.source->say(2, " a", FinishReason::stop);
  const std::vector<std::string> events = events_of(client.read().body);
  const object last = boost::json::parse(events[events.size() - 3]).as_object();
  EXPECT_EQ(last.at("choices").at(0).at("finish_reason"), "stop");
  EXPECT_GE(last.at("timings").at("stages").at("first_write_ms").as_double(), 0);
}

}  // namespace
}  // namespace incipit
