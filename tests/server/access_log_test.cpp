// The line that each request leaves, however it ends.
#include "server/access_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "scripted_server.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

using boost::json::array;
using boost::json::object;
using testing::HasSubstr;

std::vector<object> lines_of(const std::filesystem::path& path) {
  std::vector<object> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) lines.push_back(boost::json::parse(line).as_object());
  return lines;
}

AccessRecord record_of(const char* id) {
  AccessRecord record;
  record.id = id;
  return record;
}

TEST(AccessLog, HasALineForEachRequest) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "log";
  ServerOptions options;
  options.log = std::make_shared<AccessLog>(path);
  options.keys = ApiKeys({"secret-key"});
  {
    const ScriptedServer served(options);
    const std::string key = "Authorization: Bearer secret-key\r\nx-request-id: mine\r\n";
    EXPECT_EQ(served.ask("GET", "/nothing" + std::string(1000, 'x')).status, 404);
    EXPECT_EQ(served.ask("POST", "/v1/completions", R"({"prompt": "x"})").status, 401);
    RawClient client = served.connect();
    client.post("/v1/completions", {{"prompt", array{1, 2, 3}}}, key);
    served.source->wait_for(1);
    served.source->say(1, "a");
    served.source->say(1, "b", FinishReason::length);
    EXPECT_EQ(client.read().status, 200);
    RawClient stream = served.connect();
    stream.post("/v1/completions", {{"prompt", "a secret"}, {"stream", true}}, key);
    served.source->wait_for(2);
    stream.read_head();
    stream.close();
    EXPECT_TRUE(served.source->wait_for_cancel(2));
    served.source->end(2, FinishReason::cancelled);
  }
  options.log.reset();  // all is written
  const std::vector<object> lines = lines_of(path);
  ASSERT_EQ(lines.size(), 4U);
  std::map<int64_t, object> by_status;
  for (const object& line : lines) {
    by_status[line.at("status").as_int64()] = line;
    EXPECT_GE(line.at("total_ms").as_double(), 0);
    EXPECT_THAT(std::string(line.at("time").as_string()), testing::MatchesRegex("20[0-9-]+T[0-9:.]+Z"));
    EXPECT_THAT(boost::json::serialize(line), testing::Not(HasSubstr("secret")));
  }
  EXPECT_EQ(by_status.at(404).at("path").as_string().size(), 256U);
  EXPECT_FALSE(by_status.at(401).contains("model"));
  const object& whole = by_status.at(200);
  EXPECT_EQ(whole.at("id"), "mine");
  EXPECT_EQ(whole.at("method"), "POST");
  EXPECT_EQ(whole.at("path"), "/v1/completions");
  EXPECT_EQ(whole.at("model"), "classics");
  EXPECT_EQ(whole.at("finish"), "length");
  EXPECT_EQ(whole.at("prompt_tokens"), 3);
  EXPECT_EQ(whole.at("cached_tokens"), 1);
  EXPECT_EQ(whole.at("completion_tokens"), 2);
  EXPECT_LE(whole.at("ttft_ms").as_double(), whole.at("total_ms").as_double());
  EXPECT_EQ(by_status.at(499).at("finish"), "cancelled");
  EXPECT_TRUE(by_status.at(499).at("ttft_ms").is_null());
}

TEST(AccessLog, GoesOnInANewFileOnceTheOldOneWasMoved) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "log";
  {
    AccessLog log(path);
    log.add(record_of("one"));
    log.reopen();  // of no effect: it is where it was
    log.add(record_of("two"));
  }
  EXPECT_EQ(lines_of(path).size(), 2U);
  {
    AccessLog log(path);
    std::filesystem::rename(path, directory / "old");
    log.reopen();
    log.add(record_of("three"));
  }
  EXPECT_EQ(lines_of(directory / "old").size(), 2U);
  ASSERT_EQ(lines_of(path).size(), 1U);
  EXPECT_EQ(lines_of(path)[0].at("id"), "three");
  EXPECT_THAT(message_of([&] { AccessLog(directory / "nowhere" / "log"); }), HasSubstr("cannot be opened"));
}

}  // namespace
}  // namespace incipit
