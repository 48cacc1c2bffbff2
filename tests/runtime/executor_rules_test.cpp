// What an executor refuses, and what is a bug of its caller.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"
#include "runtime/executor.h"
#include "runtime/tiny_model.h"
#include "support/sequences.h"

namespace incipit {
namespace {

TEST(ExecutorRules, AnEngineOfAnotherTargetIsRefused) {
  const TinyEngine tiny({}, shadow);
  try {
    Executor executor(tiny.open(), make_cpu_device(1));
    FAIL() << "loaded";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("was built for shadow"));
  }
}

class ExecutorDeathTest : public ::testing::Test {
 protected:
  ExecutorDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
  TinyEngine tiny;
};

TEST_F(ExecutorDeathTest, ABatchThatBreaksARuleAsserts) {
  Executor executor(tiny.open(), make_cpu_device(1));
  Sequences sequences(executor.limits());
  Sequence sequence = sequences.add();
  const auto run = [&](const std::vector<Share>& shares) { submit(executor, shares); };
  EXPECT_DEATH(run({{&sequence, {TinyModel::vocabulary}, {0}, {}}}), "vocabulary");
  EXPECT_DEATH(run({{&sequence, {1, 2}, {1, 0}, {}}}), "rows");
  EXPECT_DEATH(run({{&sequence, {1}, {1}, {}}}), "tokens");
  EXPECT_DEATH(run({{&sequence, {1}, {0}, {}}, {&sequence, {1}, {0}, {}}}), "slot_ticket");
  EXPECT_DEATH(run({{&sequence, some_text(TinyModel::max_tokens + 1, 1), {}, {}}}), "max_tokens");
  sequence.pages[0][0] = executor.limits().groups[0].pages;
  EXPECT_DEATH(run({{&sequence, {1}, {0}, {}}}), "page");
  sequence.position = TinyModel::max_context;
  EXPECT_DEATH(run({{&sequence, {1}, {0}, {}}}), "max_context");
}

TEST_F(ExecutorDeathTest, AThirdTicketInFlightAsserts) {
  Executor executor(tiny.open(), make_cpu_device(1));
  Sequences sequences(executor.limits());
  Sequence sequence = sequences.add();
  const auto run = [&] { submit(executor, std::vector<Share>{{&sequence, {1}, {0}, {}}}); };
  run();
  run();
  EXPECT_DEATH(run(), "collected");
}

}  // namespace
}  // namespace incipit
