// Golden logits: what an engine itself computed of a fixed text where it was built, a prompt a bucket, kept in its
// trailer. Whoever gets the file computes them again and sees whether it still does.
//
// Each prompt is a beginning of one text, as long as its bucket, and one token follows it several times, whatever the
// engine would have drawn. So the rows of a prompt are of the kernels of its bucket, and then of those of single
// tokens.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "session/gateway.h"

namespace incipit {

/// A distribution: its likeliest tokens, and the forced one.
struct GoldenRow {
  std::vector<int32_t> ids;     // likeliest first
  std::vector<float> logprobs;  // theirs
  float forced_logprob = 0;
};

struct GoldenPrompt {
  int32_t bucket = 0;           // its tokens
  int32_t tokens = 0;           // of the prompt: the bucket's, or the context
  std::vector<GoldenRow> rows;  // behind the prompt, then behind each forced token
};

/// How far rows are from what the model's graph gives, computed by the scalar references of its ops.
struct GoldenReference {
  int32_t tokens = 0;                   // that were computed
  double deviation = 0, tolerance = 0;  // of log-probabilities
};

/// Of log-probabilities.
struct GoldenSpread {
  double largest = 0;
  double mean = 0;  // the root of the mean square, of the rows of a prompt
};

struct GoldenLogits {
  std::string version, machine;
  std::vector<int32_t> text;
  int32_t forced = 0;
  std::vector<GoldenPrompt> prompts;
  std::vector<int32_t> left_out;  // buckets that would have taken too long
  double range = 0;               // between the largest and the least log-probability of a row
  double format_error = 0;        // of logits, relative to their range, that the formats of the weights explain
  bool has_one_way = true;  // each step has one kernel, whatever the number of its rows: then results are the same bits
  GoldenSpread spread;      // between the engine's own ways to compute a prompt: whole, in pieces, token by token
  std::optional<GoldenReference> reference;
  std::string no_reference;  // why there is none

  /// What the same weights explain, whatever an engine computes beside, and however prompts are cut: some times the
  /// spread, and no more than what the rounding to the formats explains.
  GoldenSpread tolerance() const;
};

/// How two rows of one place differ.
struct RowDeviation {
  double largest = 0;  // infinite where something is no number
  int32_t token = -1;  // whose that is
  double expected = 0, found = 0;
  double squares = 0;  // of all differences, and how many they are
  int32_t count = 0;
};
RowDeviation deviation_of(const GoldenRow& expected, const GoldenRow& found, int32_t forced);

struct GoldenRecording {
  double format_error = 0;  // as above; the engine's precision says it
  double seconds = 4;       // about: buckets that would take longer are left out
};

/// Lets the engine compute its golden logits, alone. Throws Error where logits are no numbers; and on Ctrl-C.
GoldenLogits record_golden(Gateway& gateway, const GoldenRecording& options);

/// Appends them to the engine's trailer. Throws Error as append_trailer.
void keep_golden(const Engine& engine, const GoldenLogits& golden);
/// The engine's last ones; none: it has none. Throws Error naming the engine for a record that is none.
std::optional<GoldenLogits> golden_of(const Engine& engine);

enum class GoldenVerdict : uint8_t { passed, failed, inconclusive, missing };

struct GoldenCheck {
  struct Bucket {
    int32_t bucket = 0;
    int32_t row = 0;  // of the largest; 0: behind the prompt
    RowDeviation worst;
    double mean = 0;
  };
  GoldenVerdict verdict = GoldenVerdict::missing;
  GoldenSpread tolerance;
  std::vector<Bucket> buckets;  // that were computed
  std::string line;             // what was found, for people
};

/// Computes the engine's golden logits again by ordinary requests of the batch class, so that others are not held up.
/// Inconclusive where the engine does not come to it within that time. Throws Error for a record that is none, what
/// Gateway::submit throws, and on Ctrl-C.
GoldenCheck check_golden(Gateway& gateway, std::chrono::seconds patience = std::chrono::seconds(120));

}  // namespace incipit
