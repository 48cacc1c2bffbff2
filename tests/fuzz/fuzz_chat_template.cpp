// A chat template as foreign bytes: refused with an Error, or rendered within its limits.
#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "jinja/jinja_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const boost::json::object variables = boost::json::parse(R"({
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": " H\u00e9llo <b>\n"},
                     {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f",
                      "arguments": {"a": [1, -2.5, true, null], "b": {}}}}]}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {"type": "string"}}}}}],
        "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>", "n": 7, "x": 0.5, "s": "a,b c"})")
                                                   .get_object();
  incipit::TemplateOptions options;
  options.limits.steps = 50'000;
  options.limits.memory = size_t{16} << 20;
  options.limits.string_bytes = size_t{1} << 20;
  options.limits.items = 10'000;
  try {
    const incipit::JinjaTemplate chat({reinterpret_cast<const char*>(data), size}, "template");
    const std::string text = chat.render(variables, options);
    if (text.size() > options.limits.string_bytes) __builtin_trap();
  } catch (const incipit::Error&) {
  }
  return 0;
}
