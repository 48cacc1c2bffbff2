// What a published model says about conversations.
#include "import/hf/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "support/message_of.h"
#include "support/shared_files.h"
#include "support/temporary_directory.h"
#include "write_bytes.h"

namespace incipit {
namespace {

TEST(PublishedChat, TokensAreTextsOrObjects) {
  const TemporaryDirectory directory;
  EXPECT_TRUE(read_special_tokens(directory.path()).empty());
  write_bytes(directory / "tokenizer_config.json",
              R"({"bos_token": {"__type": "AddedToken", "content": "<s>"}, "eos_token": "</s>", "unk_token": null,
            "pad_token": 7, "model_max_length": 5, "additional_special_tokens": ["<a>", {"content": "<b>"}]})");
  EXPECT_EQ(boost::json::serialize(read_special_tokens(directory.path())),
            R"({"bos_token":"<s>","eos_token":"</s>","additional_special_tokens":["<a>","<b>"]})");
}

TEST(PublishedChat, TokensAreThoseThatTransformersGives) {
  const boost::json::value cases = boost::json::parse(read_text_file(fixtures() / "text" / "special_tokens.json"));
  ASSERT_GT(cases.get_array().size(), 30U);
  for (const auto& one : cases.get_array()) {
    SCOPED_TRACE(one.at("name").get_string().c_str());
    const TemporaryDirectory directory;
    for (const auto& [name, content] : one.at("files").get_object()) {
      write_bytes(directory / std::string(name), boost::json::serialize(content));
    }
    boost::json::object tokens = read_special_tokens(directory.path());
    tokens.erase("additional_special_tokens");  // of templates of Transformers 4, which gave them
    EXPECT_EQ(boost::json::value(tokens), one.at("tokens")) << boost::json::serialize(tokens);
  }
}

TEST(PublishedChat, TheJinjaFileComesFirst) {
  const TemporaryDirectory directory;
  EXPECT_EQ(read_chat_template(directory.path()), "");
  write_bytes(directory / "tokenizer_config.json", R"({"chat_template": "from the config"})");
  EXPECT_EQ(read_chat_template(directory.path()), "from the config");
  write_bytes(directory / "chat_template.jinja", "from the file");
  EXPECT_EQ(read_chat_template(directory.path()), "from the file");
}

TEST(PublishedChat, RefusesWhatIsNoConfiguration) {
  const TemporaryDirectory directory;
  write_bytes(directory / "tokenizer_config.json", "[1]");
  EXPECT_THAT(message_of([&] { read_chat_template(directory.path()); }), testing::HasSubstr("tokenizer_config.json"));
  EXPECT_THAT(message_of([&] { read_special_tokens(directory.path()); }), testing::HasSubstr("a list"));
}

}  // namespace
}  // namespace incipit
