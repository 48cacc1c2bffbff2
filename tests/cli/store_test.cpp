// incipit store: planted regressions are found before they have traffic, each by what is there to find it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "engines.h"
#include "program.h"
#include "support/altered_engine.h"

namespace incipit {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// A store whose version 1 is live.
class PlantedRegression : public testing::Test {
 protected:
  PlantedRegression() {
    add(tiny_engine());
    EXPECT_EQ(run("verify", {"1"}).status, 0);
    EXPECT_EQ(run("promote", {"1"}).status, 0);
  }
  Ran run(const std::string& command, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments{"store", command, directory / "models", "chat"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments);
  }
  void add(const std::string& engine) const {
    const Ran ran = run("add", {engine});
    EXPECT_EQ(ran.status, 0) << ran.err;
  }
  boost::json::object version(int64_t number) const {
    const boost::json::object all = object_of(run("list", {"--json"}).out);
    for (const boost::json::value& one : all.at("chat").at("versions").as_array()) {
      if (one.at("version").to_number<int64_t>() == number) return one.as_object();
    }
    return {};
  }

  TemporaryDirectory directory;
};

TEST_F(PlantedRegression, ACorruptedPlaneWhoseDigestsHoldIsFoundByGoldenLogits) {
  const std::string corrupted = directory / "corrupted.engine";
  write_altered_engine(tiny_engine(), corrupted, [](const plan::Plan& plan, std::span<std::byte> file) {
    const auto plane = plane_of(plan, file, "layers.1.mlp.down_proj");
    ASSERT_FALSE(plane.empty());
    std::ranges::rotate(plane, plane.begin() + std::ssize(plane) / 2);
  });
  EXPECT_EQ(run_program({"inspect", corrupted, "--check"}).status, 0) << "no digest tells";
  add(corrupted);
  const Ran verified = run("verify", {"2"});
  EXPECT_EQ(verified.status, 1);
  EXPECT_THAT(verified.out, AllOf(HasSubstr("golden      failed        bucket "), HasSubstr("chat@2: rejected\n")));
  EXPECT_EQ(version(2).at("state"), "rejected");
  EXPECT_THAT(std::string(version(2).at("reason").as_string()), HasSubstr("golden: bucket "));
  EXPECT_THAT(run("history").out, HasSubstr("2 staged → rejected: golden: bucket "));
  EXPECT_THAT(run("promote", {"2"}).err, HasSubstr("is rejected"));
  EXPECT_EQ(version(1).at("state"), "live");
}

TEST_F(PlantedRegression, ASlowerEngineIsFoundByItsTimesBesideTheLiveOne) {
  const std::string other = build_golden_engine(tiny_model, "other.engine", {"--tag", "slower"});
  add(other);
  // Any engine takes less than a thousand times as long as the live one, and longer than a thousandth: no test depends
  // on how much.
  EXPECT_EQ(run("verify", {"2", "--slower", "1000"}).status, 0);
  EXPECT_EQ(version(2).at("state"), "verified");
  const Ran verified = run("verify", {"2", "--slower", "0.001"});
  EXPECT_EQ(verified.status, 1);
  EXPECT_THAT(verified.out, AllOf(HasSubstr("golden      passed"), HasSubstr("speed       failed"),
                                  HasSubstr("beyond the bound of 0.001"), HasSubstr("chat@2: rejected\n")));
  EXPECT_THAT(std::string(version(2).at("reason").as_string()), HasSubstr("speed: "));
}

TEST(PlantedTemplate, IsShownByDiff) {
  const TemporaryDirectory directory;
  const std::filesystem::path model = directory / "model";
  std::filesystem::create_directory(model);
  for (const auto& file : std::filesystem::directory_iterator(classics)) {
    if (file.path().filename() == "chat_template.jinja") continue;
    std::filesystem::create_symlink(std::filesystem::absolute(file.path()), model / file.path().filename());
  }
  std::string text = read_text_file(classics / "chat_template.jinja");
  const size_t place = text.find("<|user|>");
  ASSERT_NE(place, std::string::npos);
  std::ofstream(model / "chat_template.jinja") << text.insert(place, "Planted. ");
  const std::string planted =
      build_golden_engine(model, "planted.engine", {"--max-context", "512", "--max-batch", "2"});
  const Ran ran = run_program({"diff", classics_engine(), planted});
  EXPECT_THAT(ran.out, AllOf(HasSubstr("texts\n  chat template\n"), HasSubstr("Planted. ")));
  EXPECT_THAT(ran.out, testing::Not(HasSubstr("weights\n")));
}

}  // namespace
}  // namespace incipit
