// Answers have the fields, of the types, that OpenAI's own description of its API gives them.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "openai_schema.h"
#include "scripted_server.h"

namespace incipit {
namespace {

using boost::json::array;
using boost::json::object;
using boost::json::value;

/// What is answered to a request of one or two choices.
std::string scripted_answer(const ScriptedServer& served, bool is_chat, const object& asked, uint64_t choices) {
  RawClient client = served.connect();
  client.post(is_chat ? "/v1/chat/completions" : "/v1/completions", asked);
  served.source->wait_for(choices);
  for (uint64_t choice = 1; choice <= choices; ++choice) {
    served.source->say(choice, "A", FinishReason::none, 7);
    served.source->say(choice, " word", choice == 1 ? FinishReason::stop : FinishReason::length, 9);
  }
  const RawResponse answer = client.read();
  EXPECT_EQ(answer.status, 200) << answer.body;
  return answer.body;
}

/// Requests that ask for every part of an answer, alone and together.
std::vector<object> requests_for_all_parts(bool is_chat) {
  const array messages{{{"role", "user"}, {"content", "Hello"}}};
  const object plain = is_chat ? object{{"messages", messages}} : object{{"prompt", "It was"}};
  object probable = plain;
  probable["logprobs"] = is_chat ? value(true) : value(2);
  if (is_chat) probable["top_logprobs"] = 2;
  object full = probable;
  full["n"] = 2;
  full["return_token_ids"] = true;
  full["timings_per_token"] = true;
  return {plain, probable, full};
}

TEST(OpenAiSchema, FindsFaults) {
  const OpenAiSchemas schemas;
  const object model{{"id", "a"}, {"object", "model"}, {"created", 1}, {"owned_by", "b"}, {"ours", true}};
  EXPECT_EQ(schemas.fault_of("Model", model), "");
  object faulty = model;
  faulty["created"] = "now";
  EXPECT_EQ(schemas.fault_of("Model", faulty), "Model.created is no integer");
  faulty.erase("created");
  EXPECT_EQ(schemas.fault_of("ListModelsResponse", object{{"object", "list"}, {"data", array{model, faulty}}}),
            "ListModelsResponse.data[1] has no created");
  faulty = model;
  faulty["object"] = "engine";
  EXPECT_EQ(schemas.fault_of("Model", faulty), "Model.object is another word");
}

TEST(OpenAiSchema, HoldsForWholeAnswers) {
  const OpenAiSchemas schemas;
  for (const bool is_chat : {true, false}) {
    for (const object& asked : requests_for_all_parts(is_chat)) {
      const ScriptedServer served;
      const uint64_t choices = asked.contains("n") ? 2 : 1;
      const value answer = boost::json::parse(scripted_answer(served, is_chat, asked, choices));
      EXPECT_EQ(schemas.fault_of(is_chat ? "CreateChatCompletionResponse" : "CreateCompletionResponse", answer), "")
          << boost::json::serialize(answer);
    }
  }
}

TEST(OpenAiSchema, HoldsForEventsOfStreams) {
  const OpenAiSchemas schemas;
  for (const bool is_chat : {true, false}) {
    for (object asked : requests_for_all_parts(is_chat)) {
      const ScriptedServer served;
      asked["stream"] = true;
      asked["stream_options"] = object{{"include_usage", asked.contains("n")}};
      const uint64_t choices = asked.contains("n") ? 2 : 1;
      const std::vector<std::string> events = events_of(scripted_answer(served, is_chat, asked, choices));
      ASSERT_GE(events.size(), 2U);
      EXPECT_EQ(events.back(), "[DONE]");
      for (size_t i = 0; i + 1 < events.size(); ++i) {
        value event = boost::json::parse(events[i]);
        // The description's completions have no chunks of their own: until its end a choice has no reason, and a
        // stream that is to bring its usage has none yet.
        if (!is_chat) {
          for (value& choice : event.at("choices").as_array()) {
            if (choice.at("finish_reason").is_null()) choice.at("finish_reason") = "stop";
          }
          const value* const usage = event.as_object().if_contains("usage");
          if (usage != nullptr && usage->is_null()) event.as_object().erase("usage");
        }
        EXPECT_EQ(schemas.fault_of(is_chat ? "CreateChatCompletionStreamResponse" : "CreateCompletionResponse", event),
                  "")
            << events[i];
      }
    }
  }
}

TEST(OpenAiSchema, HoldsForModelsAndErrors) {
  const OpenAiSchemas schemas;
  const ScriptedServer served;
  EXPECT_EQ(schemas.fault_of("ListModelsResponse", served.ask("GET", "/v1/models").json()), "");
  EXPECT_EQ(schemas.fault_of("Model", served.ask("GET", "/v1/models/classics").json()), "");
  const RawResponse refusals[] = {served.ask("GET", "/v1/models/none"),
                                  served.ask("GET", "/nowhere"),
                                  served.ask("DELETE", "/v1/models"),
                                  served.ask("POST", "/v1/completions", "{"),
                                  served.ask("POST", "/v1/completions", R"({"prompt": "a", "temperature": 9})"),
                                  served.ask("POST", "/v1/chat/completions", R"({"messages": [], "tools": [{}]})")};
  for (const RawResponse& refusal : refusals) {
    EXPECT_GE(refusal.status, 400);
    EXPECT_EQ(schemas.fault_of("ErrorResponse", refusal.json()), "") << refusal.body;
  }
}

}  // namespace
}  // namespace incipit
