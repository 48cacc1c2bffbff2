#include "engine/differences.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/plan_generated.h"
#include "engine/small_engine.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

/// "area name: a | b", one a difference.
std::vector<std::string> lines(const std::vector<Difference>& found) {
  std::vector<std::string> lines;
  for (const Difference& one : found) lines.push_back(one.area + " " + one.name + ": " + one.a + " | " + one.b);
  return lines;
}

struct Parts {
  plan::PlanT plan = small_plan();
  std::string manifest =
      R"({"precision":"f32","flags":{"tuned":true},"sources":[{"name":"x","bytes":1,"digest":"d"}]})";
  std::string chat_template = "one\ntwo\nthree";
  std::byte weight{1};
};

class Differences : public testing::Test {
 protected:
  std::shared_ptr<const Engine> engine(const std::string& name, const Parts& parts) {
    EngineWriter writer(directory_ / name, {});
    std::vector<std::byte> plane(100, parts.weight);
    plane.resize(128);
    writer.write_weights(plane);
    writer.add_section(SectionKind::plan, plan_bytes(parts.plan));
    writer.add_section(SectionKind::manifest, as_bytes_of(parts.manifest));
    writer.add_section(SectionKind::chat_template, as_bytes_of(parts.chat_template));
    writer.commit();
    Engine::OpenOptions options;
    options.check_target = false;
    return Engine::open(directory_ / name, options);
  }
  std::vector<std::string> between(const Parts& a, const Parts& b) {
    return lines(differences(*engine("a.engine", a), *engine("b.engine", b)));
  }

  TemporaryDirectory directory_;
};

TEST_F(Differences, OfTheSamePartsAreNone) { EXPECT_THAT(between({}, {}), IsEmpty()); }

TEST_F(Differences, TellWhatTheModelWasMadeFromAndHow) {
  Parts other;
  other.manifest = R"({"precision":"f32","flags":{"tuned":false},"sources":[{"name":"x","bytes":2,"digest":"e"}]})";
  EXPECT_THAT(between({}, other),
              ElementsAre("sources x: 1 bytes, digest d | 2 bytes, digest e", "options tuned: true | false"));
}

TEST_F(Differences, TellTheFirstLineOfATemplate) {
  Parts other;
  other.chat_template = "one\ntoo\nthree";
  EXPECT_THAT(between({}, other), ElementsAre("texts chat template: line 2: two | line 2: too"));
}

TEST_F(Differences, FindAWeightsOtherBytes) {
  Parts other;
  other.weight = std::byte{2};
  EXPECT_THAT(between({}, other),
              ElementsAre(AllOf(HasSubstr("weights table: 5 × 5 in f32"), HasSubstr("other bytes in values"))));
}

TEST_F(Differences, TellTheKernelsOfSteps) {
  Parts other;
  for (auto& step : other.plan.steps) step.kernels[0].kernel = "slow";
  EXPECT_THAT(between({}, other), Contains(AllOf(StartsWith("kernels "), HasSubstr("| slow default"))));
}

TEST_F(Differences, CompareTheLastBaselinesOfOneMachine) {
  const auto with = [&](const std::string& name, const std::vector<std::string>& baselines) {
    const Digest body = engine(name, {})->body_digest();
    for (const std::string& one : baselines) append_trailer(directory_ / name, body, TrailerKind::baseline, one);
    Engine::OpenOptions options;
    options.check_target = false;
    return Engine::open(directory_ / name, options);
  };
  const std::string old = R"({"machine":"m","threads":2,"results":[{"kind":"ttft","tokens":16,"ms_median":1.0}]})";
  const std::string slow = R"({"machine":"m","threads":2,"results":[{"kind":"ttft","tokens":16,"ms_median":3.0}]})";
  const std::string elsewhere = R"({"machine":"n","threads":2,"results":[]})";
  EXPECT_THAT(lines(differences(*with("a", {slow, old}), *with("b", {slow}))),
              ElementsAre("baselines ttft 16: 1.000 ms | 3.000 ms, 3.00 times as long"));
  EXPECT_THAT(lines(differences(*with("a", {old}), *with("b", {elsewhere}))),
              ElementsAre("baselines measured on: 2 threads on m | 2 threads on n"));
  EXPECT_THAT(lines(differences(*with("a", {}), *with("b", {old}))),
              ElementsAre("baselines measured on:  | 2 threads on m"));
}

}  // namespace
}  // namespace incipit
