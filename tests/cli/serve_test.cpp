// incipit serve: the program itself, from its first line to its last.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "base/file.h"
#include "engines.h"
#include "program.h"
#include "served.h"
#include "server/hostile_clients.h"
#include "server/raw_client.h"

namespace incipit {
namespace {

using testing::HasSubstr;

TEST(Serve, AnswersAsRunDoesUntilItIsAskedToStop) {
  Served served({classics_engine(), "other=" + classics_engine()});
  EXPECT_THAT(served.log(),
              HasSubstr("serving classics (context 512, f32, not certified), other (context 512, f32, not "
                        "certified) at http://127.0.0.1:"));
  EXPECT_THAT(served.log(), HasSubstr("; caches: classics "));
  const Ran ran = run_program({"run", classics_engine(), "Chapter 1", "--greedy", "--max-tokens", "8", "--json"});
  RawClient client(served.port());
  client.post("/v1/completions", {{"model", "other"}, {"prompt", "Chapter 1"}, {"max_tokens", 8}, {"temperature", 0}});
  const boost::json::object answer = client.read().json();
  EXPECT_EQ(answer.at("choices").at(0).at("text"), object_of(ran.out).at("text"));
  client.post(
      "/v1/chat/completions",
      {{"messages", {{{"role", "user"}, {"content", "Tell me a story."}}}}, {"max_tokens", 4}, {"stream", true}});
  EXPECT_EQ(events_of(client.read().body).back(), "[DONE]");
  client.close();
  EXPECT_EQ(served.end(SIGTERM), 0);
  EXPECT_THAT(served.log(), HasSubstr("stopping: what was begun is answered"));
}

TEST(Serve, IsReadyOnceItsBucketsHaveRun) {
  const Served served({classics_engine()});
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  const auto status_of = [&](const char* path) {
    RawClient client(served.port());
    client.get(path);
    return client.read();
  };
  RawResponse ready = status_of("/health/ready");
  while (ready.status != 200 && std::chrono::steady_clock::now() < until) {
    EXPECT_EQ(ready.error_code(), "warming");
    EXPECT_EQ(status_of("/health").status, 200);
    ready = status_of("/health/ready");
  }
  EXPECT_EQ(ready.status, 200);
  // It was built without a baseline.
  EXPECT_THAT(status_of("/metrics").body, HasSubstr("incipit_baseline_missing{model_name=\"classics\"} 1\n"));
}

TEST(Serve, TakesItsOptionsFromAFileToo) {
  const TemporaryDirectory directory;
  const auto with = [&](const std::string& text) {
    std::ofstream(directory / "config") << text;
    return std::vector<std::string>{"--config", (directory / "config").string()};
  };
  {
    Served served(with(fmt::format("# ours\nengine = [\"mine={}\"]\nmax-requests = 3\n[serve]\nmax-body = \"1M\"\n",
                                   classics_engine())));
    EXPECT_THAT(served.log(), HasSubstr("serving mine (context 512, f32, not certified)"));
    EXPECT_THAT(served.log(), HasSubstr("3 requests, 1024 connections, 1.0 MB a body"));
  }
  const auto refused = [&](const std::string& text) {
    std::vector<std::string> arguments = with(text);
    arguments.insert(arguments.begin(), {"serve", "--port", "0"});
    return run_program(arguments);
  };
  expect_refused(refused("engine = [\"x\"]\nhots = \"::1\"\n"), 2, "'hots' is no option of the command");
  expect_refused(refused("[other]\nhost = \"::1\"\n"), 2, "'other.host' is in an unknown section");
  expect_refused(refused("max-requests = 0\n"), 2, "--max-requests");
  expect_refused(refused("max-requests = 5\n"), 2, "ENGINE is required");
  expect_refused(run_program({"serve", "--config", (directory / "nowhere").string()}), 2, "nowhere");
}

TEST(Serve, KeepsAnAccessLogThatCanBeRotated) {
  const TemporaryDirectory directory;
  const std::filesystem::path log = directory / "access.log", old = directory / "old.log";
  Served served({classics_engine(), "--access-log", log.string()});
  RawClient client(served.port());
  client.post("/v1/completions", {{"prompt", "Chapter 1"}, {"max_tokens", 3}, {"temperature", 0}});
  EXPECT_EQ(client.read().status, 200);
  const auto wait_for_line = [](const std::filesystem::path& path) {
    for (int tries = 0; tries < 2000; ++tries) {
      if (std::filesystem::exists(path) && read_text_file(path).ends_with("\n")) return object_of(read_text_file(path));
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return boost::json::object();
  };
  EXPECT_EQ(wait_for_line(log).at("completion_tokens"), 3);
  std::filesystem::rename(log, old);
  served.hang_up();
  while (!std::filesystem::exists(log)) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  client.get("/version");
  client.read();
  EXPECT_EQ(wait_for_line(log).at("path"), "/version");
  client.close();
  EXPECT_EQ(served.end(SIGTERM), 0);
  std::ofstream(directory / "mine") << "a letter";
  expect_refused(run_program({"serve", classics_engine(), "--access-log", (directory / "mine").string()}), 1,
                 "exists and is no access log");
}

TEST(Serve, StopsAmongHostileClients) {
  Served served({tiny_engine(), "--drain", "2"});
  HostileClients hostile(served.port(), 8, 1);
  std::this_thread::sleep_for(std::chrono::seconds(1));
  hostile.server_ends();
  EXPECT_EQ(served.end(SIGTERM), 0);
  const HostileReport report = hostile.stop();
  for (const std::string& fault : report.faults) ADD_FAILURE() << fault;
  EXPECT_GT(report.whole + report.refused, 0);
}

TEST(Serve, RefusesWhatItCannotServe) {
  expect_refused(run_program({"serve", "nothing.engine", "--port", "0"}), 1, "nothing.engine");
  expect_refused(run_program({"serve", tiny_engine(), tiny_engine(), "--port", "0"}), 1, "is given twice");
  expect_refused(run_program({"serve", tiny_engine(), "--host", "nowhere", "--port", "0"}), 1,
                 "'nowhere' is no address");
  expect_refused(run_program({"serve", tiny_engine(), "--port", "70000"}), 2, "--port");
  for (const char* const mode : {"rw", "0o660", "888", "1000"}) {
    expect_refused(run_program({"serve", tiny_engine(), "--socket", "x", "--socket-mode", mode}), 1, "is no mode");
  }
  expect_refused(run_program({"serve", tiny_engine(), "--port", "0", "--max-body", "0"}), 1, "--max-body");
  expect_refused(run_program({"serve", tiny_engine(), "--port", "0", "--memory", "1"}), 1,
                 "do not hold one sequence of each engine at full context");
}

}  // namespace
}  // namespace incipit
