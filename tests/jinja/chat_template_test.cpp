// Chat templates, against what Jinja itself makes of them.
#include "jinja/jinja_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <random>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "rendering.h"
#include "support/message_of.h"
#include "support/sanitized.h"
#include "support/shared_files.h"

namespace incipit {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

/// 26 July 2026, 13:05:09.007890.
TemplateOptions at_noon() {
  TemplateOptions options;
  std::tm moment{};
  moment.tm_year = 126;
  moment.tm_mon = 6;
  moment.tm_mday = 26;
  moment.tm_wday = 0;
  moment.tm_hour = 13;
  moment.tm_min = 5;
  moment.tm_sec = 9;
  options.now = {moment, 7890};
  return options;
}

void expect_what_jinja_makes(TemplateOptions options) {
  const auto document = json_object(read_text_file(fixtures() / "text" / "template_cases.json"));
  const auto& context = document.at("context").get_object();
  const auto& cases = document.at("cases").get_array();
  ASSERT_GT(cases.size(), 250U);
  for (const auto& one : cases) {
    SCOPED_TRACE(view(one.at("template")));
    const auto* text = one.as_object().if_contains("text");
    try {
      const std::string rendered = render(view(one.at("template")), context, options);
      if (text == nullptr) {
        ADD_FAILURE() << "Jinja refuses it; rendered: " << rendered;
      } else {
        EXPECT_EQ(rendered, view(*text));
      }
    } catch (const Error& error) {
      EXPECT_EQ(text, nullptr) << error.what();
      EXPECT_THAT(error.what(), StartsWith("template, line "));
    }
  }
}

TEST(JinjaTemplate, DoesWhatJinjaDoes) { expect_what_jinja_makes(at_noon()); }

TEST(JinjaTemplate, DoesTheSameWhenWhatIsNotInUseIsFreedAtOnce) {
  TemplateOptions options = at_noon();
  options.limits.collect_after = 0;
  expect_what_jinja_makes(options);
}

TEST(JinjaTemplate, RendersTheBundledModelsConversation) {
  const JinjaTemplate chat(read_text_file(source_directory() / "models" / "classics-16m" / "chat_template.jinja"),
                           "it");
  const auto golden = boost::json::parse(read_text_file(fixtures() / "classics-16m-golden" / "golden.json"));
  bool found = false;
  for (const auto& entry : golden.get_array()) {
    if (!entry.as_object().contains("chat")) continue;
    found = true;
    boost::json::object variables{
        {"messages", entry.at("chat")}, {"add_generation_prompt", true}, {"bos_token", "<|begin|>"}};
    EXPECT_EQ(chat.render(variables), view(entry.at("rendered")));
  }
  EXPECT_TRUE(found);
}

/// A conversation of one system message and more, with the system message in front of the first user message.
boost::json::array with_merged_system(const boost::json::array& messages) {
  boost::json::array merged(messages.begin() + 1, messages.end());
  merged[0].as_object()["content"] =
      std::string(view(messages[0].at("content"))) + "\n" + std::string(view(messages[1].at("content")));
  return merged;
}

/// Without the tokens that a tokenizer would put around it once more.
std::string_view without_ends(std::string_view text, std::string_view begin, std::string_view end) {
  if (!begin.empty() && text.starts_with(begin)) text.remove_prefix(begin.size());
  if (!end.empty() && text.ends_with(end)) text.remove_suffix(end.size());
  return text;
}

TEST(JinjaTemplate, RendersPublishedTemplates) {
  INCIPIT_SKIP_WITHOUT_SHARED("chat-templates/test_chat_template_cases.json");
  const auto document = json_object(read_text_file(shared_file("chat-templates/test_chat_template_cases.json")));
  const auto& messages = document.at("messages").get_array();
  const std::string_view system = view(messages[0].at("content"));
  const auto& cases = document.at("cases").get_array();
  EXPECT_EQ(cases.size(), 30U);
  for (const auto& one : cases) {
    const auto& fields = one.as_object();
    const auto field = [&](const char* name) {
      const auto* value = fields.if_contains(name);
      return value == nullptr || !value->is_string() ? std::string() : std::string(view(*value));
    };
    SCOPED_TRACE(field("name"));
    const JinjaTemplate chat(field("template_str"), "template");
    boost::json::object variables{{"messages", messages},
                                  {"add_generation_prompt", true},
                                  {"bos_token", fields.contains("supported_with_jinja") ? "<s>" : field("bos_token")},
                                  {"eos_token", field("eos_token")},
                                  // Of GigaChat, whose expectation holds its begin token too.
                                  {"additional_special_tokens", {"<|role_sep|>", "<|message_sep|>", "[", "]"}}};
    // The expectations are llama.cpp's, which gives a system message to templates that have none by way of the user,
    // and leaves out the begin and end tokens that its tokenizer adds.
    std::string rendered;
    try {
      rendered = chat.render(variables);
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("refuses"));
    }
    if (rendered.find(system) == std::string::npos) {
      variables["messages"] = with_merged_system(messages);
      rendered = chat.render(variables);
    }
    const std::string_view text = without_ends(rendered, field("bos_token"), field("eos_token"));
    EXPECT_THAT((std::vector<std::string>{field("expected_output"), field("expected_output_jinja")}),
                testing::AnyOf(testing::Contains(text), testing::Contains(rendered)));
  }
}

