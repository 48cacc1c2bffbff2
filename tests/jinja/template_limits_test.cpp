// Templates and inputs that ask for too much: all end in one line, soon, and in little memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <random>

#include "base/error.h"
#include "base/file.h"
#include "rendering.h"
#include "support/sanitized.h"
#include "support/shared_files.h"

namespace incipit {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

/// What a hostile template does must end in one line, soon, and in little memory.
void expect_bounded(const std::string& source) {
  SCOPED_TRACE(source);
  const auto begun = std::chrono::steady_clock::now();
  const std::string message = refusal(source);
  EXPECT_THAT(message, StartsWith("template, line "));
  EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 0);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(20));
}

TEST(JinjaTemplate, EndsWhateverATemplateDoes) {
  for (const char* source : {
           "{{ 'x' * 1000000000 }}",
           "{{ [0] * 1000000000 }}",
           "{{ 'x' * 9223372036854775807 }}",
           "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
           "{% for i in range(100000) %}{% for j in range(100000) %}xxxxxxxxxxxxxxxxxxxx{% endfor %}{% endfor %}",
           "{% set ns = namespace(s='ab') %}{% for i in range(100) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
           "{% set ns = namespace(s=[1]) %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
           "{% set ns = namespace(s=[1]) %}{% for i in range(100) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s "
           "}}",
           "{% set ns = namespace(s=[1]) %}{% for i in range(90) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}"
           "{{ ns.s | tojson | length }}",
           "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(90) %}{% set ns.a = [ns.a, ns.a] %}"
           "{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}",
           "{% set ns = namespace(s=(1,)) %}{% for i in range(90) %}{% set ns.s = (ns.s, ns.s) %}{% endfor %}{{ {ns.s: "
           "1} }}",
           "{% set ns = namespace(s=[1]) %}{% for i in range(100000) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s }}",
           "{% set a = [] %}{% set _ = a.append(a) %}{{ a }}",
           "{% set a = [] %}{% set _ = a.append(a) %}{{ a == [a] }}{{ [a] == a }}{{ a | tojson }}",
           "{% set d = {} %}{% set _ = d.update(d=d) %}{{ d | tojson }}",
           "{% set a = [1] %}{% for i in a %}{% set _ = a.append(i) %}{% endfor %}",
           "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
           "{% macro m(n) %}{{ m(n + 1) }}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
           "{% macro m(n) %}{% if n %}{{ m(n - 1) ~ m(n - 1) }}{% else %}xxxxxxxxxxxxxxxx{% endif %}{% endmacro %}{{ "
           "m(28) }}",
           "{% macro a() %}{{ caller() }}{% endmacro %}{% macro b() %}{% call a() %}{{ b() }}{% endcall %}{% endmacro "
           "%}{{ b() }}",
           "{% for i in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}",
           "{{ range(100000000) | list }}",
           "{{ '%1000000000d' % 5 }}",
           "{{ '{:>1000000000}'.format(5) }}",
           "{{ 'x'.center(1000000000) }}{{ 'x'.ljust(99999999999) }}",
           "{{ 'x' | indent(1000000000, true) }}",
           "{{ [[]] | tojson(indent=1000000000) }}",
           "{% set s = 'a' * 4000000 %}{% for i in range(1000) %}{% set x = s.split('a') %}{% endfor %}",
           "{% set s = 'a' * 4000000 %}{% for i in range(100000) %}{{ s[::-1] }}{% endfor %}",
           "{% set s = 'a' * 10000000 %}{% for i in range(100000) %}{% if 'b' in s %}{% endif %}{% endfor %}",
           "{% set s = 'a' * 10000000 %}{% for i in range(100000) %}{% set t = s | upper %}{% endfor %}",
           "{{ 'ab'.replace('', 'x' * 1000000).replace('x', 'y' * 1000000) }}",
           "{{ 2 ** 64 }}",
           "{{ -9223372036854775807 - 2 }}",
           "{{ 2 ** 9223372036854775807 }}",
           "{{ strftime_now('%c' * 100000) }}",
           "{{ 1 | batch(1, 2) }}",
           "{{ [1] | batch(9223372036854775807, 0) | list }}",
           "{{ [1] | slice(9223372036854775807) | list }}",
           "{{ ((((('x' * 16000000) ~ 'y') * 1)) ~ ('x' * 16000000)) }}",
           "{{ range(-9223372036854775807, 9223372036854775807) }}",
       }) {
    expect_bounded(source);
  }
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  EXPECT_LT(usage.ru_maxrss, 1'500'000) << "kB at the most, sanitizers' own included";
}

