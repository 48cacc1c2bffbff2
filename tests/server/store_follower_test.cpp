// A server that follows a store: swaps, canaries, what cannot be served, and the administration's routes.
#include "server/store_follower.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <set>
#include <thread>

#include "base/error.h"
#include "engine/engine.h"
#include "raw_client.h"
#include "server/conversation.h"
#include "server/server.h"
#include "session/golden.h"
#include "support/message_of.h"
#include "support/sanitized.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

using boost::json::array;
using boost::json::object;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

/// A store with two engines of one model as "chat", the first of which is live; and a server that follows it.
class FollowerTest : public testing::Test {
 protected:
  FollowerTest() {
    for (const int64_t context : {0, 32}) {
      store.add("chat", reference_engine("llama-mha", context)->path(), "", "me");
    }
    promote(1);
  }

  void start(const FollowOptions& options = {}) {
    follower = std::make_unique<StoreFollower>(store, host, *models, options);
    follower->open_live();
    follower->make_ready();
    ServerOptions with;
    with.http.port = 0;
    with.follower = follower.get();
    server = std::make_unique<Server>(with, models);
    with.administration = true;
    administration = std::make_unique<Server>(with, models);
  }

  void promote(int64_t version, double percent = 0) const {
    store.change("chat", "me", [&](const ModelVersions& now) { return now.promote(version, percent, true); });
  }
  void roll_back() const {
    store.change("chat", "me", [](const ModelVersions& now) { return now.rollback("asked for"); });
  }
  /// Polls until that holds.
  template <typename F>
  bool reaches(F&& holds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!holds()) {
      if (std::chrono::steady_clock::now() > end) return false;
      follower->poll();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  }
  int64_t served(const std::string& name = "chat") const {
    const auto model = models->find(name);
    return model == nullptr ? 0 : model->version;
  }
  bool reaches_live(int64_t version) {
    return reaches([&] { return served() == version; });
  }
  object ask(object more = {}) const {
    object body{{"model", "chat"},
                {"prompt", array{1, 2, 3}},
                {"max_tokens", 4},
                {"temperature", 0},
                {"return_token_ids", true}};
    for (const auto& field : more) body[field.key()] = field.value();
    RawClient client(server->port());
    client.post("/v1/completions", body);
    return client.read().json();
  }
  boost::json::string fingerprint(int64_t version) const {
    return boost::json::string("fp_" + store.read("chat").find(version)->digest.substr(0, 12));
  }

  TemporaryDirectory directory;
  Store store = Store::open_or_create(directory / "models");
  EngineHost host{HostOptions{.threads = 2, .max_gap_ms = 0}};
  std::shared_ptr<ModelTable> models = std::make_shared<ModelTable>();
  std::unique_ptr<StoreFollower> follower;
  std::unique_ptr<Server> server, administration;  // go first
};

TEST_F(FollowerTest, NamesGoWhereTheStoreSays) {
  start();
  EXPECT_EQ(ask().at("system_fingerprint"), fingerprint(1));
  promote(2);
  ASSERT_TRUE(reaches_live(2));
  EXPECT_EQ(ask().at("system_fingerprint"), fingerprint(2));
  EXPECT_EQ(ask({{"model", "chat@1"}}).at("system_fingerprint"), fingerprint(1)) << "it stands by";
  roll_back();
  ASSERT_TRUE(reaches_live(1));
  EXPECT_EQ(ask().at("system_fingerprint"), fingerprint(1));
  ASSERT_TRUE(reaches([&] { return served("chat@2") == 0; }));
  EXPECT_TRUE(reaches([&] { return models->free_unused() == 0; }));
  RawClient client(server->port());
  client.get("/metrics");
  EXPECT_THAT(client.read().body, AllOf(HasSubstr("incipit_live_version{model_name=\"chat\"} 1"),
                                        HasSubstr("incipit_version_swaps_total{model_name=\"chat\"} 2"),
                                        HasSubstr("vllm:num_requests_running{model_name=\"chat\",version=\"1\"} ")));
}

TEST_F(FollowerTest, TheNextVersionKnowsWhatTheLastOneHadInItsCache) {
  start();
  array prompt;
  for (int i = 0; i < 20; ++i) prompt.push_back(1 + i % 7);
  ask({{"prompt", prompt}});
  promote(2);
  ASSERT_TRUE(reaches_live(2));
  EXPECT_GE(ask({{"prompt", prompt}}).at("usage").at("prompt_tokens_details").at("cached_tokens").as_int64(), 16);
  // And a version that stands by has none.
  std::shared_ptr<const ServedModel> old = models->find("chat@1");
  ASSERT_TRUE(reaches([&] {
    std::vector<PrefixCache::Text> texts;
    auto gateway = std::dynamic_pointer_cast<Gateway>(old->source);
    gateway->look([&](Session& session) { texts = session.latest_texts(1 << 20); });
    return texts.empty();
  }));
}

