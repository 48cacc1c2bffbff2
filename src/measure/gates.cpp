#include "measure/gates.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/utf8.h"
#include "measure/golden.h"
#include "measure/paired_probe.h"
#include "measure/perplexity_probe.h"

namespace incipit {

namespace json = boost::json;

namespace {

GateResult check_weights(Gateway& fresh) {
  const Engine& engine = fresh.engine();
  for (uint64_t slab = 0; slab < engine.weight_slabs(); ++slab) {
    check_interrupt();
    engine.check_weight_slab(slab);
  }
  return {"weights", GateVerdict::passed, "every byte is as it was built", {{"digest", engine.body_digest().hex()}}};
}

GateVerdict verdict_of(GoldenVerdict verdict) {
  switch (verdict) {
    case GoldenVerdict::passed: return GateVerdict::passed;
    case GoldenVerdict::failed: return GateVerdict::failed;
    case GoldenVerdict::inconclusive: return GateVerdict::inconclusive;
    case GoldenVerdict::missing: return GateVerdict::skipped;
  }
  return GateVerdict::failed;
}

json::object evidence_of(const GoldenCheck& check) {
  json::array buckets;
  for (const GoldenCheck::Bucket& bucket : check.buckets) {
    buckets.push_back({{"bucket", bucket.bucket},
                       {"row", bucket.row},
                       {"token", bucket.worst.token},
                       {"expected", finite_or_null(bucket.worst.expected)},
                       {"found", finite_or_null(bucket.worst.found)},
                       {"largest", finite_or_null(bucket.worst.largest)},
                       {"mean", finite_or_null(bucket.mean)}});
  }
  return {{"tolerance", {{"largest", check.tolerance.largest}, {"mean", check.tolerance.mean}}},
          {"buckets", std::move(buckets)}};
}

GateResult run_golden(Gateway& fresh, std::chrono::seconds patience) {
  const GoldenCheck check = check_golden(fresh, patience);
  return {"golden", verdict_of(check.verdict), check.line, evidence_of(check)};
}

/// What the new engine is held against on a text.
class PerplexityGate {
 public:
  PerplexityGate(Gateway& fresh, Gateway* live, const GateOptions& options, std::string_view text)
      : fresh_(fresh), live_(live), options_(options), text_(text), certificate_(certificate_of(fresh.engine())) {}

  GateResult run() {
    if (options_.text.empty()) return skipped("no text was given");
    for (const Gateway* gateway : both()) {
      if (gateway != nullptr && gateway->tokenizer() == nullptr) {
        return skipped(gateway->engine().path().string() + " has no tokenizer");
      }
    }
    is_certified_text_ = certificate_ && digest_of(std::as_bytes(std::span(text_))).hex() == certificate_->text_digest;
    window_ = is_certified_text_ ? static_cast<int32_t>(certificate_->window) : usual_window;
    for (const Gateway* gateway : both()) {
      if (gateway != nullptr) window_ = std::min(window_, gateway->limits().max_context);
    }
    const std::vector<int32_t> tokens = tokens_of(fresh_);
    window_ = std::min(window_, static_cast<int32_t>(tokens.size()));
    if (window_ < 2) return skipped("the text has fewer than two tokens");
    const auto found = probe(fresh_, tokens);
    if (!found) return {"perplexity", GateVerdict::inconclusive, no_answer(fresh_), {}};
    GateResult result{"perplexity", GateVerdict::passed, fmt::format("{:.4f}", found->value), {}};
    result.evidence = {{"text", options_.text.filename().string()},
                       {"tokens", found->tokens},
                       {"perplexity", finite_or_null(found->value)}};
    compare_with_live(*found, result);
    compare_with_certificate(*found, tokens.size(), result);
    return result;
  }

 private:
  static constexpr int32_t usual_window = 512;

  std::array<const Gateway*, 2> both() const { return {&fresh_, live_}; }
  static GateResult skipped(std::string_view why) { return {"perplexity", GateVerdict::skipped, std::string(why), {}}; }
  std::string no_answer(const Gateway& gateway) const {
    return fmt::format("{}: no answer within {} s", gateway.engine().path().string(), options_.patience.count());
  }

  std::vector<int32_t> tokens_of(const Gateway& gateway) const {
    EncodeOptions encode;
    encode.add_special_tokens = false;
    encode.name = options_.text.string();
    return gateway.tokenizer()->encode(text_, encode);
  }

