// What is recorded of requests, for incipit replay; and that no request is hurt by it.
#include "server/recorder.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <numeric>

#include "scripted_server.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

using boost::json::array;
using boost::json::object;
using testing::HasSubstr;

mode_t mode_of(const std::filesystem::path& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  return status.st_mode & 07777;
}

std::vector<int32_t> counted(int32_t count, int32_t last) {
  std::vector<int32_t> ids(static_cast<size_t>(count));
  std::iota(ids.begin(), ids.end(), 100);
  ids.back() = last;
  return ids;
}

/// Serves two completions of prompts that have 32 tokens in common, and one that its client left.
void serve_three(const std::shared_ptr<Recorder>& recorder) {
  ServerOptions options;
  options.recorder = recorder;
  options.keys = ApiKeys({"secret-key friend"});
  const std::string key = "Authorization: Bearer secret-key\r\nx-request-id: mine\r\n";
  const ScriptedServer served(options);
  EXPECT_EQ(served.ask("POST", "/v1/completions", R"({"prompt": 5})", key).status, 400);
  for (const int32_t last : {7, 8}) {
    RawClient client = served.connect();
    client.post("/v1/completions",
                {{"prompt", boost::json::value_from(counted(40, last))},
                 {"max_tokens", 9},
                 {"temperature", 0.5},
                 {"seed", 3},
                 {"stop", "whale"},
                 {"logit_bias", {{"5", -1.5}}},
                 {"stream", last == 7}},
                key);
    const RequestId id = last == 7 ? 1 : 2;
    served.source->wait_for(id);
    served.source->say(id, "Call me ");
    served.source->say(id, "Ishmael", FinishReason::length);
    EXPECT_EQ(client.read().status, 200);
  }
  RawClient client = served.connect();
  client.post("/v1/chat/completions",
              {{"messages", {{{"role", "user"}, {"content", "a confession"}}}}, {"n", 2}, {"stream", true}}, key);
  served.source->wait_for(4);
  client.read_head();
  client.close();
  for (const RequestId id : {3, 4}) {
    EXPECT_TRUE(served.source->wait_for_cancel(id));
    served.source->end(id, FinishReason::cancelled);
  }
}

TEST(Recorder, KeepsDigestsOfPrompts) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "record";
  std::ofstream(path) << "";
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  serve_three(std::make_shared<Recorder>(path, false));
  EXPECT_EQ(mode_of(path), 0600U);
  const std::string text = read_text_file(path);
  for (const char* const hidden : {"whale", "Ishmael", "confession", "secret", "friend", "logit_bias", "\"ids\":["}) {
    EXPECT_THAT(text, testing::Not(HasSubstr(hidden)));
  }
  const std::vector<RecordedRequest> requests = read_record(path);
  ASSERT_EQ(requests.size(), 3U) << "what is refused is not recorded";
  const RecordedRequest& first = requests[0];
  EXPECT_EQ(first.id, "mine");
  EXPECT_EQ(first.endpoint, "/v1/completions");
  EXPECT_EQ(first.model, "classics");
  EXPECT_TRUE(first.stream);
  EXPECT_EQ(first.prompt_tokens, 40);
  EXPECT_EQ(first.cached_tokens, 1);
  EXPECT_FALSE(first.has_texts());
  EXPECT_EQ(first.hidden_stops, 1);
  EXPECT_EQ(first.terms.max_new_tokens, 9);
  EXPECT_EQ(first.terms.sampling.temperature, 0.5F);
  EXPECT_EQ(first.terms.sampling.biases, 0);
  EXPECT_NE(first.terms.cache_salt, 0U);
  EXPECT_NE(first.terms.tenant, 0U);
  ASSERT_EQ(first.choices.size(), 1U);
  EXPECT_EQ(first.choices[0].seed, 3U);
  EXPECT_EQ(first.choices[0].new_tokens, 2);
  EXPECT_EQ(first.choices[0].finish, FinishReason::length);
  EXPECT_GE(first.choices[0].first_token_ms, 0);
  EXPECT_GE(first.total_ms, first.choices[0].first_token_ms);
  EXPECT_EQ(first.arrival_ms, 0);
  // Beginnings of 16, 32 and 40 tokens: of these the last is another.
  ASSERT_EQ(first.prompts[0].digests.size(), 3U);
  const std::vector<uint64_t>& other = requests[1].prompts[0].digests;
  EXPECT_EQ(first.prompts[0].digests[0], other.at(0));
  EXPECT_EQ(first.prompts[0].digests[1], other.at(1));
  EXPECT_NE(first.prompts[0].digests[2], other.at(2));
  EXPECT_EQ(first.terms.tenant, requests[1].terms.tenant);
  const RecordedRequest& left = requests[2];
  EXPECT_GE(left.arrival_ms, requests[1].arrival_ms);
  ASSERT_EQ(left.choices.size(), 2U);
  EXPECT_NE(left.choices[0].seed, left.choices[1].seed);
  EXPECT_EQ(left.choices[1].finish, FinishReason::cancelled);
  EXPECT_EQ(left.choices[1].first_token_ms, -1);
}

