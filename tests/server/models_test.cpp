// Models that come, change and go while requests run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "scripted_server.h"
#include "session/golden.h"

namespace incipit {
namespace {

using boost::json::array;
using boost::json::object;
using boost::json::value;
using testing::HasSubstr;
using testing::Not;

constexpr const char* asked_path = "/v1/completions";

/// Requests let go of their model when the server has done with them, a moment behind their last byte.
bool frees_all(ModelTable& models) {
  const auto until = std::chrono::steady_clock::now() + ScriptedSource::patience;
  while (models.free_unused() > 0) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::yield();
  }
  return true;
}

std::shared_ptr<ServedModel> scripted_model(const std::shared_ptr<ScriptedSource>& source) {
  const auto model = std::make_shared<ServedModel>();
  model->name = "classics";
  model->source = source;
  model->tokenizer = &classics_tokenizer();
  model->max_context = 64;
  return model;
}

TEST(Models, AStreamEndsOnTheEngineItBeganOn) {
  const ScriptedServer served;
  RawClient client = served.connect();
  client.post(asked_path, {{"prompt", "It was"}, {"stream", true}});
  served.source->wait_for(1);
  served.source->say(1, " dark");
  client.read_head();
  std::string stream = client.read_chunk();

  const std::weak_ptr<const ServedModel> old = served.models->find("classics");
  const auto newer = std::make_shared<ScriptedSource>();
  served.models->set("classics", scripted_model(newer));
  EXPECT_EQ(served.models->free_unused(), 1U);
  EXPECT_FALSE(old.expired());
  RawClient other = served.connect();
  other.post(asked_path, {{"prompt", "It was"}});
  newer->wait_for(1);
  newer->say(1, " light", FinishReason::stop);
  EXPECT_EQ(other.read().json().at("choices").at(0).at("text"), " light");

  served.source->say(1, " night", FinishReason::stop);
  for (std::string chunk = client.read_chunk(); !chunk.empty(); chunk = client.read_chunk()) stream += chunk;
  EXPECT_THAT(stream, HasSubstr(" dark"));
  EXPECT_THAT(stream, HasSubstr(" night"));
  EXPECT_EQ(events_of(stream).back(), "[DONE]");
  EXPECT_TRUE(frees_all(*served.models));
  EXPECT_TRUE(old.expired());
}

TEST(Models, NamesComeAndGo) {
  const ScriptedServer served;
  served.models->set("later", scripted_model(served.source));
  EXPECT_THAT(served.ask("GET", "/v1/models").body, HasSubstr("\"id\":\"later\""));
  // Two models of one name for a moment: dashboards tell them apart.
  const std::string metrics = served.ask("GET", "/metrics").body;
  EXPECT_THAT(metrics, HasSubstr("vllm:num_requests_running{model_name=\"classics\"}"));
  EXPECT_THAT(metrics, HasSubstr("vllm:num_requests_running{model_name=\"later\"}"));
  served.models->set("alias", served.models->find("later"));
  served.models->remove("later");
  EXPECT_EQ(served.ask("POST", asked_path, R"({"model":"later","prompt":"x"})").error_code(), "model_not_found");
  EXPECT_EQ(served.models->free_unused(), 0U) << "it has another name";
  EXPECT_NE(served.models->find("alias"), nullptr);
  served.models->remove("alias");
  served.models->remove("nobody");
  EXPECT_THAT(served.ask("GET", "/v1/models").body, Not(HasSubstr("alias")));
  EXPECT_TRUE(frees_all(*served.models));
}

TEST(Models, EnginesOfTwoDevicesChangeUnderLoad) {
  const auto lease = std::make_shared<DeviceLease>(50'000);
  const auto open = [&](const std::string& target) {
    GatewayOptions options;
    options.session.threads = 2;
    options.session.policy = {.max_gap_us = 50'000};
    options.lease = lease;
    return served_model("tiny", std::make_shared<Gateway>(reference_engine("llama-mha", 0, target), options));
  };
  const auto models = std::make_shared<ModelTable>();
  models->set("one", open("native"));
  models->set("two", open("shadow"));
  ServerOptions with;
  with.http.port = 0;
  auto server = std::make_unique<Server>(with, models);
  const Golden golden = Golden::of("llama-mha");
  constexpr size_t requests = 6, threads = 4;
  std::atomic<size_t> right{0};
  std::vector<std::thread> clients;
  for (size_t t = 0; t < threads; ++t) {
    clients.emplace_back([&, t] {
      RawClient client(server->port());
      for (size_t i = 0; i < requests; ++i) {
        const size_t which = (t + i) % golden.sequences();
        client.post(asked_path, {{"model", (t + i) % 2 == 0 ? "one" : "two"},
                                 {"prompt", boost::json::value_from(golden.prompt(which))},
                                 {"max_tokens", golden.continuation(which).size()},
                                 {"temperature", 0},
                                 {"ignore_eos", true},
                                 {"return_token_ids", true},
                                 {"stream", true}});
        array ids;
        for (const std::string& event : events_of(client.read().body)) {
          if (event == "[DONE]") continue;
          const value chunk = boost::json::parse(event);
          for (const value& id : chunk.at("choices").at(0).at("token_ids").as_array()) ids.push_back(id);
        }
        EXPECT_EQ(value(ids), boost::json::value_from(golden.continuation(which)));
        ++right;
      }
    });
  }
  std::vector<std::weak_ptr<TokenSource>> old;
  for (int swap = 0; swap < 6; ++swap) {
    const char* const name = swap % 2 == 0 ? "one" : "two";
    old.push_back(models->find(name)->source);
    models->set(name, open(swap % 3 == 0 ? "shadow" : "native"));
    models->set("guest", models->find(name));
    models->free_unused();
    // Not all before the first request.
    while (right < std::min<size_t>(static_cast<size_t>(swap + 1) * 3, threads * requests)) std::this_thread::yield();
    models->remove("guest");
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(right, threads * requests);
  EXPECT_TRUE(frees_all(*models));
  for (const auto& source : old) EXPECT_TRUE(source.expired());
  server.reset();
}

}  // namespace
}  // namespace incipit
