#include "engine/differences.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstring>
#include <map>
#include <optional>
#include <set>

#include "base/digest.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/readable.h"
#include "base/target.h"
#include "engine/engine.h"
#include "engine/plan_items.h"

namespace incipit {
namespace {

namespace json = boost::json;

/// Names and what people read of them.
using Facts = std::map<std::string, std::string>;

std::string readable(uint64_t bytes) { return readable_bytes(static_cast<double>(bytes)); }

std::string readable(const json::value& value) {
  return value.is_string() ? std::string(value.get_string()) : json::serialize(value);
}

json::object manifest_of(const Engine& engine) {
  json::value parsed = parse_json(engine.manifest(), engine.path().string() + ": manifest");
  return parsed.is_object() ? std::move(parsed.get_object()) : json::object();
}

/// Members of a list in the manifest, by name, each as `describe` says.
Facts list_of(const json::object& manifest, std::string_view list, std::string (*describe)(const json::object&)) {
  Facts facts;
  const json::value* value = manifest.if_contains(list);
  if (value == nullptr || !value->is_array()) return facts;
  for (const json::value& entry : value->get_array()) {
    if (const json::object* one = entry.if_object(); one != nullptr && one->contains("name")) {
      facts[readable(one->at("name"))] = describe(*one);
    }
  }
  return facts;
}

std::string member(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value == nullptr ? "" : readable(*value);
}

Facts sources_of(const json::object& manifest) {
  return list_of(manifest, "sources", [](const json::object& source) {
    return fmt::format("{} bytes, digest {}", member(source, "bytes"), member(source, "digest"));
  });
}

Facts passes_of(const json::object& manifest) {
  return list_of(manifest, "passes", [](const json::object& pass) {
    return fmt::format("{} nodes, then {}", member(pass, "nodes_before"), member(pass, "nodes_after"));
  });
}

/// What was asked for, and what the model is.
Facts options_of(const Engine& engine, const json::object& manifest) {
  Facts facts;
  for (const char* name : {"incipit", "version_tag", "architecture", "plain_graph", "precision", "parameters"}) {
    facts[name] = member(manifest, name);
  }
  facts["target"] = to_string(engine.target());
  for (const char* group : {"flags", "model"}) {
    const json::value* value = manifest.if_contains(group);
    if (value == nullptr || !value->is_object()) continue;
    for (const auto& [name, one] : value->get_object()) facts[name] = readable(one);
  }
  return facts;
}

Facts sizes_of(const Engine& engine) {
  const plan::Plan& plan = engine.plan();
  Facts facts{{"engine", readable(engine.header().body_bytes)},
              {"weights", readable(engine.weights().size())},
              {"tokenizer", readable(engine.tokenizer().size())},
              {"device code", readable(engine.section(SectionKind::device_code).size())},
              {"steps", std::to_string(count(plan.steps()))},
              {"buckets", std::to_string(count(plan.buckets()))}};
  if (count(plan.buckets()) > 0 && plan.graph() == nullptr) {
    facts["arena"] = readable(plan.buckets()->Get(count(plan.buckets()) - 1)->arena_bytes());
  }
  uint64_t a_token = 0;
  for (const plan::CacheGroup* group : items(plan.groups())) {
    if (group->page_tokens() > 0) a_token += group->page_bytes() / group->page_tokens();
  }
  facts["cache a token"] = readable(a_token);
  return facts;
}

/// The first line in which two texts differ.
std::pair<std::string, std::string> first_lines(std::string_view a, std::string_view b) {
  const auto [left, right] = std::ranges::mismatch(a, b);
  const auto line_at = [](std::string_view text, size_t at) {
    if (text.empty()) return std::string();
    const size_t begin = at == 0 ? 0 : text.rfind('\n', at - 1) + 1;  // npos + 1 is 0
    const auto number = std::ranges::count(text.substr(0, begin), '\n') + 1;
    return fmt::format("line {}: {}", number, text.substr(begin, text.find('\n', begin) - begin));
  };
  return {line_at(a, static_cast<size_t>(left - a.begin())), line_at(b, static_cast<size_t>(right - b.begin()))};
}

struct Form {
  const plan::Weight* weight;
  std::string text;
};

std::map<std::string, Form> weights_of(const Engine& engine) {
  std::map<std::string, Form> weights;
  for (const plan::Weight* weight : items(engine.plan().weights())) {
    uint64_t bytes = 0;
    for (const plan::Plane* plane : items(weight->planes())) bytes += plane->bytes();
    weights[std::string(text(weight->name()))] = {
        weight, fmt::format("{} × {} in {}, {}, {}", weight->rows(), weight->columns(), text(weight->format()),
                            text(weight->layout()), readable(bytes))};
  }
  return weights;
}

/// The plane of the first bytes that are not the same, of two weights of one form.
std::optional<std::string> changed_plane(const Engine& a, const plan::Weight& left, const Engine& b,
                                         const plan::Weight& right) {
  if (count(left.planes()) != count(right.planes())) return "its planes";
  for (uint32_t i = 0; i < count(left.planes()); ++i) {
    check_interrupt();
    const plan::Plane &one = *left.planes()->Get(i), &other = *right.planes()->Get(i);
    if (one.bytes() != other.bytes() ||
        std::memcmp(a.body().data() + one.offset(), b.body().data() + other.offset(), one.bytes()) != 0) {
      return plan::EnumNamePlaneRole(one.role());
    }
  }
  return std::nullopt;
}

std::string kernels_of(const plan::Step& step) {
  std::string kernels;
  for (const plan::KernelUse* use : items(step.kernels())) {
    const std::string what = text(use->kernel()).empty()
                                 ? "nothing, as readers make it,"
                                 : fmt::format("{} {}", text(use->kernel()), text(use->config()));
    kernels += fmt::format("{}{} up to {} rows", kernels.empty() ? "" : ", ", what, use->rows());
  }
  return kernels;
}

class Comparison {
 public:
  Comparison(const Engine& a, const Engine& b) : a_(a), b_(b) {}