  std::optional<ProbedPerplexity> probe(Gateway& gateway, std::span<const int32_t> tokens) const {
    const auto until = std::chrono::steady_clock::now() + options_.patience;
    const auto most = static_cast<size_t>(std::max(options_.most_text_tokens, window_));
    return probe_perplexity(gateway, tokens.first(std::min(tokens.size(), most)), window_, until);
  }

  AccuracyBound bound() const {
    if (options_.accuracy) return *options_.accuracy;
    return certificate_ ? AccuracyBound::parse(certificate_->bound) : AccuracyBound{1};
  }

  /// On as many of the text's characters: another tokenizer cuts them otherwise, and tokens of other lengths are
  /// not as likely.
  void compare_with_live(const ProbedPerplexity& found, GateResult& result) {
    if (live_ == nullptr) return;
    const std::vector<int32_t> tokens = tokens_of(*live_);
    if (tokens != tokens_of(fresh_)) {
      result.line += "; the live engine's tokenizer is another one, so that it cannot be compared";
      result.verdict = GateVerdict::inconclusive;
      return;
    }
    const auto live = probe(*live_, tokens);
    if (!live) {
      result.line += "; " + no_answer(*live_);
      result.verdict = GateVerdict::inconclusive;
      return;
    }
    compare("the live engine's", found.value, live->value, bound().percent, result);
    result.evidence["live_perplexity"] = finite_or_null(live->value);
  }

  /// The certificate's figure is of the whole text; the engine must give it again.
  void compare_with_certificate(const ProbedPerplexity& found, size_t tokens, GateResult& result) {
    if (!is_certified_text_ || static_cast<int64_t>(window_) != certificate_->window) return;
    if (found.tokens != certificate_->found.tokens) {
      result.line += fmt::format("; the certificate is of all {} tokens", tokens);
      return;
    }
    compare("the certificate's", found.value, certificate_->found.perplexity, bound().percent, result);
    result.evidence["certified_perplexity"] = certificate_->found.perplexity;
  }

  static void compare(std::string_view whose, double found, double expected, double percent, GateResult& result) {
    const double change = 100 * (found / expected - 1);
    const bool holds = change <= percent;
    result.line += fmt::format("; {:.2f} % {} {} {:.4f}{}", std::fabs(change), change < 0 ? "below" : "above", whose,
                               expected, holds ? "" : fmt::format(", where {:.3g} % are allowed", percent));
    if (!holds) result.verdict = GateVerdict::failed;
  }

