// What a plain graph makes of engines that are sound as files, and cannot be run.
#include "runtime/plain/plain_graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "engine/small_engine.h"
#include "kernels/families.h"
#include "kernels/kernel.h"
#include "kernels/problem.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

using ::testing::HasSubstr;

/// y = copy(x + b), where b is what the small engine's weights begin with.
plan::PlanT runnable_plan() {
  plan::PlanT plan = small_plain_plan();
  Elementwise::Problem copy;
  copy.width = 4;
  plan.steps[0].problem = to_text(copy);
  for (const Kernel<Elementwise>& kernel : Elementwise::kernels()) {
    if (!runs_here(kernel.needs)) continue;
    plan.steps[0].kernels = {
        {{}, 8, std::string(kernel.name), kernel.abi, std::string(kernel.configs.front().name), ""}};
    break;
  }
  return plan;
}

class PlainGraphTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Engine> open(const plan::PlanT& plan) {
    write_small_engine(directory_ / "small.engine", plan);
    return Engine::open(directory_ / "small.engine");
  }
  std::string fault_of(const plan::PlanT& plan) {
    return message_of([&] { PlainGraph(open(plan), 1); });
  }

 private:
  TemporaryDirectory directory_;
};

TEST_F(PlainGraphTest, RunsPrimitivesAndLaunchesOverAnyNumberOfRows) {
  PlainGraph graph(open(runnable_plan()), 2);
  for (const int64_t rows : {0, 1, 8, 21}) {  // a launch has 8
    std::map<std::string, Tensor> inputs;
    Tensor& x = inputs.emplace("x", Tensor(DType::f32, {rows, 4})).first->second;
    for (size_t i = 0; i < x.as<float>().size(); ++i) x.as<float>()[i] = static_cast<float>(i);
    const std::map<std::string, Tensor> outputs = graph.run(inputs);
    ASSERT_EQ(outputs.at("y").shape(), (Shape{rows, 4}));
    for (size_t i = 0; i < x.as<float>().size(); ++i) {
      float b = 0;
      const std::array<uint8_t, 4> bytes{static_cast<uint8_t>(i % 4 * 4 + 1), static_cast<uint8_t>(i % 4 * 4 + 2),
                                         static_cast<uint8_t>(i % 4 * 4 + 3), static_cast<uint8_t>(i % 4 * 4 + 4)};
      std::memcpy(&b, bytes.data(), sizeof b);
      EXPECT_EQ(outputs.at("y").as<float>()[i], static_cast<float>(i) + b);
    }
  }
}

TEST_F(PlainGraphTest, RefusesWhatThisProgramDoesNotHave) {
  const auto changed = [&](auto&& change) {
    plan::PlanT plan = runnable_plan();
    change(plan, *plan.graph);
    return fault_of(plan);
  };
  EXPECT_THAT(fault_of(small_plan()), HasSubstr("holds a decoder"));
  EXPECT_THAT(changed([](auto&, auto& g) { g.operations[0].op = "Guess"; }), HasSubstr("no primitive 'Guess'"));
  EXPECT_THAT(changed([](auto&, auto& g) { g.operations[0].attributes[0].name = "guess"; }),
              HasSubstr("Binary has no attribute 'guess'"));
  EXPECT_THAT(changed([](auto&, auto& g) { g.operations[0].attributes[0].kind = plan::AttributeKind::flag; }),
              HasSubstr("attribute 'function' is of another kind"));
  EXPECT_THAT(changed([](auto&, auto& g) { g.operations[0].attributes[0].text = "guess"; }),
              HasSubstr("attribute 'function' cannot be 'guess'"));
  EXPECT_THAT(changed([](auto& p, auto&) { p.steps[0].kernels[0].kernel = "elementwise/none"; }),
              HasSubstr("elementwise/none"));
  EXPECT_THAT(changed([](auto& p, auto&) { p.steps[0].problem = "sample vocabulary=4"; }),
              HasSubstr("'sample' does not work on rows alone"));
}

TEST_F(PlainGraphTest, RefusesAtRunTimeWhatDoesNotFit) {
  std::map<std::string, Tensor> inputs;
  inputs.emplace("x", Tensor(DType::f32, {3, 4}));
  plan::PlanT plan = runnable_plan();
  plan.graph->operations[0].attributes[0].text = "and";  // of integers
  EXPECT_THAT(message_of([&] { PlainGraph(open(plan), 1).run(inputs); }), HasSubstr("small.engine: add: "));
  plan = runnable_plan();
  plan.graph->constants[0].shape = {3};
  EXPECT_THAT(message_of([&] { PlainGraph(open(plan), 1).run(inputs); }), HasSubstr("small.engine: add: "));
  plan = runnable_plan();
  plan.graph->operations[1].attributes[0].integers = {1, 0};
  EXPECT_THAT(message_of([&] { PlainGraph(open(plan), 1).run(inputs); }), HasSubstr("small.engine: copy: rows: "));
  plan = runnable_plan();
  plan.graph->operations[1].outputs = 2;
  plan.graph->outputs[0].value = 5;
  EXPECT_THAT(message_of([&] { PlainGraph(open(plan), 1).run(inputs); }), HasSubstr("turn: makes 1 values, not 2"));
}

}  // namespace
}  // namespace incipit
