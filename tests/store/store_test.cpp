// A store on disk: what people find there, and what a killed writer leaves.
#include "store/store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <chrono>
#include <fstream>
#include <random>
#include <thread>

#include "base/error.h"
#include "engine/engine.h"
#include "engine/small_engine.h"
#include "support/message_of.h"
#include "support/sanitized.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// Engines that differ, and a place for a store.
class StoreTest : public testing::Test {
 protected:
  fs::path engine(int kind) const {
    const fs::path path = directory_ / fmt::format("small-{}.engine", kind);
    if (fs::exists(path)) return path;
    plan::PlanT plan = small_plan();
    plan.steps[0].name = fmt::format("embed {}", kind);
    write_small_engine(path, plan);
    return path;
  }
  fs::path place() const { return directory_ / "models"; }
  AuditRecord promote(const Store& store, int64_t number) const {
    return store.change("chat", "me", [&](const ModelVersions& now) { return now.promote(number, 0, true); });
  }

  TemporaryDirectory directory_;
};

/// What a model's audit leads to.
ModelVersions replayed(const Store& store, const std::string& model) {
  ModelVersions versions;
  for (const AuditRecord& record : store.history(model)) versions.apply(record);
  return versions;
}

void expect_sound(const Store& store, const std::string& model) {
  const ModelVersions now = store.read(model);
  EXPECT_EQ(boost::json::serialize(replayed(store, model).to_json()), boost::json::serialize(now.to_json()));
  for (const StoredVersion& version : now.versions()) {
    if (!version.has_file()) continue;
    const auto engine = Engine::open(store.engine_of(version));
    EXPECT_EQ(engine->body_digest().hex(), version.digest);
    engine->check_weights();
  }
}

TEST_F(StoreTest, IsFoldersThatPeopleCanRead) {
  const Store store = Store::open_or_create(place());
  const AuditRecord added = store.add("chat", engine(1), "nightly", "me@here");
  EXPECT_EQ(added.number, 1);
  store.add("chat", engine(2), "", "me@here");
  promote(store, 1);
  promote(store, 2);
  EXPECT_EQ(store.models(), std::vector<std::string>{"chat"});
  const fs::path link = place() / "chat" / "1.engine";
  EXPECT_EQ(fs::read_symlink(link), fs::path("../objects") / (added.changes[0].digest + ".engine"));
  EXPECT_EQ(Engine::open(link)->body_digest().hex(), added.changes[0].digest);
  EXPECT_EQ(store.read("chat").live()->number, 2);
  EXPECT_EQ(store.read("chat").standby()->tag, "nightly");
  EXPECT_EQ(store.history("chat").size(), 4u);
  expect_sound(store, "chat");
  EXPECT_EQ(Store::open(place()).read("chat").to_json(), store.read("chat").to_json());
}

TEST_F(StoreTest, StampChangesWithEveryChange) {
  const Store store = Store::open_or_create(place());
  EXPECT_EQ(store.stamp("chat"), 0u);
  store.add("chat", engine(1), "", "me");
  const uint64_t added = store.stamp("chat");
  EXPECT_NE(added, 0u);
  EXPECT_EQ(added, store.stamp("chat"));
  promote(store, 1);
  EXPECT_NE(added, store.stamp("chat"));
}

TEST_F(StoreTest, CollectingRemovesWhatHasEndedAndWhatKilledProgramsLeft) {
  const Store store = Store::open_or_create(place());
  for (int kind = 1; kind <= 3; ++kind) store.add("chat", engine(kind), "", "me");
  store.add("code", engine(1), "", "me");
  for (int number = 1; number <= 3; ++number) promote(store, number);
  const std::string first = store.read("chat").find(1)->digest;
  std::ofstream(place() / "objects" / (first + ".engine.tmp-1-1")) << "half of it";
  std::ofstream(place() / "objects" / "00000000000000000000000000000000.engine") << "nobody's";
  const auto collected = store.collect("me");
  ASSERT_EQ(collected.size(), 1u);
  EXPECT_EQ(collected[0].version, 1);
  EXPECT_GT(collected[0].bytes, 0);
  EXPECT_FALSE(fs::exists(fs::symlink_status(place() / "chat" / "1.engine")));
  EXPECT_TRUE(fs::exists(place() / "code" / "1.engine")) << "it is the other model's, too";
  size_t objects = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(place() / "objects")) ++objects;
  EXPECT_EQ(objects, 3u);
  EXPECT_THAT(message_of([&] { promote(store, 1); }), HasSubstr("was removed by gc"));
  EXPECT_EQ(store.add("chat", engine(1), "", "me").changes[0].version, 4);
  expect_sound(store, "chat");
}

TEST_F(StoreTest, RefusesWhatIsNoStoreNoNameOrNoSoundEngine) {
  EXPECT_THAT(message_of([&] { Store::open(place()); }), HasSubstr("is no store of engines"));
  fs::create_directory(directory_ / "other");
  std::ofstream(directory_ / "other" / "file") << "mine";
  EXPECT_THAT(message_of([&] { Store::open_or_create(directory_ / "other"); }), HasSubstr("not empty"));
  const Store store = Store::open_or_create(place());
  for (const char* const name : {"", "a/b", "..", "objects", "admin.sock", ".hidden", "name@2", "a b"}) {
    EXPECT_THAT(message_of([&] { store.add(name, engine(1), "", "me"); }), HasSubstr("is no name for a model")) << name;
  }
  EXPECT_THAT(message_of([&] { store.read("chat"); }), HasSubstr("is no model of the store"));
  const fs::path altered = directory_ / "altered.engine";
  fs::copy_file(engine(1), altered);
  std::fstream(altered, std::ios::in | std::ios::out | std::ios::binary).seekp(engine_page + 3) << "x";  // a weight
  EXPECT_THAT(message_of([&] { store.add("chat", altered, "", "me"); }), HasSubstr("altered.engine"));
  EXPECT_TRUE(store.models().empty());
  store.add("chat", engine(1), "", "me");
  EXPECT_THAT(message_of([&] { store.add("chat", engine(1), "", "me"); }), HasSubstr("is this engine already"));
  std::ofstream(place() / "chat" / "state.json") << "{\"versions\": [{}]}";
  EXPECT_THAT(message_of([&] { store.read("chat"); }), HasSubstr("state.json: 'version' is missing"));
}

