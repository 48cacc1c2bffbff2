// What was measured of an engine's accuracy, kept in its trailer: the certificate.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/engine.h"
#include "measure/compare_engines.h"

namespace incipit {

/// How far an engine may be from its reference: "perplexity<=1%".
struct AccuracyBound {
  double percent = 0;  // that the perplexity may be above the reference's

  /// Throws Error naming the text when it is no bound.
  static AccuracyBound parse(std::string_view text);
  std::string text() const;
  bool holds(const EngineComparison& found) const { return found.change() * 100 <= percent; }
};

/// An engine beside the f32 engine of the same model, on a text.
struct Certificate {
  std::string bound;  // that holds
  std::string text_name, text_digest;
  int64_t text_bytes = 0, window = 0;
  std::string machine, version;
  int64_t unix_time = 0;
  EngineComparison found;  // but for its passages

  /// "perplexity 26.1, 0.85 % above f32's 25.9 on eval.txt (15330 tokens); KL mean 0.01, p99 0.1, max 1; first choice
  /// the same for 97.1 %".
  std::string figures() const;
};

/// Appends it to the engine's trailer. Throws Error as append_trailer.
void keep_certificate(const Engine& engine, const Certificate& certificate);
/// The engine's last one; none: it is not certified. Throws Error naming the engine for a record that is none.
std::optional<Certificate> certificate_of(const Engine& engine);
/// "certified, perplexity<=1%", or "not certified": what stands wherever an engine's precision does.
std::string certified_or_not(const Engine& engine);

}  // namespace incipit