  std::vector<Difference> take() {
    const json::object manifest_a = manifest_of(a_), manifest_b = manifest_of(b_);
    compare("sources", sources_of(manifest_a), sources_of(manifest_b));
    compare("options", options_of(a_, manifest_a), options_of(b_, manifest_b));
    compare("passes", passes_of(manifest_a), passes_of(manifest_b));
    compare_texts();
    compare("sizes", sizes_of(a_), sizes_of(b_));
    compare_weights();
    compare_kernels();
    compare_baselines();
    return std::move(found_);
  }

 private:
  void add(std::string_view area, std::string name, std::string a, std::string b) {
    found_.push_back({std::string(area), std::move(name), std::move(a), std::move(b)});
  }

  void compare(std::string_view area, const Facts& a, const Facts& b) {
    std::set<std::string> names;
    for (const Facts* facts : {&a, &b}) {
      for (const auto& [name, value] : *facts) names.insert(name);
    }
    for (const std::string& name : names) {
      const auto left = a.find(name), right = b.find(name);
      std::string of_a = left == a.end() ? "" : left->second, of_b = right == b.end() ? "" : right->second;
      if (of_a != of_b) add(area, name, std::move(of_a), std::move(of_b));
    }
  }

  void compare_texts() {
    if (a_.chat_template() != b_.chat_template()) {
      auto [left, right] = first_lines(a_.chat_template(), b_.chat_template());
      add("texts", "chat template", std::move(left), std::move(right));
    }
    if (a_.generation_defaults() != b_.generation_defaults()) {
      add("texts", "generation defaults", std::string(a_.generation_defaults()), std::string(b_.generation_defaults()));
    }
    if (!std::ranges::equal(a_.tokenizer(), b_.tokenizer())) {
      add("texts", "tokenizer", digest_of(a_.tokenizer()).hex(), digest_of(b_.tokenizer()).hex());
    }
  }

