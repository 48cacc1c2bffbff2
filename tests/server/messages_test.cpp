// What a chat template is given of a conversation: roles, calls of functions and their results.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scripted_server.h"
#include "support/shared_files.h"

namespace incipit {
namespace {

using boost::json::array;
using boost::json::object;
using testing::HasSubstr;

/// The text that a conversation is rendered to.
std::string rendered(const ScriptedServer& served, const array& messages) {
  const RawResponse response = served.ask("POST", "/tokenize", boost::json::serialize(object{{"messages", messages}}));
  if (response.status != 200) return "refused: " + response.body;
  const auto ids = boost::json::value_to<std::vector<int32_t>>(response.json().at("tokens"));
  return classics_tokenizer().decode(ids, false);
}

std::string rendered(const std::string& chat_template, const array& messages) {
  return rendered(ScriptedServer({}, true, chat_template), messages);
}

const object user{{"role", "user"}, {"content", "Hello"}};

array with_call(const char* arguments) {
  const object call{
      {"id", "call_1"}, {"type", "function"}, {"function", {{"name", "weather"}, {"arguments", arguments}}}};
  return {user,
          {{"role", "assistant"}, {"content", nullptr}, {"tool_calls", array{call}}, {"audio", nullptr}},
          {{"role", "tool"}, {"tool_call_id", "call_1"}, {"name", "weather"}, {"content", "sunny"}}};
}

TEST(Messages, ADevelopersAreTheSystemsWhereTheTemplateKnowsNoOther) {
  const array messages{{{"role", "developer"}, {"content", "Be brief."}}, user};
  EXPECT_THAT(rendered(ScriptedServer(), messages), HasSubstr("<|system|>\nBe brief.<|end|>"));
  const std::string any = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}";
  EXPECT_EQ(rendered(any, messages), "[system]Be brief.[user]Hello");
  EXPECT_EQ(rendered(any + "{# developer #}", messages), "[developer]Be brief.[user]Hello");
}

TEST(Messages, AToolsResultHasItsCallAndName) {
  const std::string chat =
      "{% for m in messages %}{% if m.role == 'tool' %}{{ m.tool_call_id }} {{ m.name }} {{ m.content }}"
      "{% endif %}{% endfor %}";
  EXPECT_EQ(rendered(chat, with_call("{}")), "call_1 weather sunny");
  // The bundled model's template knows no tools, and says so.
  EXPECT_THAT(rendered(ScriptedServer(), with_call("{}")), HasSubstr("Unknown role: tool"));
}

TEST(Messages, CallsComeInTheFormThatTheTemplateTakes) {
  const std::string begin =
      "{% for m in messages if m.tool_calls %}{% for c in m.tool_calls %}{{ c.id }} {{ c.type }} ";
  const std::string end = "{% endfor %}{% endfor %}";
  const std::string arguments = "c.function.arguments";
  const char* const city = R"({"city": "Ulm", "days": 3})";
  EXPECT_EQ(rendered(begin + "{{ " + arguments + " | tojson }}" + end, with_call(city)),
            R"(call_1 function {"city": "Ulm", "days": 3})");
  EXPECT_EQ(rendered(begin + "{{ " + arguments + ".days + 1 }}" + end, with_call(city)), "call_1 function 4");
  EXPECT_EQ(rendered(begin + "{{ 'f' + " + arguments + " }}" + end, with_call(city)),
            std::string("call_1 function f") + city);
  EXPECT_EQ(rendered(begin + "{{ m.content is none }}" + end, with_call("")), "call_1 function True");
  EXPECT_EQ(rendered(begin + "{{ m.content + 'x' }}" + end, with_call("")), "call_1 function x");
  // What a model has written badly is shown as it is.
  EXPECT_EQ(rendered(begin + "{{ " + arguments + " }}" + end, with_call("{city")), "call_1 function {city");
}

TEST(Messages, ReasoningHasBothItsNames) {
  const array messages{{{"role", "assistant"}, {"content", "x"}, {"reasoning", "because"}}};
  EXPECT_EQ(rendered("{{ messages[0].reasoning_content }} {{ messages[0].reasoning }}", messages), "because because");
}

TEST(Messages, PublishedTemplatesTakeCalls) {
  INCIPIT_SKIP_WITHOUT_SHARED("chat-templates/templates");
  array messages = with_call(R"({"city": "Ulm"})");
  const auto shows = [&](const char* name) {
    const std::string chat = read_text_file(shared_file("chat-templates/templates") / name);
    const std::string text = rendered(chat, messages);
    EXPECT_THAT(text, HasSubstr("sunny")) << name;
    EXPECT_THAT(text, HasSubstr("Ulm")) << name;
    EXPECT_THAT(text, testing::Not(HasSubstr("{'city'"))) << name;
  };
  shows("Qwen-Qwen2.5-7B-Instruct.jinja");
  shows("deepseek-ai-DeepSeek-R1-Distill-Llama-8B.jinja");
}

TEST(Messages, RefusesWhatIsNoCall) {
  const ScriptedServer served;
  const auto parameter_of = [&](const char* message) {
    const std::string body = fmt::format(R"({{"messages": [{}]}})", message);
    const RawResponse response = served.ask("POST", "/v1/chat/completions", body);
    EXPECT_EQ(response.status, 400) << message;
    return response.error_parameter();
  };
  EXPECT_EQ(parameter_of(R"({"role": "assistant", "tool_calls": 5})"), "messages[0].tool_calls");
  EXPECT_EQ(parameter_of(R"({"role": "assistant", "tool_calls": [5]})"), "messages[0].tool_calls[0]");
  EXPECT_EQ(parameter_of(R"({"role": "assistant", "tool_calls": [{"type": "function"}]})"),
            "messages[0].tool_calls[0]");
  EXPECT_EQ(parameter_of(R"({"role": "assistant", "tool_calls": [{"type": "custom", "function": {}}]})"),
            "messages[0].tool_calls[0]");
  EXPECT_EQ(parameter_of(R"({"role": "assistant", "tool_calls": [{"function": {"name": 1}}]})"),
            "messages[0].tool_calls[0].function.name");
  EXPECT_EQ(parameter_of(R"({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]})"),
            "messages[0].tool_calls[0].function.arguments");
  EXPECT_EQ(parameter_of(R"({"role": "tool", "content": "x", "tool_call_id": 7})"), "messages[0].tool_call_id");
  EXPECT_EQ(parameter_of(R"({"role": "assistant", "tool_calls": []})"), "messages[0].content");
  EXPECT_EQ(parameter_of(R"({"role": 5, "content": "x"})"), "messages[0].role");
  EXPECT_EQ(served.source->requests(), 0U);
}

}  // namespace
}  // namespace incipit
