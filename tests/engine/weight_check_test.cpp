#include "engine/weight_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "base/error.h"
#include "engine/small_engine.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t weight_bytes = 3 * weight_slab + 1000;

/// An engine of three slabs of weights and a part of one.
class WeightCheckTest : public ::testing::Test {
 protected:
  WeightCheckTest() {
    std::vector<std::byte> weights(weight_bytes);
    for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<std::byte>(i * 2654435761u >> 24);
    EngineWriter writer(path, {});
    // In pieces that end anywhere.
    for (size_t begin = 0; begin < weights.size(); begin += 300001) {
      writer.append_weights(std::span(weights).subspan(begin, std::min<size_t>(300001, weights.size() - begin)));
    }
    writer.add_section(SectionKind::plan, plan_bytes(small_plan()));
    writer.add_section(SectionKind::manifest, as_bytes_of(small_manifest));
    EXPECT_NE(writer.commit(), Digest{});
  }

  void alter(uint64_t byte_of_weights) const {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(engine_page + byte_of_weights));
    const auto old = static_cast<char>(file.get());
    file.seekp(static_cast<std::streamoff>(engine_page + byte_of_weights));
    file.put(static_cast<char>(old ^ 1));
  }

  TemporaryDirectory directory;
  std::filesystem::path path = directory / "x.engine";
};

TEST_F(WeightCheckTest, EverySlabHasADigestOfItsOwn) {
  const auto engine = Engine::open(path);
  ASSERT_EQ(engine->weights().size(), weight_bytes);
  ASSERT_EQ(engine->weight_slabs(), 4u);
  SlabDigester digester;
  digester.update(engine->weights());
  const std::vector<Digest> slabs = digester.finish();
  ASSERT_EQ(slabs.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    const size_t begin = i * weight_slab;
    EXPECT_EQ(slabs[i], digest_of(engine->weights().subspan(begin, std::min(weight_slab, weight_bytes - begin)))) << i;
  }
  EXPECT_EQ(digest_of(std::as_bytes(std::span(slabs))), engine->header().sections[0].digest);
}

TEST_F(WeightCheckTest, SoundWeightsPass) {
  const auto engine = Engine::open(path);
  EXPECT_NO_THROW(engine->check_weights());
  const WeightCheck check(engine);
  EXPECT_NO_THROW(check.report());
  EXPECT_NO_THROW(check.finish());
  EXPECT_NO_THROW(check.finish(std::chrono::milliseconds(0)));
}

TEST_F(WeightCheckTest, ABitOfOneSlabIsFoundThere) {
  for (const uint64_t at : {uint64_t{0}, weight_slab - 1, weight_slab, 2 * weight_slab + 5, weight_bytes - 1}) {
    alter(at);
    const auto engine = Engine::open(path);
    for (uint64_t slab = 0; slab < engine->weight_slabs(); ++slab) {
      const std::string message = message_of([&] { engine->check_weight_slab(slab); });
      if (slab != at / weight_slab) {
        EXPECT_EQ(message, "no error") << at;
        continue;
      }
      const uint64_t begin = engine_page + slab * weight_slab;
      const uint64_t end = engine_page + std::min((slab + 1) * weight_slab, weight_bytes);
      EXPECT_THAT(message, HasSubstr("its weights were altered, at bytes " + std::to_string(begin) + " to " +
                                     std::to_string(end) + ": "));
    }
    const WeightCheck check(engine);
    const std::string expected = message_of([&] { engine->check_weights(); });
    EXPECT_EQ(message_of([&] { check.finish(); }), expected);
    alter(at);
  }
}

TEST_F(WeightCheckTest, TheThreadReportsWhatItFinds) {
  alter(2 * weight_slab);
  const auto engine = Engine::open(path);
  const WeightCheck check(engine);
  std::string message = "no error";
  while (message == "no error") {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    message = message_of([&] { check.report(); });
  }
  EXPECT_EQ(message, message_of([&] { engine->check_weights(); }));
  EXPECT_EQ(message, message_of([&] { check.finish(); }));
}

TEST_F(WeightCheckTest, EndsWithItsOwner) {
  const auto engine = Engine::open(path);
  for (int i = 0; i < 20; ++i) const WeightCheck check(engine);
  EXPECT_EQ(engine.use_count(), 1);
}

}  // namespace
}  // namespace incipit