  void compare_weights() {
    const auto a = weights_of(a_), b = weights_of(b_);
    for (const auto& [name, left] : a) {
      const auto right = b.find(name);
      if (right == b.end()) {
        add("weights", name, left.text, "");
      } else if (left.text != right->second.text) {
        add("weights", name, left.text, right->second.text);
      } else if (const auto plane = changed_plane(a_, *left.weight, b_, *right->second.weight)) {
        add("weights", name, left.text, "the same form, other bytes in " + *plane);
      }
    }
    for (const auto& [name, right] : b) {
      if (!a.contains(name)) add("weights", name, "", right.text);
    }
  }

  void compare_kernels() {
    using Change = std::pair<std::string, std::string>;
    std::map<std::string, std::string> kernels;
    for (const plan::Step* step : items(a_.plan().steps()))
      kernels[std::string(text(step->name()))] = kernels_of(*step);
    std::vector<std::pair<Change, std::vector<std::string>>> changes;
    const auto note = [&](const std::string& name, Change change) {
      auto same = std::ranges::find(changes, change, [](const auto& one) { return one.first; });
      if (same == changes.end()) {
        changes.emplace_back(std::move(change), std::vector<std::string>{name});
      } else {
        same->second.push_back(name);
      }
    };
    for (const plan::Step* step : items(b_.plan().steps())) {
      const std::string name(text(step->name()));
      const auto left = kernels.extract(name);
      std::string of_a = left.empty() ? "" : left.mapped(), of_b = kernels_of(*step);
      if (of_a != of_b) note(name, {std::move(of_a), std::move(of_b)});
    }
    for (auto& [name, of_a] : kernels) note(name, {of_a, ""});
    for (auto& [change, steps] : changes) {
      const std::string more = steps.size() == 1 ? "" : fmt::format(" and {} more", steps.size() - 1);
      add("kernels", steps.front() + more, change.first, change.second);
    }
  }

  static json::object last_baseline(const Engine& engine) {
    for (auto record = engine.trailer().rbegin(); record != engine.trailer().rend(); ++record) {
      if (record->kind != TrailerKind::baseline) continue;
      json::value parsed = parse_json(record->json, engine.path().string() + ": baseline");
      if (parsed.is_object()) return std::move(parsed.get_object());
    }
    return {};
  }

  static std::map<std::string, double> times_of(const json::object& baseline) {
    std::map<std::string, double> times;
    const json::value* results = baseline.if_contains("results");
    if (results == nullptr || !results->is_array()) return times;
    for (const json::value& entry : results->get_array()) {
      const json::object* one = entry.if_object();
      if (one == nullptr) continue;
      const json::value* time = one->if_contains("ms_median");
      if (time == nullptr || !time->is_number()) continue;
      std::string name = fmt::format("{} {}", member(*one, "kind"), member(*one, "tokens"));
      if (one->contains("context")) name += " after " + member(*one, "context");
      if (one->contains("sequences")) name += fmt::format(", {} at once", member(*one, "sequences"));
      times[std::move(name)] = time->to_number<double>();
    }
    return times;
  }

  void compare_baselines() {
    const json::object a = last_baseline(a_), b = last_baseline(b_);
    if (a.empty() && b.empty()) return;
    const auto measured_on = [](const json::object& baseline) {
      return baseline.empty()
                 ? std::string()
                 : fmt::format("{} threads on {}", member(baseline, "threads"), member(baseline, "machine"));
    };
    if (measured_on(a) != measured_on(b)) return add("baselines", "measured on", measured_on(a), measured_on(b));
    const std::map<std::string, double> times_a = times_of(a), times_b = times_of(b);
    for (const auto& [name, ms] : times_a) {
      const auto other = times_b.find(name);
      if (other == times_b.end()) continue;
      add("baselines", name, fmt::format("{:.3f} ms", ms),
          fmt::format("{:.3f} ms, {:.2f} times as long", other->second, other->second / ms));
    }
  }

  const Engine &a_, &b_;
  std::vector<Difference> found_;
};

}  // namespace

std::vector<Difference> differences(const Engine& a, const Engine& b) { return Comparison(a, b).take(); }

}  // namespace incipit
