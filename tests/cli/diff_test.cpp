// incipit diff: what it prints of two engines, and refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engines.h"

namespace incipit {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(Diff, TellsHowTwoEnginesOfAModelDiffer) {
  const Ran ran = run_program({"diff", classics_engine(), short_engine()});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("options\n  max_batch\n    - 2\n    + 4\n"), HasSubstr("max_context")));
  EXPECT_THAT(ran.out, testing::Not(HasSubstr("weights\n")));
  const auto answer = object_of(run_program({"diff", classics_engine(), classics_engine(), "--json"}).out);
  EXPECT_TRUE(answer.at("differences").as_array().empty());
  EXPECT_EQ(answer.at("a").at("digest"), answer.at("b").at("digest"));
}

TEST(Diff, RefusesWhatIsNoEngine) {
  expect_refused(run_program({"diff", classics_engine(), (classics / "config.json").string()}), 1, "is not an engine");
  expect_refused(run_program({"diff", classics_engine()}), 2, "B");
}

}  // namespace
}  // namespace incipit
