#include "compile/manifest.h"

#include <boost/json.hpp>

#include "base/version.h"

namespace incipit {

namespace json = boost::json;

std::string make_manifest(const Rewritten& made, const CompileOptions& options, const Target& target) {
  const Model& model = made.model;
  const CompileReport& report = made.report;
  json::object manifest;
  manifest["incipit"] = std::string(version());
  manifest["version_tag"] = options.version_tag;
  manifest["architecture"] = model.architecture;
  if (!report.plain.empty()) manifest["plain_graph"] = report.plain;
  manifest["precision"] = options.precision;
  manifest["target"] = to_string(target);
  manifest["parameters"] = report.parameters;
  manifest["weight_bytes"] = report.weight_bytes;
  json::object shape;
  shape["vocabulary"] = model.vocabulary;
  shape["hidden"] = model.hidden;
  shape["layers"] = model.layers;
  shape["trained_context"] = model.max_position;
  manifest["model"] = shape;
  json::object flags;
  flags["max_context"] = options.max_context;
  flags["max_batch"] = options.max_batch;
  flags["memory"] = options.memory;
  flags["tuned"] = options.tune;
  flags["deterministic"] = options.deterministic;
  if (options.allow_non_finite) flags["allow_non_finite"] = true;
  json::array without;
  for (const std::string& pass : options.without) without.emplace_back(pass);
  flags["without"] = without;
  if (options.calibration && !options.calibration->made.empty()) flags["calibrated"] = options.calibration->made;
  if (!options.kept.empty()) {
    json::array kept;
    for (const KeptFormat& one : options.kept) kept.emplace_back(one.pattern + "=" + one.precision);
    flags["keep"] = kept;
  }
  if (options.cache) flags["kv_cache"] = std::string(name_of(*options.cache));
  manifest["flags"] = flags;
  json::array passes;
  for (const PassReport& pass : report.passes) {
    json::object entry;
    entry["name"] = std::string(pass.name);
    entry["nodes_before"] = pass.nodes_before;
    entry["nodes_after"] = pass.nodes_after;
    passes.push_back(entry);
  }
  manifest["passes"] = passes;
  json::array fallbacks;
  for (const PortableFallback& fallback : report.portable_fallbacks) {
    json::object entry;
    entry["kernel"] = fallback.kernel;
    entry["measured"] = fallback.measured;
    entry["steps"] = fallback.steps;
    entry["problem"] = fallback.problem;
    fallbacks.push_back(entry);
  }
  manifest["portable_fallbacks"] = fallbacks;
  json::array sources;
  for (const SourceFile& source : model.sources) {
    json::object entry;
    entry["name"] = source.name;
    entry["bytes"] = source.bytes;
    entry["digest"] = source.digest;
    sources.push_back(entry);
  }
  manifest["sources"] = sources;
  return json::serialize(manifest);
}

}  // namespace incipit