  Gateway& fresh_;
  Gateway* live_;
  const GateOptions& options_;
  std::string_view text_;
  std::optional<Certificate> certificate_;
  bool is_certified_text_ = false;
  int32_t window_ = usual_window;
};

json::object to_json(const PairedResult& result) {
  const Pace& pace = result.pace;
  return {{"kind", result.kind}, {"tokens", result.tokens}, {"live_ms", pace.older_ms},
          {"ms", pace.newer_ms}, {"ratio", pace.ratio},     {"low", pace.low},
          {"high", pace.high},   {"pairs", pace.pairs},     {"verdict", name_of(pace.verdict)}};
}

std::string describe(const PairedResult& result) {
  const Pace& pace = result.pace;
  const std::string what = result.kind == "decode" ? "a decoded token" : fmt::format("a prompt of {}", result.tokens);
  return fmt::format("{} takes {:.3f} times as long ({:.3f} to {:.3f}; {:.3f} ms and {:.3f} ms)", what, pace.ratio,
                     pace.low, pace.high, pace.older_ms, pace.newer_ms);
}

/// What clients of the live engine send must be taken by the new one.
GateResult compare_interface(Gateway& fresh, Gateway* live) {
  if (live == nullptr) return {"interface", GateVerdict::skipped, "there is no live engine", {}};
  const ExecutorLimits &now = live->limits(), &then = fresh.limits();
  GateResult result{
      "interface", GateVerdict::passed, "vocabulary, tokenizer and context take what the live engine's do", {}};
  result.evidence = {{"vocabulary", then.vocabulary}, {"context", then.max_context}};
  const auto fail = [&](std::string line) {
    result.verdict = GateVerdict::failed;
    result.line = std::move(line);
  };
  if (then.max_context < now.max_context) {
    fail(fmt::format("the context is {}, and the live engine's {}", then.max_context, now.max_context));
  }
  if (live->tokenizer() != nullptr && fresh.tokenizer() == nullptr) {
    fail("it has no tokenizer, and the live engine has one");
  }
  if (then.vocabulary != now.vocabulary) {
    fail(fmt::format("the vocabulary has {} tokens, and the live engine's {}", then.vocabulary, now.vocabulary));
  }
  return result;
}

GateResult compare_speed(Gateway& fresh, Gateway* live, const GateOptions& options) {
  if (live == nullptr) return {"speed", GateVerdict::skipped, "there is no live engine", {}};
  PairedOptions paired;
  paired.bound = options.slower;
  paired.seconds = options.seconds;
  paired.patience = options.patience;
  const std::vector<PairedResult> results = probe_pairs(*live, fresh, paired);
  const auto has = [&](PaceVerdict verdict) {
    return std::ranges::any_of(results, [&](const PairedResult& one) { return one.pace.verdict == verdict; });
  };
  GateResult result{"speed", GateVerdict::passed, {}, {}};
  if (has(PaceVerdict::inconclusive)) result.verdict = GateVerdict::inconclusive;
  if (has(PaceVerdict::slower)) result.verdict = GateVerdict::failed;
  const auto of_interest = [&](const PairedResult& one) {
    if (result.verdict == GateVerdict::passed) return true;
    return one.pace.verdict ==
           (result.verdict == GateVerdict::failed ? PaceVerdict::slower : PaceVerdict::inconclusive);
  };
  const PairedResult* worst = nullptr;
  json::array all;
  for (const PairedResult& one : results) {
    all.push_back(to_json(one));
    if (of_interest(one) && (worst == nullptr || one.pace.ratio > worst->pace.ratio)) worst = &one;
  }
  result.line = fmt::format("{}{} {:.3g}", describe(*worst),
                            result.verdict == GateVerdict::passed   ? ", the most of all; the bound is"
                            : result.verdict == GateVerdict::failed ? ", beyond the bound of"
                                                                    : ", which does not tell whether it is beyond",
                            options.slower);
  result.evidence = {{"bound", options.slower}, {"results", std::move(all)}};
  return result;
}

/// What goes wrong in a gate fails it, but for the end that the user wants, and for an engine that has too much to do.
template <typename Gate>
GateResult guarded(std::string_view name, const Gate& gate) {
  try {
    return gate();
  } catch (const Overloaded& error) {
    return {std::string(name), GateVerdict::inconclusive, error.what(), {}};
  } catch (const Error& error) {
    check_interrupt();
    return {std::string(name), GateVerdict::failed, error.what(), {}};
  }
}

}  // namespace

std::string_view name_of(GateVerdict verdict) {
  switch (verdict) {
    case GateVerdict::passed: return "passed";
    case GateVerdict::failed: return "failed";
    case GateVerdict::inconclusive: return "inconclusive";
    case GateVerdict::skipped: return "skipped";
  }
  return "failed";
}

GateResult golden_gate(Gateway& fresh, std::chrono::seconds patience) {
  return guarded("golden", [&] { return run_golden(fresh, patience); });
}

std::vector<GateResult> run_gates(Gateway& fresh, Gateway* live, const GateOptions& options,
                                  const std::function<void(std::string_view)>& about_to) {
  const std::string text = options.text.empty() ? "" : read_text_file(options.text);
  check_utf8(text, options.text.string());
  std::vector<GateResult> results;
  const auto run = [&](std::string_view name, const auto& gate) {
    const bool trusted = std::ranges::none_of(results, [](const GateResult& one) {
      return one.verdict == GateVerdict::failed && (one.gate == "weights" || one.gate == "golden");
    });
    if (!trusted) {
      results.push_back({std::string(name), GateVerdict::skipped, "a gate before it failed", {}});
      return;
    }
    if (about_to) about_to(name);
    results.push_back(guarded(name, gate));
  };
  run("weights", [&] { return check_weights(fresh); });
  run("golden", [&] { return run_golden(fresh, options.patience); });
  run("interface", [&] { return compare_interface(fresh, live); });
  run("perplexity", [&] { return PerplexityGate(fresh, live, options, text).run(); });
  run("speed", [&] { return compare_speed(fresh, live, options); });
  return results;
}

bool any_failed(const std::vector<GateResult>& results) {
  return std::ranges::any_of(results, [](const GateResult& one) { return one.verdict == GateVerdict::failed; });
}

}  // namespace incipit
