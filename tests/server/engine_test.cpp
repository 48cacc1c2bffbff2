// An engine behind the server: what comes over HTTP is what Transformers says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "base/file.h"
#include "measure/step_costs_keeper.h"
#include "raw_client.h"
#include "server/server.h"
#include "session/golden.h"

namespace incipit {
namespace {

using boost::json::array;
using boost::json::object;
using boost::json::value;

struct EngineServer {
  explicit EngineServer(ServerOptions with = {}) {
    GatewayOptions options;
    options.session.threads = 2;
    gateway = std::make_shared<Gateway>(reference_engine("llama-mha"), options);
    models->set("tiny", served_model("tiny", gateway));
    with.http.port = 0;
    server = std::make_unique<Server>(with, models);
  }
  RawResponse post(object body) const {
    RawClient client(server->port());
    client.post("/v1/completions", body);
    return client.read();
  }

  std::shared_ptr<Gateway> gateway;
  std::shared_ptr<ModelTable> models = std::make_shared<ModelTable>();
  std::unique_ptr<Server> server;
};

TEST(EngineServer, SaysWhatTheModelSays) {
  const EngineServer served;
  const Golden golden = Golden::of("llama-mha");
  std::vector<std::thread> clients;
  for (size_t i = 0; i < golden.sequences(); ++i) {
    clients.emplace_back([&, i] {
      const value expected = boost::json::value_from(golden.continuation(i));
      object body{{"prompt", boost::json::value_from(golden.prompt(i))},
                  {"max_tokens", golden.continuation(i).size()},
                  {"temperature", 0},
                  {"ignore_eos", true},
                  {"return_token_ids", true}};
      const object whole = served.post(body).json();
      EXPECT_EQ(whole.at("choices").at(0).at("token_ids"), expected);
      EXPECT_EQ(whole.at("usage").at("completion_tokens"), golden.continuation(i).size());
      body["stream"] = true;
      array streamed;
      for (const std::string& event : events_of(served.post(body).body)) {
        if (event == "[DONE]") continue;
        const object chunk = boost::json::parse(event).as_object();
        for (const value& id : chunk.at("choices").at(0).at("token_ids").as_array()) streamed.push_back(id);
      }
      EXPECT_EQ(value(streamed), expected);
    });
  }
  for (std::thread& client : clients) client.join();
  const RawResponse outside = served.post({{"prompt", array{1 << 20}}});
  EXPECT_EQ(outside.status, 400);
  EXPECT_THAT(outside.body, testing::HasSubstr("is outside the vocabulary"));
}

TEST(EngineServer, NamesTheFieldThatTheEngineCannotTake) {
  const EngineServer served;
  const std::pair<const char*, value> bad[] = {{"prompt", array{}},
                                               {"prompt", array{1 << 20}},
                                               {"stop", ""},
                                               {"stop_token_ids", array{1 << 20}},
                                               {"logit_bias", object{{"1048576", 1}}},
                                               {"logit_bias", object{{"-1", 1}}}};
  for (const auto& [field, given] : bad) {
    object body{{"prompt", array{1, 2, 3}}, {"max_tokens", 1}, {"return_token_ids", true}};
    body[field] = given;
    const RawResponse refused = served.post(body);
    EXPECT_EQ(refused.status, 400) << refused.body;
    EXPECT_EQ(refused.error_parameter(), field) << refused.body;
  }
}

TEST(EngineServer, RefusesWhoseFirstTokenWouldComeTooLate) {
  const EngineServer served;
  StepCostsKeeper keeper(*served.gateway);
  while (!keeper.complete()) keeper.measure_step();
  const auto status_of = [&](const std::string& deadline) {
    RawClient client(served.server->port());
    client.post("/v1/completions", {{"prompt", array{1, 2, 3}}, {"max_tokens", 1}, {"return_token_ids", true}},
                "x-ttft-deadline-ms: " + deadline + "\r\n");
    const RawResponse answer = client.read();
    EXPECT_FALSE(answer.headers.contains("retry-after-ms")) << "nobody is before it: it would be late again";
    if (answer.status == 429) {
      EXPECT_EQ(answer.headers.at("x-should-retry"), "false");
    }
    return answer.status;
  };
  EXPECT_EQ(status_of("0.001"), 429);
  EXPECT_EQ(status_of("600000"), 200);
}

TEST(EngineServer, KeepsWhatStepsTakeBesideTheEngine) {
  const auto engine = reference_engine("llama-mha");
  const auto place = StepCostsKeeper::places(*engine).front();
  std::filesystem::remove(place);
  std::optional<int64_t> first, early;
  {
    const EngineServer served;
    StepCostsKeeper keeper(*served.gateway);
    for (int step = 0; step < 3; ++step) keeper.measure_step();
    EXPECT_FALSE(keeper.complete());
    early = keeper.costs().measured(keeper.costs().cells().front());
  }
  {
    const EngineServer served;
    StepCostsKeeper keeper(*served.gateway);
    EXPECT_FALSE(keeper.complete());
    EXPECT_EQ(keeper.costs().measured(keeper.costs().cells().front()), early) << "an early end loses nothing";
    EXPECT_TRUE(early);
    while (!keeper.complete()) keeper.measure_step();
    for (const StepCosts::Cell& cell : keeper.costs().cells()) EXPECT_TRUE(keeper.costs().measured(cell));
    first = keeper.costs().measured(keeper.costs().cells().front());
    const Golden golden = Golden::of("llama-mha");
    const object answer = served
                              .post({{"prompt", boost::json::value_from(golden.prompt(0))},
                                     {"max_tokens", golden.continuation(0).size()},
                                     {"temperature", 0},
                                     {"ignore_eos", true},
                                     {"return_token_ids", true}})
                              .json();
    EXPECT_EQ(answer.at("choices").at(0).at("token_ids"), boost::json::value_from(golden.continuation(0)))
        << "nothing is left of what was measured";
  }
  const EngineServer again;
  const StepCostsKeeper kept(*again.gateway);
  EXPECT_TRUE(kept.complete());
  EXPECT_EQ(kept.costs().measured(kept.costs().cells().front()), first);
  std::ofstream(place) << "no such lines\n";
  const EngineServer anew;
  EXPECT_FALSE(StepCostsKeeper(*anew.gateway).complete()) << "it is measured again";
}

TEST(EngineServer, ExplainsWhyNoMoreOfAPromptWasCached) {
  const TemporaryDirectory directory;
  const auto cache_of = [](const EngineServer& server, const array& prompt, const char* salt) {
    const object answer = server
                              .post({{"prompt", prompt},
                                     {"max_tokens", 1},
                                     {"cache_salt", salt},
                                     {"timings_per_token", true},
                                     {"return_token_ids", true}})
                              .json();
    const value* cache = answer.at("timings").as_object().if_contains("cache");
    return cache == nullptr ? value() : *cache;
  };
  {
    ServerOptions explaining;
    explaining.explain_cache = true;
    explaining.log = std::make_shared<AccessLog>(directory / "log");
    const EngineServer served(explaining), silent;
    cache_of(served, {1, 2, 3, 4, 5, 6}, "a");
    EXPECT_EQ(
        cache_of(served, {1, 2, 3, 9, 5, 6}, "a"),
        (value{{"reused", 3}, {"position", 3}, {"token", {{"id", 9}}}, {"held", {{"id", 4}}}, {"reason", "differs"}}));
    EXPECT_EQ(cache_of(served, {1, 2, 3, 4, 5, 6}, "b").at("reason"), "ends") << "others' prompts are not told of";
    EXPECT_TRUE(cache_of(silent, {1, 2, 3}, "a").is_null());
  }
  EXPECT_THAT(read_text_file(directory / "log"), testing::HasSubstr(R"("reason":"salt","of_other_salt":6})"));
}

TEST(EngineServer, CountsTheStagesThatDashboardsShow) {
  const EngineServer served;
  const RawResponse answer = served.post({{"prompt", array{1, 2, 3}}, {"max_tokens", 3}, {"return_token_ids", true}});
  for (const char* stage :
       {"accept", "wait", "parse", "render", "tokenise", "queue", "lookup", "prefill", "first", "rest"}) {
    EXPECT_THAT(answer.headers.at("server-timing"), testing::HasSubstr(fmt::format("{};dur=", stage)));
  }
  RawClient client(served.server->port());
  client.get("/metrics");
  const std::string metrics = client.read().body;
  for (const char* name : {"request_queue_time_seconds", "request_prefill_time_seconds", "request_decode_time_seconds",
                           "request_inference_time_seconds", "request_time_per_output_token_seconds",
                           "request_max_num_generation_tokens"}) {
    EXPECT_THAT(metrics, testing::HasSubstr(fmt::format("\nvllm:{}_count{{model_name=\"tiny\"}} 1\n", name)));
  }
  EXPECT_THAT(metrics, testing::HasSubstr("\nvllm:num_preemptions_total{model_name=\"tiny\"} 0\n"));
}

TEST(EngineServer, StopsComputingForWhoHasLeft) {
  const EngineServer served;
  {
    RawClient client(served.server->port());
    client.post("/v1/completions", {{"prompt", array{1, 2, 3}},
                                    {"max_tokens", 1 << 20},
                                    {"ignore_eos", true},
                                    {"return_token_ids", true},
                                    {"stream", true}});
    client.read_head();
    client.read_chunk();
  }
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (served.gateway->load().running > 0 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_EQ(served.gateway->load().running, 0);
}

}  // namespace
}  // namespace incipit