TEST(JinjaTemplate, RefusesDeepNestingBeforeItsStackEnds) {
  const auto repeated = [](const std::string& text, int times) {
    std::string result;
    for (int i = 0; i < times; ++i) result += text;
    return result;
  };
  for (const std::string& source :
       {"{{ " + repeated("(", 100000) + "1" + repeated(")", 100000) + " }}", "{{ " + repeated("[", 100000),
        "{{ " + repeated("-", 100000) + "1 }}", "{{ " + repeated("not ", 100000) + "1 }}",
        "{{ 1" + repeated(" + 1", 100000) + " }}", "{{ x" + repeated(".a", 100000) + " }}",
        "{{ 1" + repeated("|abs", 100000) + " }}", repeated("{% if 1 %}", 100000), repeated("{% for i in x %}", 60000),
        "{{ 1 " + repeated("if 1 else 1 ", 50000) + " }}", "{{ f" + repeated("(1)", 100000) + " }}",
        "{% set " + repeated("(", 100000) + "a"}) {
    const std::string message = refusal(source);
    EXPECT_THAT(message, StartsWith("template, line 1: ")) << source.substr(0, 30);
  }
  EXPECT_EQ(render("{{ " + repeated("(", 60) + "1" + repeated(")", 60) + repeated(" + 1", 100) + " }}"), "101");
  EXPECT_EQ(render("{% macro m(n) %}{% if n %}{{ m(n - 1) }}{% endif %}{{ n }}{% endmacro %}{{ m(40) }}").substr(0, 5),
            "01234");
}

TEST(JinjaTemplate, KeepsToTheLimitsItIsGiven) {
  TemplateOptions small;
  small.limits.steps = 100;
  EXPECT_THAT(refusal("{% for i in range(1000) %}{% endfor %}", {}, small), HasSubstr("100 steps"));
  small = {};
  small.limits.string_bytes = 10;
  EXPECT_THAT(refusal("123456{{ 7 }}89012", {}, small), HasSubstr("longer"));
  small = {};
  small.limits.items = 5;
  EXPECT_THAT(refusal("{{ [1, 2, 3] + [4, 5, 6] }}", {}, small), HasSubstr("5 items"));
  small = {};
  small.limits.memory = 1 << 20;
  EXPECT_THAT(
      refusal("{% set a = [] %}{% for i in range(1000) %}{% set _ = a.append('x' * 2000) %}{% endfor %}", {}, small),
      HasSubstr("1 MiB"));
  EXPECT_THAT(refusal("{% for i in range(1000) %}{{ 'x' * 2000 }}{% endfor %}", {}, small), HasSubstr("1 MiB"));
}

