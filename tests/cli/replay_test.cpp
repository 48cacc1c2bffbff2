// serve --record and incipit replay: the programs themselves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <fstream>

#include "base/file.h"
#include "engines.h"
#include "served.h"
#include "server/raw_client.h"

namespace incipit {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// What a server of the bundled model has recorded of four requests.
std::filesystem::path record_of_four(bool with_texts) {
  const std::filesystem::path record = place() / (with_texts ? "texts.record" : "digests.record");
  if (std::filesystem::exists(record)) return record;
  std::vector<std::string> arguments{classics_engine(), "--record", record.string()};
  if (with_texts) arguments.emplace_back("--record-texts");
  Served served(arguments);
  for (const char* const prompt : {"Chapter 1", "It was a dark and stormy night; the rain fell in torrents"}) {
    RawClient client(served.port());
    client.post("/v1/completions", {{"prompt", prompt}, {"max_tokens", 6}, {"temperature", 0}});
    EXPECT_EQ(client.read().status, 200);
    client.post("/v1/completions", {{"prompt", prompt}, {"max_tokens", 6}, {"temperature", 1}, {"stream", true}});
    EXPECT_EQ(client.read().status, 200);
  }
  EXPECT_EQ(served.end(SIGTERM), 0);
  struct stat status {};
  EXPECT_EQ(::stat(record.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  EXPECT_THAT(read_text_file(record), testing::Not(HasSubstr("torrents")));
  return record;
}

TEST(Replay, RunsARecordOnTwoEngines) {
  const Ran ran = run_program(
      {"replay", record_of_four(false).string(), classics_engine(), short_engine(), "--threads", "2", "--speed", "2"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out,
              AllOf(HasSubstr("4 requests with 4 choices, 4 of them done by both engines; 0 cut to 256"),
                    HasSubstr("prompts of 4 requests were recorded as digests"), HasSubstr("first token"),
                    HasSubstr("to 128 tokens"), HasSubstr("failures  A 0, B 0"), HasSubstr("of 4 are the same")));
}

TEST(Replay, FindsTheTextsOfAnEngineTheSameAsItsOwn) {
  const Ran ran = run_program({"replay", record_of_four(true).string(), classics_engine(), classics_engine(),
                               "--threads", "2", "--one-by-one", "--limit", "3", "--json"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  const boost::json::object answer = object_of(ran.out);
  EXPECT_EQ(answer.at("done"), 3);
  EXPECT_EQ(answer.at("rebuilt"), 0);
  EXPECT_EQ(answer.at("texts").at("same"), 3);
  EXPECT_EQ(answer.at("a").at("digest"), answer.at("b").at("digest"));
}

TEST(Replay, RefusesWhatItCannotRun) {
  const std::string record = record_of_four(false);
  const TemporaryDirectory directory;
  const std::string text = read_text_file(record);
  std::ofstream(directory / "cut") << text.substr(0, text.size() - 20);
  expect_refused(run_program({"replay", (directory / "cut").string(), classics_engine(), classics_engine()}), 1,
                 "cut, line 5");
  expect_refused(run_program({"replay", classics_golden.string(), classics_engine(), classics_engine()}), 1,
                 "classics-16m-golden");
  expect_refused(run_program({"replay", record, classics_engine(), tiny_engine()}), 1, "has a vocabulary of");
  expect_refused(run_program({"replay", record, classics_engine()}), 2, "B");
  expect_refused(run_program({"serve", classics_engine(), "--record-texts"}), 2, "--record");
  std::ofstream(directory / "mine") << "a letter";
  expect_refused(run_program({"serve", classics_engine(), "--record", (directory / "mine").string()}), 1,
                 "exists and is no record of requests");
}

}  // namespace
}  // namespace incipit
