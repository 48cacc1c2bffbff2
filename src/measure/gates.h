// What an engine has to pass before it gets traffic, beside the one that has it now. Both may serve others meanwhile:
// all that is asked of them are requests of the batch class.
#pragma once

#include <boost/json.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "measure/certificate.h"
#include "session/gateway.h"

namespace incipit {

enum class GateVerdict : uint8_t {
  passed,
  failed,
  inconclusive,  // it was tried, and cannot be told
  skipped        // there is nothing to try it with
};
std::string_view name_of(GateVerdict verdict);

struct GateResult {
  std::string gate;  // "weights", "golden", "interface", "perplexity", "speed"
  GateVerdict verdict = GateVerdict::skipped;
  std::string line;              // what was found, for people
  boost::json::object evidence;  // for the audit
};

struct GateOptions {
  double slower = 1.10;                // how many times the live engine's times are allowed
  double seconds = 30;                 // of pairs, for one size of prompt, about
  std::chrono::seconds patience{120};  // with what others do not let through
  std::filesystem::path text;          // for the perplexity; empty: none
  int32_t most_text_tokens = 4096;     // of the text's beginning
  /// How far the perplexity may be above the live engine's; none: as the engine's certificate has it, or 1 %.
  std::optional<AccuracyBound> accuracy;
};

/// Weights as they were built, golden logits, vocabulary and context, perplexity and speed, in this order; all of them,
/// but that nothing else is asked of an engine whose weights or golden logits are wrong. `live` is null where there is
/// none: then nothing is compared with it. `about_to` hears of each gate as it begins. Throws Error for a text that
/// cannot be read, and on Ctrl-C; what else goes wrong fails its gate.
std::vector<GateResult> run_gates(Gateway& fresh, Gateway* live, const GateOptions& options,
                                  const std::function<void(std::string_view gate)>& about_to = {});

/// Golden logits alone: what a canary repeats.
GateResult golden_gate(Gateway& fresh, std::chrono::seconds patience = std::chrono::seconds(120));

/// Whether one of them failed.
bool any_failed(const std::vector<GateResult>& results);

}  // namespace incipit
