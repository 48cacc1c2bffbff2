// Rendering a template's source, as tests of templates do it.
#pragma once

#include <boost/json.hpp>
#include <string>
#include <string_view>

#include "base/json.h"
#include "jinja/jinja_template.h"
#include "support/message_of.h"

namespace incipit {

inline boost::json::object json_object(std::string_view text) {
  return parse_json(text, "it", LargeIntegers::kept).get_object();
}

inline std::string_view view(const boost::json::value& value) {
  return {value.get_string().data(), value.get_string().size()};
}

inline std::string render(std::string_view source, const boost::json::object& variables = {},
                          const TemplateOptions& options = {}) {
  return JinjaTemplate(source, "template").render(variables, options);
}

inline std::string refusal(std::string_view source, const boost::json::object& variables = {},
                           const TemplateOptions& options = {}) {
  return message_of([&] { render(source, variables, options); });
}

}  // namespace incipit