TEST(JinjaTemplate, RendersPublishedTemplatesWithTools) {
  INCIPIT_SKIP_WITHOUT_SHARED("chat-templates/templates");
  const auto variables = json_object(R"({
    "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": true, "functions": "[]", "datetime": "now",
    "tools": [{"type": "function", "function": {"name": "get_weather", "description": "The weather of a city",
      "parameters": {"type": "object", "required": ["city"], "properties": {
        "city": {"type": "string", "description": "Which"}, "days": {"type": "integer", "description": "How many"}}}}}],
    "messages": [
      {"role": "user", "content": "What is the weather?"},
      {"role": "assistant", "content": "", "tool_calls": [{"id": "abcdef123", "type": "function",
        "function": {"name": "get_weather", "arguments": {"city": "Zürich", "days": 3}}}]},
      {"role": "tool", "tool_call_id": "abcdef123", "name": "get_weather", "content": "sunny"},
      {"role": "assistant", "content": "It is sunny."},
      {"role": "user", "content": "Thanks"}]})");
  // What these templates put between JSON and text is a text itself, as the models of their makers were given it.
  boost::json::object with_text = variables;
  auto& called = with_text["messages"].as_array()[1].at("tool_calls").as_array()[0].at("function").as_object();
  called["arguments"] = boost::json::serialize(called["arguments"]);
  boost::json::object plain = variables;
  auto& turns = plain["messages"].as_array();
  turns.erase(turns.begin() + 1, turns.begin() + 3);
  int with_tools = 0;
  std::string refusals;
  for (const auto& entry : std::filesystem::directory_iterator(shared_file("chat-templates/templates"))) {
    if (entry.path().extension() != ".jinja") continue;
    SCOPED_TRACE(entry.path().filename().string());
    const JinjaTemplate chat(read_text_file(entry.path()), "template");
    const auto renders = [&](const boost::json::object& with) {
      try {
        return chat.render(with).find("Thanks") != std::string::npos;
      } catch (const Error& error) {
        refusals += entry.path().filename().string() + ": " + error.what() + "\n";
        return false;
      }
    };
    if (renders(variables) || renders(with_text)) {
      ++with_tools;
    } else {
      EXPECT_TRUE(renders(plain)) << "tools are not for it, but this is";
    }
  }
  EXPECT_GE(with_tools, 16) << refusals;
}

TEST(JinjaTemplate, NamesTheLineAndTheFault) {
  EXPECT_EQ(refusal("a\n{{ x.y }}"), "template, line 2: 'x' is undefined");
  EXPECT_EQ(refusal("{% if 1 %}\n\n{{ raise_exception('No\nsystem role') }}{% endif %}"),
            "template, line 3: the template refuses: No system role");
  EXPECT_EQ(refusal("\n{% for %}"), "template, line 2: unexpected '%}'");
  EXPECT_EQ(refusal("{% if x %}\n"), "template, line 1: 'if' has no 'endif'");
  EXPECT_EQ(refusal("{{ 1 | brew }}"), "template, line 1: No filter named 'brew'.");
  EXPECT_EQ(refusal("{% include 'x' %}"), "template, line 1: 'include' needs another template, and there is none");
  EXPECT_EQ(refusal("{{ 9223372036854775807 + 1 }}"), "template, line 1: an integer is beyond 64 bits");
  EXPECT_THAT(refusal("\xff"), HasSubstr("not UTF-8"));
}

TEST(JinjaTemplate, ReadsVariablesOfEveryKind) {
  EXPECT_EQ(render("{{ a }}", json_object(R"({"a": [1, -2, 1.0, 1e5, "x", null, true, {"k": []}]})")),
            "[1, -2, 1.0, 100000.0, 'x', None, True, {'k': []}]");
  EXPECT_THAT(refusal("{{ a + 1 }}", json_object(R"({"a": 18446744073709551615})")), HasSubstr("64 bits"));
}

// Transformers refuses the two things below; some published templates were written for renderers that do not.
TEST(JinjaTemplate, GeneratorsAreListsInJson) {
  EXPECT_EQ(render("{{ [1, 2, 3] | select('odd') | tojson }}"), "[1, 3]");
}

TEST(JinjaTemplate, ListsAndDictsCanBeChanged) {
  EXPECT_EQ(
      render("{% set a = [] %}{% for i in [1, 2] %}{% set _ = a.append(i) %}{% endfor %}{{ a }}{{ a.pop() }}{{ a }}"),
      "[1, 2]2[1]");
  EXPECT_EQ(render("{% set d = {} %}{% set _ = d.update({'a': 1}, b=2) %}{{ d }}{{ d.pop('a') }}{{ d.setdefault('c', "
                   "3) }}{{ d }}"),
            "{'a': 1, 'b': 2}13{'b': 2, 'c': 3}");
  EXPECT_EQ(render("{% set a = [1] %}{% set _ = a.extend((2, 3)) %}{% set _ = a.insert(0, 0) %}{% set _ = a.remove(2) "
                   "%}{{ a }}"),
            "[0, 1, 3]");
}

TEST(JinjaTemplate, LargeDictsFindTheirKeys) {
  EXPECT_EQ(render("{% set d = {} %}{% for i in range(1000) %}{% set _ = d.update({i: i * i}) %}{% endfor %}"
                   "{% for i in range(990) %}{% set _ = d.pop(i) %}{% endfor %}{% set _ = d.update({5: 1}) %}"
                   "{{ d[999] }} {{ d[5] }} {{ d.get(7) }} {{ d | length }}"),
            "998001 1 None 11");
}

}  // namespace
}  // namespace incipit
