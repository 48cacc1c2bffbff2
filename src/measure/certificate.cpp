#include "measure/certificate.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/json.h"
#include "base/json_fields.h"

namespace incipit {

namespace json = boost::json;

namespace {

constexpr std::string_view bound_begin = "perplexity<=";

}  // namespace

AccuracyBound AccuracyBound::parse(std::string_view text) {
  AccuracyBound bound;
  std::string_view rest = text;
  if (rest.starts_with(bound_begin) && rest.ends_with('%')) {
    rest = rest.substr(bound_begin.size(), rest.size() - bound_begin.size() - 1);
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), bound.percent);
    const bool whole = error == std::errc() && end == rest.data() + rest.size();
    if (whole && bound.percent >= 0 && bound.percent <= 1000) return bound;
  }
  throw Error("--accuracy '" + std::string(text) + "'", "is no bound", "give one as in 'perplexity<=1%', of 0 to 1000");
}

std::string AccuracyBound::text() const { return fmt::format("{}{}%", bound_begin, percent); }

std::string Certificate::figures() const {
  const double change = found.change() * 100;
  return fmt::format(
      "perplexity {:.4f}, {:.2f} % {} f32's {:.4f} on {} ({} tokens); KL mean {:.3g}, p99 {:.3g}, max {:.3g}; first "
      "choice the same for {:.2f} %",
      found.perplexity, std::fabs(change), change < 0 ? "below" : "above", found.reference_perplexity, text_name,
      found.tokens, found.mean_kl, found.p99_kl, found.most_kl,
      100 * static_cast<double>(found.same_choice) / static_cast<double>(found.tokens));
}

void keep_certificate(const Engine& engine, const Certificate& certificate) {
  const EngineComparison& found = certificate.found;
  const json::object record{{"version", certificate.version},
                            {"machine", certificate.machine},
                            {"unix_time", certificate.unix_time},
                            {"bound", certificate.bound},
                            {"reference", "f32"},
                            {"text", certificate.text_name},
                            {"text_bytes", certificate.text_bytes},
                            {"text_digest", certificate.text_digest},
                            {"window", certificate.window},
                            {"tokens", found.tokens},
                            {"reference_perplexity", found.reference_perplexity},
                            {"perplexity", found.perplexity},
                            {"kl_mean", found.mean_kl},
                            {"kl_p99", found.p99_kl},
                            {"kl_max", found.most_kl},
                            {"same_choice", found.same_choice}};
  append_trailer(engine.path(), engine.body_digest(), TrailerKind::accuracy, json::serialize(record));
}

std::optional<Certificate> certificate_of(const Engine& engine) {
  std::optional<Certificate> last;
  for (const TrailerRecord& record : engine.trailer()) {
    if (record.kind != TrailerKind::accuracy) continue;
    const std::string name = engine.path().string() + ": certificate";
    const json::value parsed = parse_json(record.json, name);
    const JsonFields fields(parsed, name, "build it again");
    Certificate& certificate = last.emplace();
    certificate.bound = fields.text("bound");
    certificate.text_name = fields.text("text");
    certificate.text_digest = fields.text("text_digest");
    certificate.text_bytes = fields.count("text_bytes");
    certificate.window = fields.count("window");
    certificate.machine = fields.text("machine");
    certificate.version = fields.text("version");
    certificate.unix_time = fields.count("unix_time");
    certificate.found.tokens = fields.count("tokens");
    certificate.found.reference_perplexity = fields.number("reference_perplexity");
    certificate.found.perplexity = fields.number("perplexity");
    certificate.found.mean_kl = fields.number("kl_mean");
    certificate.found.p99_kl = fields.number("kl_p99");
    certificate.found.most_kl = fields.number("kl_max");
    certificate.found.same_choice = fields.count("same_choice");
  }
  return last;
}

std::string certified_or_not(const Engine& engine) {
  const std::optional<Certificate> certificate = certificate_of(engine);
  return certificate ? "certified, " + certificate->bound : "not certified";
}

}  // namespace incipit
