#include "measure/readiness.h"

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <limits>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "engine/engine.h"
#include "engine/plan_items.h"
#include "measure/measure.h"

namespace incipit {
namespace {

double first_token_ms(Gateway& gateway, int32_t tokens) {
  const auto begun = std::chrono::steady_clock::now();
  TokenStream stream(gateway, measured_request(gateway, tokens, 1));
  const StreamUpdate all = stream.read_to_end();
  if (all.finish == FinishReason::failed) throw Error(gateway.engine().path().string(), all.failure);
  return std::chrono::duration<double, std::milli>(all.times.front() - begun).count();
}

/// Of a record of another machine, or of other threads: nothing.
std::vector<FirstTokenCheck> first_tokens_of(const Gateway& gateway, const boost::json::value& record) {
  std::vector<FirstTokenCheck> checks;
  const boost::json::object* baseline = record.if_object();
  if (baseline == nullptr || !baseline->contains("machine") || !baseline->contains("threads") ||
      !baseline->contains("results")) {
    return checks;
  }
  if (baseline->at("machine") != boost::json::value(machine_of(gateway.engine()))) return checks;
  if (baseline->at("threads") != boost::json::value(gateway.workers())) return checks;
  const boost::json::array* results = baseline->at("results").if_array();
  for (const boost::json::value& result : results == nullptr ? boost::json::array() : *results) {
    const boost::json::object* one = result.if_object();
    if (one == nullptr || !one->contains("kind") || one->at("kind") != "ttft" || one->contains("context")) continue;
    const boost::json::value* tokens = one->if_contains("tokens");
    const boost::json::value* ms = one->if_contains("ms_median");
    if (tokens == nullptr || ms == nullptr || !tokens->is_int64() || !ms->is_number()) continue;
    const int64_t count = tokens->get_int64();
    if (count < 1 || count > gateway.limits().max_context) continue;
    checks.push_back({static_cast<int32_t>(count), 0, ms->to_number<double>()});
  }
  return checks;
}

}  // namespace

std::vector<FirstTokenCheck> baseline_of(const Gateway& gateway) {
  std::vector<FirstTokenCheck> newest;
  for (const TrailerRecord& record : gateway.engine().trailer()) {
    if (record.kind != TrailerKind::baseline) continue;
    auto checks = first_tokens_of(gateway, parse_json(record.json, gateway.engine().path().string() + ": baseline"));
    if (!checks.empty()) newest = std::move(checks);
  }
  return newest;
}

std::vector<FirstTokenCheck> warm(Gateway& gateway, double tolerance) {
  constexpr int most_runs = 3;
  std::set<int32_t> prompts;
  for (const plan::Bucket* bucket : items(gateway.engine().plan().buckets())) {
    prompts.insert(std::min(static_cast<int32_t>(bucket->tokens()), gateway.limits().max_context));
  }
  std::vector<FirstTokenCheck> checks = baseline_of(gateway);
  for (FirstTokenCheck& check : checks) {
    prompts.erase(check.tokens);
    check.ms = std::numeric_limits<double>::infinity();
    for (int run = 0; run < most_runs && check.is_late(tolerance); ++run) {
      check.ms = std::min(check.ms, first_token_ms(gateway, check.tokens));
    }
  }
  for (const int32_t tokens : prompts) first_token_ms(gateway, tokens);
  return checks;
}

}  // namespace incipit