TEST_F(FollowerTest, AVersionThatCannotBeServedIsRolledBackWithItsReason) {
  start();
  const StoredVersion second = *store.read("chat").find(2);
  std::filesystem::resize_file(store.engine_of(second), 5000);
  promote(2);
  ASSERT_TRUE(reaches([&] { return store.read("chat").find(2)->state == VersionState::rolled_back; }));
  EXPECT_THAT(store.read("chat").find(2)->reason, StartsWith("cannot be served: "));
  EXPECT_THAT(store.read("chat").last().actor, StartsWith("incipit serve"));
  EXPECT_EQ(store.read("chat").live()->number, 1);
  EXPECT_EQ(ask().at("system_fingerprint"), fingerprint(1));
}

TEST_F(FollowerTest, TheVersionThatStandsByServesWhereTheLiveOneIsDamagedAtTheStart) {
  promote(2);
  std::filesystem::resize_file(store.engine_of(*store.read("chat").live()), 5000);
  start();
  EXPECT_EQ(ask().at("system_fingerprint"), fingerprint(1));
  EXPECT_EQ(store.read("chat").find(2)->state, VersionState::rolled_back);
}

TEST_F(FollowerTest, AlteredWeightsOfTheLiveVersionRollItBack) {
  promote(2);
  const StoredVersion live = *store.read("chat").live();
  {
    std::fstream file(store.engine_of(live), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(engine_page) + 64);
    file.write("altered", 7);
  }
  start();
  // The weights are checked behind tokens, at the latest.
  EXPECT_TRUE(reaches([&] {
    ask();
    return served() == 1;
  }));
  EXPECT_THAT(store.read("chat").find(2)->reason, HasSubstr("weights"));
  EXPECT_EQ(ask().at("system_fingerprint"), fingerprint(1));
}

TEST_F(FollowerTest, ACanaryHasItsShareOfConversations) {
  start();
  promote(2, 25);
  ASSERT_TRUE(reaches([&] { return served("chat@canary") == 2; }));
  int of_canary = 0;
  constexpr int conversations = 200;
  for (int i = 0; i < conversations; ++i) {
    const object body{{"prompt_cache_key", std::to_string(i)}};
    const int64_t version = models->find("chat", conversation_of(body, 0))->version;
    EXPECT_EQ(models->find("chat", conversation_of(body, 0))->version, version) << "always the same";
    of_canary += version == 2 ? 1 : 0;
  }
  EXPECT_GT(of_canary, conversations / 8);
  EXPECT_LT(of_canary, conversations / 2);
  const object mine{{"user", "somebody"}};
  const bool tries = models->find("chat", conversation_of(mine, 0))->version == 2;
  EXPECT_EQ(ask(mine).at("system_fingerprint"), fingerprint(tries ? 2 : 1));
  roll_back();
  ASSERT_TRUE(reaches([&] { return served("chat@canary") == 0; }));
  EXPECT_EQ(ask(mine).at("system_fingerprint"), fingerprint(1));
}

TEST(Conversation, IsKnownByItsNameOrItsBeginning) {
  const auto number = [](const char* text, uint64_t caller = 0) {
    return conversation_of(boost::json::parse(text).as_object(), caller);
  };
  const char* const first = R"({"messages":[{"role":"system","content":"a"},{"role":"user","content":"b"}]})";
  const char* const second =
      R"({"messages":[{"role":"system","content":"a"},{"role":"user","content":"b"},{"role":"assistant","content":"c"},
          {"role":"user","content":"d"}]})";
  EXPECT_EQ(number(first), number(second));
  EXPECT_NE(number(first), number(first, 1));
  EXPECT_NE(number(first), number(R"({"messages":[{"role":"user","content":"b"}]})"));
  EXPECT_EQ(number(R"({"user":"u","prompt":"x"})"), number(R"({"user":"u","prompt":"y"})"));
}

TEST_F(FollowerTest, ACanaryThatIsSlowerIsRolledBackWithinThreeWindows) {
  FollowOptions options;
  options.canary_window = std::chrono::milliseconds(20);
  options.canary.least_samples = 10;
  start(options);
  promote(2, 25);
  ASSERT_TRUE(reaches([&] { return served("chat@canary") == 2; }));
  const auto live = models->find("chat"), canary = models->find("chat@canary");
  ASSERT_TRUE(reaches([&] {
    for (int i = 0; i < 10; ++i) {
      live->window->add_first_token(100, 0, 40);
      canary->window->add_first_token(100, 0, 90);
    }
    return store.read("chat").find(2)->state == VersionState::rolled_back;
  }));
  EXPECT_THAT(store.read("chat").find(2)->reason, HasSubstr("(p95) takes 90.0 ms, and 40.0 of the live version"));
  EXPECT_FALSE(store.read("chat").last().evidence.empty());
  EXPECT_THAT(follower->metrics(), AllOf(HasSubstr("verdict=\"bad\"} 3"),
                                         HasSubstr("rollbacks_total{model_name=\"chat\",why=\"canary\"} 1")));
}

