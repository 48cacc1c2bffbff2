#include "jinja/jinja_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"
#include "jinja/interpreter.h"
#include "jinja/syntax.h"

namespace incipit {
namespace {

constexpr size_t largest_source = size_t{1} << 20;

/// How much there is in a template's variables.
struct InputSize {
  size_t values = 0, bytes = 0, longest = 0;  // of all texts, and of the longest list
};

void measure(const boost::json::value& json, InputSize& size);

void measure(const boost::json::object& object, InputSize& size) {
  for (const auto& [key, value] : object) {
    size.bytes += key.size();
    measure(value, size);
  }
}

void measure(const boost::json::value& json, InputSize& size) {
  ++size.values;
  if (json.is_string()) size.bytes += json.get_string().size();
  if (json.is_object()) measure(json.get_object(), size);
  if (!json.is_array()) return;
  size.longest = std::max(size.longest, json.get_array().size());
  for (const boost::json::value& item : json.get_array()) measure(item, size);
}

/// The limits for an input. A conversation may be looked through once for each of its messages, and all its text copied
/// as often.
TemplateLimits with_room_for(const InputSize& input, TemplateLimits limits) {
  constexpr int64_t most_steps = 2'000'000'000;   // about a minute
  constexpr size_t most_bytes = size_t{1} << 31;  // of a text: its size must fit in 32 bits
  const double longest = static_cast<double>(input.longest), bytes = static_cast<double>(input.bytes);
  const double steps = 256 * static_cast<double>(input.values) + 32 * longest * longest + bytes / 64 * (longest + 16);
  limits.steps +=
      static_cast<int64_t>(std::min(steps, static_cast<double>(std::max<int64_t>(0, most_steps - limits.steps))));
  limits.memory += 32 * input.bytes + 1024 * input.values;
  limits.string_bytes = std::max(limits.string_bytes, std::min(most_bytes, limits.string_bytes + 16 * input.bytes));
  limits.items += 4 * input.values;
  return limits;
}

jinja::Value value_of(jinja::Heap& heap, const boost::json::value& json);

jinja::Dict* dict_of(jinja::Heap& heap, const boost::json::object& object) {
  jinja::Dict* const dict = heap.make<jinja::Dict>(heap);
  for (const auto& [key, value] : object) {
    dict->set(heap, jinja::Value::string({key.data(), key.size()}), value_of(heap, value));
  }
  return dict;
}

/// Strings stay where they are: the variables outlive the rendering.
jinja::Value value_of(jinja::Heap& heap, const boost::json::value& json) {
  using jinja::Value;
  switch (json.kind()) {
    case boost::json::kind::null: return Value::none();
    case boost::json::kind::bool_: return Value::boolean(json.get_bool());
    case boost::json::kind::int64: return Value::integer(json.get_int64());
    case boost::json::kind::uint64:
      if (std::in_range<int64_t>(json.get_uint64())) return Value::integer(static_cast<int64_t>(json.get_uint64()));
      return Value::large_integer(heap.keep(std::to_string(json.get_uint64())));
    case boost::json::kind::double_: return Value::real(json.get_double());
    case boost::json::kind::string:
      heap.check_string(json.get_string().size());
      return Value::string({json.get_string().data(), json.get_string().size()});
    case boost::json::kind::array: {
      jinja::List* const list = heap.make<jinja::List>(heap);
      for (const boost::json::value& item : json.get_array()) list->add(heap, value_of(heap, item));
      return Value::list(list);
    }
    case boost::json::kind::object:
      if (const auto digits = large_integer(json)) return Value::large_integer(*digits);
      return Value::dict(dict_of(heap, json.get_object()));
  }
  return Value::none();
}

Error located(std::string_view name, int32_t line, const jinja::Fault& fault) {
  return Error(fmt::format("{}, line {}", name, line), fault.what());
}

}  // namespace

struct JinjaTemplate::State {
  std::string name, source;
  jinja::Body body;
};

JinjaTemplate::JinjaTemplate(std::string_view source, std::string_view name) {
  if (source.size() > largest_source) {
    throw Error(name, fmt::format("a template of {} bytes is too large", source.size()),
                fmt::format("give one of at most {} bytes", largest_source));
  }
  if (valid_utf8_prefix(source) != source.size()) throw Error(name, "the template is not UTF-8", "save it as UTF-8");
  try {
    state_ = std::make_unique<const State>(State{std::string(name), std::string(source), jinja::parse(source)});
  } catch (const jinja::SyntaxFault& fault) {
    throw located(name, fault.line(), fault);
  }
}

JinjaTemplate::~JinjaTemplate() = default;
JinjaTemplate::JinjaTemplate(JinjaTemplate&&) noexcept = default;
JinjaTemplate& JinjaTemplate::operator=(JinjaTemplate&&) noexcept = default;

bool JinjaTemplate::mentions(std::string_view word) const { return state_->source.find(word) != std::string::npos; }

std::string JinjaTemplate::render(const boost::json::object& variables, const TemplateOptions& options) const {
  InputSize size;
  measure(variables, size);
  jinja::Heap heap(with_room_for(size, options.limits));
  std::string text;
  int32_t line = 1;
  try {
    jinja::Interpreter interpreter(options, heap, dict_of(heap, variables));
    try {
      interpreter.run(state_->body, text);
    } catch (const jinja::Fault&) {
      line = interpreter.line();
      throw;
    }
  } catch (const jinja::Fault& fault) {
    throw located(state_->name, line, fault);
  }
  return text;
}

}  // namespace incipit
