#include "measure/trace.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "engine/plan_bytes.h"
#include "kernels/families.h"
#include "kernels/problem.h"

namespace incipit {
namespace {

double number(const boost::json::value& value) { return value.to_number<double>(); }

TEST(Trace, LaysTheStepsOfEachPassEndToEnd) {
  Linear::Problem product;
  product.n = 1000, product.k = 64;
  product.input = DType::f32, product.format = WeightFormat::f32;
  plan::PlanT plan;
  plan.steps = {{{}, "norm", "rms_norm", plan::Axis::tokens, {}, {}, {}},
                {{}, "head", to_text(product), plan::Axis::rows, {}, {}, {}}};
  const std::vector<std::byte> bytes = plan_bytes(plan);
  MachineCeilings ceilings;
  ceilings.all_threads = {1e9, 1e9, 1e9, 1e9, 1e9};
  ceilings.working_set_bandwidth = 8e9;

  std::vector<TracedPass> passes(2);
  passes[0] = {"prompt 50", {0, 50}, 0, {{"norm", "rms_norm", "plain", 2}, {"head", to_text(product), "wide 3", 4}}};
  passes[1] = {"decode 1", {50, 1}, 7, {{"head", to_text(product), "wide 3", 1}}};
  const boost::json::object trace = trace_of(passes, *plan::GetPlan(bytes.data()), ceilings);
  EXPECT_EQ(boost::json::parse(boost::json::serialize(trace)), trace);

  struct Expected {
    const char *name, *category;
    double begin_us, us;
  };
  const Expected expected[] = {{"prompt 50", "pass", 0, 6000},
                               {"norm", "step", 0, 2000},
                               {"head", "step", 2000, 4000},
                               {"decode 1", "pass", 7000, 1000},
                               {"head", "step", 7000, 1000}};
  const boost::json::array& events = trace.at("traceEvents").get_array();
  ASSERT_EQ(events.size(), std::size(expected) + 1);
  EXPECT_EQ(events[0].at("ph"), "M");
  for (size_t i = 0; i < std::size(expected); ++i) {
    const boost::json::object& event = events[i + 1].get_object();
    EXPECT_EQ(event.at("ph"), "X");
    EXPECT_EQ(event.at("name"), expected[i].name);
    EXPECT_EQ(event.at("cat"), expected[i].category);
    EXPECT_DOUBLE_EQ(number(event.at("ts")), expected[i].begin_us);
    EXPECT_DOUBLE_EQ(number(event.at("dur")), expected[i].us);
  }
  const boost::json::object& norm = events[2].at("args").get_object();
  EXPECT_EQ(norm.at("kernel"), "plain");
  EXPECT_FALSE(norm.contains("multiple")) << "nothing limits it";
  const boost::json::object& head = events[3].at("args").get_object();
  EXPECT_EQ(head.at("problem").get_string(), to_text(product));
  const double limit_ms = 1e3 * 2 * 1000 * 64 / 1e9;  // one row: the sampled one
  EXPECT_DOUBLE_EQ(number(head.at("limit_ms")), limit_ms);
  EXPECT_DOUBLE_EQ(number(head.at("multiple")), 4 / limit_ms);
}

}  // namespace
}  // namespace incipit