TEST(Recorder, KeepsTextsWhereItIsAskedTo) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "record";
  serve_three(std::make_shared<Recorder>(path, true));
  EXPECT_EQ(mode_of(path), 0600U);
  EXPECT_THAT(read_text_file(path), testing::Not(HasSubstr("secret")));
  const std::vector<RecordedRequest> requests = read_record(path);
  ASSERT_EQ(requests.size(), 3U);
  EXPECT_EQ(requests[0].prompts[0].ids, counted(40, 7));
  EXPECT_EQ(requests[0].choices[0].text, "Call me Ishmael");
  EXPECT_EQ(requests[0].terms.stop_texts, std::vector<std::string>{"whale"});
  EXPECT_EQ(requests[0].terms.sampling.biases, 1);
  EXPECT_EQ(requests[0].terms.sampling.bias_ids[0], 5);
  EXPECT_EQ(requests[0].terms.sampling.bias_values[0], -1.5F);
  EXPECT_THAT(classics_tokenizer().decode(requests[2].prompts[0].ids), HasSubstr("a confession"));
}

TEST(Recorder, HasOtherDigestsInAnotherFile) {
  const TemporaryDirectory directory;
  std::vector<uint64_t> digests[2];
  for (size_t i = 0; i < 2; ++i) {
    const std::filesystem::path path = directory / std::to_string(i);
    serve_three(std::make_shared<Recorder>(path, false));
    digests[i] = read_record(path).at(0).prompts.at(0).digests;
  }
  for (size_t i = 0; i < 3; ++i) EXPECT_NE(digests[0].at(i), digests[1].at(i));
}

TEST(Recorder, GoesOnInANewFileOnceTheOldOneWasMoved) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "record";
  const auto recorder = std::make_shared<Recorder>(path, false);
  serve_three(recorder);
  while (!std::filesystem::exists(path) || std::ranges::count(read_text_file(path), '\n') < 4) ::usleep(1000);
  std::filesystem::rename(path, directory / "old");
  recorder->reopen();
  serve_three(recorder);
  while (!std::filesystem::exists(path) || std::ranges::count(read_text_file(path), '\n') < 4) ::usleep(1000);
  EXPECT_EQ(mode_of(path), 0600U);
  EXPECT_EQ(recorder->lost(), 0U);
  const auto old = read_record(directory / "old"), now = read_record(path);
  ASSERT_EQ(old.size(), 3U);
  ASSERT_EQ(now.size(), 3U);
  EXPECT_NE(old[0].prompts[0].digests, now[0].prompts[0].digests);
  EXPECT_THAT(message_of([&] { Recorder(directory / "nowhere" / "record", false); }), HasSubstr("cannot be opened"));
}

TEST(Recorder, HurtsNoRequestWhenTheDiskIsFull) {
  const auto recorder = std::make_shared<Recorder>("/dev/full", true);
  serve_three(recorder);
  for (int tries = 0; tries < 10'000 && recorder->lost() < 3; ++tries) ::usleep(1000);
  EXPECT_EQ(recorder->lost(), 3U);
  ServerOptions options;
  options.recorder = recorder;
  EXPECT_THAT(ScriptedServer(options).ask("GET", "/metrics").body, HasSubstr("\nincipit_record_lost_total 3\n"));
}

TEST(Recorder, HurtsNoRequestWhenItsReaderIsGone) {
  const auto before = ::signal(SIGPIPE, SIG_IGN);
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  const auto recorder = std::make_shared<Recorder>(path, true);
  ::close(reader);
  serve_three(recorder);
  for (int tries = 0; tries < 10'000 && recorder->lost() < 3; ++tries) ::usleep(1000);
  EXPECT_EQ(recorder->lost(), 3U);
  ::signal(SIGPIPE, before);
}

}  // namespace
}  // namespace incipit
