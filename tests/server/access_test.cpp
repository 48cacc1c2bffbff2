// Who may ask: hosts, pages, keys.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "scripted_server.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

using testing::HasSubstr;

TEST(Access, KnowsItsHosts) {
  const std::vector<std::string> allowed{"Models.example"};
  for (const char* host : {"localhost", "LOCALHOST:80", "127.0.0.1:8000", "[::1]:8000", "models.EXAMPLE"}) {
    EXPECT_TRUE(is_allowed_host(host, allowed)) << host;
  }
  for (const char* host : {"", "localhost:abc", "evil.example", "localhost.evil.example", "[::1]x", "[::1", ":80"}) {
    EXPECT_FALSE(is_allowed_host(host, allowed)) << host;
  }
  const ScriptedServer served;
  EXPECT_EQ(served.ask("GET", "http://evil.example/health").status, 403);
}

TEST(Access, HasEachKeyOnce) {
  EXPECT_THAT(message_of([] { ApiKeys({"key a", "other b", "key c 2"}); }), HasSubstr("stands there twice"));
}

TEST(Access, SaysWhoMayAsk) {
  ServerOptions options;
  options.keys = ApiKeys({"first-key", "second"});
  options.hosts = {"models.example"};
  options.origins = {"https://page.example"};
  const ScriptedServer served(options);
  EXPECT_EQ(served.ask("GET", "/health").status, 200);
  for (const char* wrong : {"", "Authorization: Bearer first-ke\r\n", "Authorization: Bearer first-keyfirst-key\r\n",
                            "Authorization: first-key\r\n", "Authorization: Bearer \r\n"}) {
    const RawResponse response = served.ask("GET", "/v1/models", {}, wrong);
    EXPECT_EQ(response.status, 401) << wrong;
    EXPECT_EQ(response.error_code(), "invalid_api_key");
    EXPECT_EQ(response.headers.at("www-authenticate"), "Bearer");
  }
  const std::string key = "Authorization: Bearer second\r\n";
  EXPECT_EQ(served.ask("GET", "/v1/models", {}, key).status, 200);
  EXPECT_EQ(served.ask("GET", "/v1/models", {}, "Authorization: bearer second\r\n").status, 200);
  EXPECT_EQ(served.ask("GET", "/v1/models", {}, key + "Origin: https://evil.example\r\n").status, 403);
  EXPECT_EQ(served.ask("GET", "/v1/models", {}, key + "Origin: http://localhost\r\n").status, 200);
  const std::string origin = "Origin: https://page.example\r\n";
  EXPECT_EQ(served.ask("GET", "/v1/models", {}, key + origin).headers.at("access-control-allow-origin"),
            "https://page.example");
  const RawResponse before = served.ask("OPTIONS", "/v1/chat/completions", {}, origin);
  EXPECT_EQ(before.status, 204);
  EXPECT_EQ(before.headers.at("access-control-allow-methods"), "POST");
  EXPECT_THAT(before.headers.at("access-control-allow-headers"), HasSubstr("authorization"));
  const std::string wanted = "x-ttft-deadline-ms, x-stainless-lang";
  EXPECT_EQ(
      served.ask("OPTIONS", "/v1/chat/completions", {}, origin + "access-control-request-headers: " + wanted + "\r\n")
          .headers.at("access-control-allow-headers"),
      wanted);
  for (const auto& [host, status] : std::map<std::string, int>{{"127.0.0.1:80", 200},
                                                               {"[::1]:80", 200},
                                                               {"localhost", 200},
                                                               {"models.example:8000", 200},
                                                               {"evil.example", 403},
                                                               {"127.0.0.1.evil.example", 403}}) {
    RawClient client = served.connect();
    client.send("GET /health HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
    EXPECT_EQ(client.read().status, status) << host;
  }
}

TEST(Access, ReadsKeysFromAFile) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "keys") << "# ours\nfirst\r\n\nsecond\n";
  const ApiKeys keys = ApiKeys::read(directory / "keys");
  EXPECT_TRUE(keys.accept("Bearer first"));
  EXPECT_TRUE(keys.accept("Bearer second"));
  EXPECT_FALSE(keys.accept("Bearer # ours"));
  EXPECT_NE(keys.accept("Bearer first")->tenant, keys.accept("Bearer second")->tenant);
  std::ofstream(directory / "tenants") << "first  team 3\nsecond team 3\nthird\tother\n";
  const ApiKeys tenants = ApiKeys::read(directory / "tenants");
  const Caller first = tenants.accept("Bearer first").value(), second = tenants.accept("Bearer second").value();
  EXPECT_EQ(first.tenant, second.tenant);
  EXPECT_NE(first.key, second.key) << "prefixes are not shared for that";
  EXPECT_EQ(first.weight, 3);
  EXPECT_EQ(tenants.accept("Bearer third")->weight, 1);
  EXPECT_NE(tenants.accept("Bearer third")->tenant, first.tenant);
  EXPECT_FALSE(tenants.accept("Bearer first  team 3"));
  for (const char* const line : {"key name 0", "key name 1001", "key name x", "key name 2 more"}) {
    EXPECT_THAT(message_of([&] { ApiKeys({line}); }), HasSubstr("the key of 'name'")) << line;
  }
  std::ofstream(directory / "empty") << "\n";
  EXPECT_THAT(message_of([&] { ApiKeys::read(directory / "empty"); }), HasSubstr("it has no keys"));
}

}  // namespace
}  // namespace incipit