// Dead values cost nothing: of all this no more than a few kB is in use at a time.
TEST(JinjaTemplate, CountsWhatIsInUse) {
  TemplateOptions small;
  small.limits.memory = 1 << 20;
  for (const char* source : {
           "{% for i in range(2000) %}{% set a = 'x' * 2000 %}{% endfor %}{{ a is defined }}",
           "{% for i in range(2000) %}{% set a = [i] * 100 %}{% set b = {i: a} %}{% endfor %}{{ b is defined }}",
           "{% macro m(x) %}{{ x * 2000 }}{% endmacro %}{% for i in range(2000) %}{% set a = m('x') %}{% endfor %}"
           "{{ a is defined }}",
           "{% for i in range(2000) %}{% set a %}{{ 'x' * 2000 }}{% endset %}{% endfor %}{{ a is defined }}",
           "{% for i in range(2000) %}{% for j in ['x' * 2000, i] %}{% endfor %}{% endfor %}{{ j is defined }}",
           "{% for i in range(20) %}{% for j in range(100) recursive %}{% set a = 'x' * 2000 %}{% endfor %}{% endfor %}"
           "{{ a is defined }}",
       }) {
    EXPECT_EQ(render(source, {}, small), "False") << source;
  }
  EXPECT_EQ(
      render("{% set ns = namespace(all=[], one='') %}{% for i in range(300) %}{% set ns.all = ns.all + [i ~ '!'] %}"
             "{% set ns.one = ns.one ~ i %}{% set ns.last = 'y' * 5000 %}{% endfor %}"
             "{{ ns.all[299] }} {{ ns.all | length }} {{ ns.one | length }} {{ ns.last | length }}",
             {}, small),
      "299! 300 790 5000");
}

boost::json::object conversation(int64_t rounds, size_t bytes) {
  boost::json::array messages;
  for (int64_t i = 0; i < rounds; ++i) {
    messages.push_back({{"role", "user"}, {"content", std::string(bytes, 'u')}});
    messages.push_back({{"role", "assistant"},
                        {"content", std::string(bytes, 'a')},
                        {"tool_calls", {{{"function", {{"name", "f"}, {"arguments", {{"x", i}}}}}}}}});
    messages.push_back({{"role", "tool"}, {"content", std::string(bytes, 't')}});
  }
  return {{"messages", messages}};
}

// What published templates do with long conversations.
TEST(JinjaTemplate, LongConversationsHaveTheRoomTheyNeed) {
  constexpr int64_t rounds = sanitized ? 300 : 830;
  const boost::json::object long_one = conversation(rounds, 400);
  const auto size_with = [&](std::string_view source) { return render(source, long_one).size(); };
  for (const char* source : {
           "{% set ns = namespace(o='') %}{% for m in messages %}{% set ns.o = ns.o ~ m.content %}{% endfor %}{{ ns.o "
           "}}",
           "{% set ns = namespace(o='') %}{% for m in messages %}{% set ns.o = ns.o + m.content %}{% endfor %}{{ ns.o "
           "}}",
           "{% set ns = namespace(o='') %}{% for m in messages %}{% set ns.o = m.content ~ ns.o %}{% endfor %}{{ ns.o "
           "}}",
           "{% set ns = namespace(o='') %}{% for m in messages %}{% set o %}{{ ns.o }}{{ m.content }}{% endset %}"
           "{% set ns.o = o %}{% endfor %}{{ ns.o }}",
           // DeepSeek V3.2: each result looks for its call from the end of what is before it.
           "{% for m in messages %}{% if m.role == 'tool' %}{% set last = namespace(value=-1) %}{% set at = "
           "loop.index0 %}"
           "{% for i in range(at - 1, -1, -1) %}{% if messages[i].role != 'tool' and last.value == -1 %}"
           "{% set last.value = i %}{% endif %}{% endfor %}{% endif %}{{ m.content }}{% endfor %}",
           // Command R7B and Gemma 4: a message is judged by all that come after it.
           "{% for m in messages %}{% set ns = namespace(found=false) %}{% for n in messages[loop.index:] %}"
           "{% if n.role == 'user' and not ns.found %}{% set ns.found = true %}{% endif %}{% endfor %}{{ m.content }}"
           "{% endfor %}",
           "{% set ns = namespace(kept=[]) %}{% for m in messages %}{% set ns.kept = ns.kept + [m] %}"
           "{% set _ = messages | selectattr('role', 'equalto', 'tool') | list | length %}{% endfor %}"
           "{% for m in ns.kept %}{{ m.content }}{% endfor %}",
       }) {
    EXPECT_EQ(size_with(source), size_t{3 * 400 * rounds}) << source;
  }
  // More than the texts that a template may make of nothing.
  EXPECT_EQ(render("{% for m in messages %}{{ m.content }}{% endfor %}", conversation(2, 10'000'000)).size(),
            60'000'000U);
}