TEST_F(FollowerTest, SwapsUnderLoadLoseNoRequestAndMixNoVersions) {
  start();
  std::atomic<bool> over{false};
  std::atomic<int> answered{0};
  const std::set<boost::json::string> known{fingerprint(1), fingerprint(2)};
  std::vector<std::jthread> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back([&, i] {
      for (int k = 0; !over; ++k) {
        RawClient client(server->port());
        client.post("/v1/completions", {{"model", "chat"},
                                        {"prompt", array{1 + i, 2 + k % 5, 3}},
                                        {"max_tokens", 8},
                                        {"stream", true},
                                        {"ignore_eos", true},
                                        {"return_token_ids", true}});
        const RawResponse answer = client.read();
        std::set<boost::json::string> seen;
        size_t ids = 0;
        for (const std::string& event : events_of(answer.body)) {
          if (event == "[DONE]") continue;
          const object chunk = boost::json::parse(event).as_object();
          seen.insert(chunk.at("system_fingerprint").as_string());
          ids += chunk.at("choices").at(0).at("token_ids").as_array().size();
        }
        EXPECT_EQ(ids, 8U) << answer.body;
        EXPECT_EQ(seen.size(), 1U);
        EXPECT_TRUE(known.contains(*seen.begin()));
        ++answered;
      }
    });
  }
  constexpr int swaps = sanitized ? 6 : 20;
  for (int i = 0; i < swaps; ++i) {
    const int64_t next = i % 2 == 0 ? 2 : 1;
    i % 4 == 3 ? roll_back() : promote(next);
    EXPECT_TRUE(reaches_live(next)) << i;
    const int before = answered;
    EXPECT_TRUE(reaches([&] { return answered > before; }));
  }
  over = true;
  clients.clear();
  EXPECT_EQ(store.read("chat").versions().size(), 2U);
}

TEST_F(FollowerTest, TheAdministrationTellsAndChanges) {
  start();
  const auto call = [&](const std::string& method, const std::string& path, const std::string& body = "") {
    RawClient client(administration->port());
    client.send(RawClient::request(method, path, body));
    return client.read();
  };
  const object models_now = call("GET", "/admin/models").json();
  EXPECT_EQ(models_now.at("models").at(0).at("versions").at(0).at("here"), "serving");
  EXPECT_EQ(models_now.at("models").at(0).at("versions").at(1).at("state"), "staged");
  EXPECT_EQ(call("POST", "/admin/models/chat/promote", R"({"version":2})").status, 409) << "it is not verified";
  EXPECT_EQ(call("POST", "/admin/models/chat/promote", R"({"version":"2"})").status, 400);
  EXPECT_EQ(call("POST", "/admin/models/chat/promote", "{").status, 400);
  EXPECT_EQ(call("POST", "/admin/models/chat/promote", R"({"version":2,"cannary":5})").status, 400);
  EXPECT_EQ(call("POST", "/admin/models/chat/sell", R"({"version":2})").status, 404);
  EXPECT_EQ(call("POST", "/admin/models/code/rollback").status, 409);
  const RawResponse verified = call("POST", "/admin/models/chat/verify", R"({"version":2,"slower":1e6})");
  EXPECT_EQ(verified.json().at("verdict"), "failed") << "its context is shorter";
  EXPECT_THAT(follower->metrics(), HasSubstr("rollbacks_total{model_name=\"chat\",why=\"golden\"} 0"));
  EXPECT_EQ(call("GET", "/v1/models").status, 404) << "clients ask elsewhere";
  const RawResponse promoted =
      call("POST", "/admin/models/chat/promote", R"({"version":2,"unverified":true,"actor":"ci","reason":"a try"})");
  EXPECT_EQ(promoted.status, 200);
  EXPECT_EQ(promoted.json().at("actor"), "ci by administration");
  ASSERT_TRUE(reaches_live(2));
  EXPECT_EQ(call("POST", "/admin/models/chat/rollback").status, 200);
  ASSERT_TRUE(reaches_live(1));
  RawClient client(administration->port());
  client.get("/admin/events");
  client.read_head();
  const std::string events = client.read_chunk();
  EXPECT_THAT(events, AllOf(HasSubstr(R"("event":"swap","model":"chat","from":1,"to":2)"),
                            HasSubstr(R"("event":"swap","model":"chat","from":2,"to":1)")));
  RawClient late(administration->port());
  late.get("/admin/events", "Last-Event-ID: 1\r\n");
  late.read_head();
  EXPECT_THAT(late.read_chunk(), AllOf(HasSubstr("id: 2\n"), testing::Not(HasSubstr("id: 1\n"))));
}

TEST_F(FollowerTest, AStoreWithoutALiveVersionIsRefused) {
  const Store empty = Store::open_or_create(directory / "empty");
  StoreFollower nobody(empty, host, *models, {});
  EXPECT_THAT(message_of([&] { nobody.open_live(); }), HasSubstr("has no version that is live and can be opened"));
}

}  // namespace
}  // namespace incipit