TEST_F(StoreTest, AnAuditThatWasAlteredIsToldOf) {
  const Store store = Store::open_or_create(place());
  store.add("chat", engine(1), "", "me");
  promote(store, 1);
  fs::remove(place() / "chat" / "audit.jsonl");
  store.add("chat", engine(2), "", "me");
  promote(store, 2);
  store.change("chat", "me\nyou", [](const ModelVersions& now) { return now.rollback("why\r\nnot"); });
  EXPECT_EQ(store.read("chat").live()->number, 1) << "a rollback does not depend on it";
  EXPECT_EQ(store.history("chat").back().actor, "me you") << "a line stays one";
  fs::remove(place() / "chat" / "state.json");
  EXPECT_THAT(message_of([&] { store.collect("me"); }), HasSubstr("state.json: is not there, and its audit is"));
  EXPECT_THAT(message_of([&] { store.add("chat", engine(3), "", "me"); }), HasSubstr("is not there, and its audit is"));
  EXPECT_TRUE(fs::exists(place() / "chat" / "1.engine")) << "what cannot be known to be nobody's stays";
}

TEST_F(StoreTest, AddingADamagedEngineAgainMendsIt) {
  const Store store = Store::open_or_create(place());
  store.add("chat", engine(1), "", "me");
  promote(store, 1);
  fs::resize_file(store.engine_of(*store.read("chat").live()), 100);
  EXPECT_EQ(store.add("chat", engine(1), "", "me").number, 0);
  expect_sound(store, "chat");
  EXPECT_EQ(store.read("chat").versions().size(), 1U);
}

/// Changes the store at random, for ever, and writes a byte behind each try.
[[noreturn]] void change_for_ever(const fs::path& place, const std::vector<fs::path>& engines, unsigned seed,
                                  int tried) {
  std::mt19937 random(seed);
  const auto below = [&](int64_t bound) { return std::uniform_int_distribution<int64_t>(0, bound - 1)(random); };
  while (true) {
    try {
      const Store store = Store::open_or_create(place);
      const std::string model = below(2) == 0 ? "chat" : "code";
      const auto change = [&](const Store::Rule& rule) { store.change(model, "child", rule); };
      const int64_t number = 1 + below(12);
      switch (below(6)) {
        case 0:
          store.add(model, engines[static_cast<size_t>(below(static_cast<int64_t>(engines.size())))], "", "child");
          break;
        case 1:
          change([&](const ModelVersions& now) { return now.verify(number, below(4) != 0, true, "why", {}); });
          break;
        case 2: change([&](const ModelVersions& now) { return now.promote(number, 0, below(3) == 0); }); break;
        case 3: change([&](const ModelVersions& now) { return now.promote(number, 5, below(3) == 0); }); break;
        case 4: change([](const ModelVersions& now) { return now.rollback("found wanting"); }); break;
        default: store.collect("child");
      }
    } catch (const Error&) {
    }
    if (::write(tried, "+", 1) != 1) ::_exit(1);
  }
}

TEST_F(StoreTest, AKilledWriterLeavesAStoreThatOpensAndServes) {
  std::vector<fs::path> engines;
  for (int kind = 1; kind <= 6; ++kind) engines.push_back(engine(kind));
  std::mt19937 random(11);
  constexpr int kills = sanitized ? 40 : 200;
  for (int kill = 0; kill < kills; ++kill) {
    int tried[2];
    ASSERT_EQ(::pipe2(tried, O_CLOEXEC), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) change_for_ever(place(), engines, static_cast<unsigned>(kill), tried[1]);
    // Behind some of its tries, at any moment of the next one or two.
    char told = 0;
    for (int tries = std::uniform_int_distribution<int>(0, 4)(random); tries > 0; --tries) {
      ASSERT_EQ(::read(tried[0], &told, 1), 1);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(std::uniform_int_distribution<int>(0, 8'000)(random)));
    ::kill(child, SIGKILL);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    for (const int end : tried) ::close(end);
    const Store store = Store::open_or_create(place());
    for (const std::string& model : store.models()) ASSERT_NO_FATAL_FAILURE(expect_sound(store, model)) << kill;
    if (HasFailure()) FAIL() << "behind kill " << kill;
  }
  const Store store = Store::open(place());
  EXPECT_EQ(store.models().size(), 2u);
  EXPECT_GT(store.history("chat").size(), kills / 10u);
}

TEST_F(StoreTest, TwoWritersTakeTurns) {
  const Store store = Store::open_or_create(place());
  store.add("chat", engine(1), "", "me");
  store.add("chat", engine(2), "", "me");
  const auto swap = [&](int64_t number) {
    for (int i = 0; i < 50; ++i) {
      try {
        promote(store, number);
      } catch (const Error&) {  // it is live already
      }
    }
  };
  std::jthread other([&] { swap(1); });
  swap(2);
  other.join();
  expect_sound(store, "chat");
}

}  // namespace
}  // namespace incipit
