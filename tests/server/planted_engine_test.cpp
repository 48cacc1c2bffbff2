// An engine whose logits are wrong, let through on purpose: the server proves it itself, and no request gets it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "measure/measured_engines.h"
#include "server/store_follower.h"

namespace incipit {
namespace {

TEST(PlantedEngine, IsRolledBackFromItsCanaryWithTheReason) {
  const TemporaryDirectory directory;
  const std::filesystem::path sound = golden_engine("f32"), corrupted = directory / "corrupted";
  write_altered_engine(sound, corrupted, [](const plan::Plan& plan, std::span<std::byte> file) {
    const auto plane = plane_of(plan, file, "down_proj");
    std::ranges::rotate(plane, plane.begin() + std::ssize(plane) / 2);
  });
  const Store store = Store::open_or_create(directory / "models");
  for (const auto& engine : {sound, corrupted}) store.add("chat", engine, "", "me");
  const auto promote = [&](int64_t version, double percent) {
    store.change("chat", "me", [&](const ModelVersions& now) { return now.promote(version, percent, true); });
  };
  promote(1, 0);
  EngineHost host{HostOptions{.threads = 2, .max_gap_ms = 0}};
  ModelTable models;
  StoreFollower follower(store, host, models, {});
  follower.open_live();
  follower.make_ready();
  promote(2, 50);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (store.read("chat").find(2)->state != VersionState::rolled_back && std::chrono::steady_clock::now() < end) {
    follower.poll();
    EXPECT_EQ(models.find("chat@canary"), nullptr) << "it gets no request";
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(store.read("chat").find(2)->state, VersionState::rolled_back);
  EXPECT_THAT(store.read("chat").find(2)->reason, testing::HasSubstr("golden logits: bucket "));
  EXPECT_EQ(store.read("chat").live()->number, 1);
}

}  // namespace
}  // namespace incipit