TEST(JinjaTemplate, EndsWhateverATemplateDoesWithAnInput) {
  const boost::json::object input = conversation(100, 1000);
  for (const char* source : {
           "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
           "{% set ns = namespace(s=messages[0].content) %}{% for i in range(100) %}{% set ns.s = ns.s ~ ns.s %}"
           "{% endfor %}",
           "{% set ns = namespace(s=messages) %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
           "{% set a = [] %}{% for i in range(100000) %}{% set _ = a.append(messages[0].content * 2) %}"
           "{% set b = 'x' * 1000 %}{% endfor %}{% for i in range(100000) %}{% set b = 'x' * 1000 %}{% endfor %}",
           "{% for i in range(100000) %}{% for m in messages %}{{ m.content }}{% endfor %}{% endfor %}",
       }) {
    SCOPED_TRACE(source);
    EXPECT_THAT(refusal(source, input), StartsWith("template, line "));
  }
}

TEST(JinjaTemplate, AnyTextIsRefusedOrRendered) {
  std::mt19937 random(7);
  const std::vector<std::string> parts{"{{",
                                       "}}",
                                       "{%",
                                       "%}",
                                       "{#",
                                       "#}",
                                       "-",
                                       "+",
                                       " ",
                                       "\n",
                                       "if",
                                       "else",
                                       "elif",
                                       "endif",
                                       "for",
                                       "endfor",
                                       "in",
                                       "set",
                                       "endset",
                                       "macro",
                                       "endmacro",
                                       "call",
                                       "endcall",
                                       "x",
                                       "d",
                                       "items",
                                       "loop",
                                       "loop.index",
                                       "'a'",
                                       "\"b",
                                       "1",
                                       "2.5",
                                       "(",
                                       ")",
                                       "[",
                                       "]",
                                       "{",
                                       "}",
                                       ",",
                                       ":",
                                       ".",
                                       "|",
                                       "is",
                                       "not",
                                       "and",
                                       "or",
                                       "~",
                                       "**",
                                       "//",
                                       "%",
                                       "==",
                                       "<",
                                       "=",
                                       "range(3)",
                                       "namespace()",
                                       "|join",
                                       "|tojson",
                                       "|list",
                                       "|first",
                                       "|sort",
                                       "|map('upper')",
                                       "|select('odd')",
                                       "{% if x %}",
                                       "{% endif %}",
                                       "{% for i in items %}",
                                       "{% endfor %}",
                                       "{{ i }}",
                                       "{% set x = d %}",
                                       "{{ x",
                                       "é",
                                       "\\n",
                                       "{% macro m(a) %}",
                                       "{% endmacro %}",
                                       "{{ m(1) }}",
                                       "{% break %}",
                                       "recursive",
                                       "raw",
                                       "endraw",
                                       "none",
                                       "true"};
  const auto variables = json_object(R"({"items": [3, 1, 2], "d": {"a": "x", "b": [1]}, "x": "abc"})");
  TemplateOptions options;
  options.limits.steps = 100'000;
  int rendered = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string source;
    const size_t count = random() % 14 + 1;
    for (size_t i = 0; i < count; ++i) source += parts[random() % parts.size()] + (random() % 3 == 0 ? " " : "");
    try {
      render(source, variables, options);
      ++rendered;
    } catch (const Error&) {
    }
  }
  EXPECT_GT(rendered, 500);
}

}  // namespace
}  // namespace incipit
