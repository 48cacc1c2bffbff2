// HTTP as clients speak it, well and badly, against scripted tokens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <future>
#include <memory>
#include <thread>

#include "scripted_server.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

const boost::json::object stream_body{{"prompt", "It was"}, {"stream", true}};
const boost::json::object whole_body{{"prompt", "It was"}};

ServerOptions with_limits(void (*set)(HttpLimits&)) {
  ServerOptions options;
  set(options.http.limits);
  return options;
}

TEST(Http, AnswersByPathAndMethod) {
  const ScriptedServer served;
  EXPECT_EQ(served.ask("GET", "/health").status, 200);
  EXPECT_EQ(served.ask("GET", "/health/live").status, 200);
  EXPECT_EQ(served.ask("GET", "/health/ready?x=1").status, 200);
  EXPECT_TRUE(served.ask("GET", "/version").json().contains("version"));
  EXPECT_EQ(served.ask("GET", "http://localhost/version").status, 200);
  EXPECT_EQ(served.ask("GET", "/nothing").status, 404);
  const RawResponse refused = served.ask("GET", "/v1/completions");
  EXPECT_EQ(refused.status, 405);
  EXPECT_EQ(refused.error_code(), "method_not_allowed");
  EXPECT_EQ(refused.headers.at("allow"), "POST");
  RawClient client = served.connect();
  client.send("HEAD /version HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_GT(std::stoi(client.read_head().headers.at("content-length")), 0);
  client.get("/version");  // no body came before it
  EXPECT_EQ(client.read().status, 200);
}

TEST(Http, KeepsConnectionsAsLongAsTheClientWants) {
  const ScriptedServer served;
  RawClient client = served.connect();
  for (int i = 0; i < 3; ++i) {
    client.get("/version");
    EXPECT_EQ(client.read().status, 200);
  }
  client.get("/version", "Connection: close\r\n");
  EXPECT_EQ(client.read().headers.at("connection"), "close");
  EXPECT_TRUE(client.is_closed());
  RawClient old = served.connect();
  old.send("GET /version HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old.read().status, 200);
  EXPECT_TRUE(old.is_closed());
}

TEST(Http, AnswersPipelinedRequestsInTheirOrder) {
  const ScriptedServer served;
  RawClient client = served.connect();
  client.send("\r\n" + RawClient::request("GET", "/nothing") +
              RawClient::request("POST", "/v1/completions", boost::json::serialize(whole_body)) +
              RawClient::request("GET", "/version"));
  EXPECT_EQ(client.read().status, 404);
  served.source->wait_for(1);
  served.source->say(1, " dark", FinishReason::stop);
  EXPECT_EQ(client.read().json().at("choices").at(0).at("text"), " dark");
  EXPECT_TRUE(client.read().json().contains("version"));
}

TEST(Http, TakesBodiesInChunksAndAfterAsking) {
  const ScriptedServer served;
  RawClient client = served.connect();
  client.send(
      "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
      "c\r\n{\"prompt\": \"\r\n");
  client.send("4\r\nIt\"}\r\n0\r\n\r\n");
  EXPECT_EQ(client.read().status, 200);
  const std::string body = R"({"prompt": "It"})";
  client.send(fmt::format(
      "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n", body.size()));
  EXPECT_EQ(client.read_head().status, 100);
  client.send(body);
  EXPECT_EQ(client.read().status, 200);
}

TEST(Http, RefusesWhatIsNoRequestAndCloses) {
  const ScriptedServer served(with_limits([](HttpLimits& limits) {
    limits.header_bytes = 2000;
    limits.body_bytes = 3000;
  }));
  const std::string post = "POST /tokenize HTTP/1.1\r\nHost: localhost\r\n";
  std::string empty_fields, trailers;
  for (int i = 0; i < 600; ++i) empty_fields += "X:\r\n";
  for (int i = 0; i < 600; ++i) trailers += "X: 12345\r\n";
  const std::pair<std::string, int> cases[] = {
      {"\x16\x03\x01\x02\r\n\r\n", 400},
      {"GET /version\r\n\r\n", 400},
      {"GET /version HTTP/2.0\r\nHost: localhost\r\n\r\n", 505},
      {"GET /version HTTP/1.1\r\n\r\n", 400},
      {"GET /version HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"GET /version HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(3000, 'x') + "\r\n\r\n", 431},
      {"GET /version HTTP/1.1\r\nHost: localhost\r\n" + empty_fields + "\r\n", 431},
      {post + "Content-Length: 3001\r\n\r\n" + std::string(3001, 'x'), 413},
      {post + "Content-Length: 99999999999\r\n\r\n", 413},
      {post + "Content-Length: 18446744073709551617\r\n\r\n", 400},
      {post + "Content-Length: -1\r\n\r\n", 400},
      {post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400},
      {post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {post + "Transfer-Encoding: gzip\r\n\r\n", 501},
      {post + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
      {post + "Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", 415},
      {post + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n" + trailers + "\r\n", 413},
      {post + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(6000, 'x') + "\r\nx\r\n0\r\n\r\n", 413},
      {post + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\n\r\n" + "fff\r\n" + std::string(4095, 'x') + "\r\n0\r\n\r\n", 413},
  };
  for (const auto& [bytes, status] : cases) {
    RawClient client = served.connect();
    client.send(bytes);
    const RawResponse response = client.read();
    EXPECT_EQ(response.status, status) << bytes.substr(0, 100);
    EXPECT_TRUE(response.json().at("error").as_object().contains("message"));
    client.end_sending();
    EXPECT_TRUE(client.is_closed()) << bytes.substr(0, 100);
  }
  EXPECT_EQ(served.ask("GET", "/health").status, 200);
}

TEST(Http, ClosesBehindASlowHeaderABodyAndIdleness) {
  const ScriptedServer served(with_limits([](HttpLimits& limits) {
    limits.header_time = limits.body_time = 80ms;
    limits.idle_time = 150ms;
  }));
  RawClient silent = served.connect(), header = served.connect(), body = served.connect(), idle = served.connect();
  header.send("GET /version HTTP/1.1\r\nHo");
  body.send("POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{");
  idle.get("/version");
  EXPECT_EQ(idle.read().status, 200);
  for (RawClient* client : {&header, &body}) {
    EXPECT_EQ(client->read().status, 408);
    client->end_sending();
    EXPECT_TRUE(client->is_closed());
  }
  EXPECT_TRUE(silent.is_closed());
  EXPECT_TRUE(idle.is_closed());
}

TEST(Http, CancelsWhatAClientHasLeft) {
  const ScriptedServer served;
  RawClient whole = served.connect();
  whole.post("/v1/completions", whole_body);
  served.source->wait_for(1);
  whole.close();
  EXPECT_TRUE(served.source->wait_for_cancel(1));
  RawClient stream = served.connect();
  stream.post("/v1/completions", stream_body);
  served.source->wait_for(2);
  served.source->say(2, " dark");
  stream.read_head();
  stream.read_chunk();
  EXPECT_FALSE(served.source->is_cancelled(2));
  stream.close();
  EXPECT_TRUE(served.source->wait_for_cancel(2));
  served.source->end(1, FinishReason::cancelled);
  served.source->end(2, FinishReason::cancelled);
}

TEST(Http, TakesAnEndedSideForLeavingAndSaysSo) {
  const ScriptedServer served;
  RawClient quick = served.connect();
  quick.send(RawClient::request("GET", "/version") + RawClient::request("GET", "/health"));
  quick.end_sending();
  EXPECT_EQ(quick.read().status, 200);
  EXPECT_EQ(quick.read().status, 200);
  EXPECT_TRUE(quick.is_closed());
  RawClient client = served.connect();
  client.post("/v1/completions", whole_body);
  served.source->wait_for(1);
  client.end_sending();
  EXPECT_TRUE(served.source->wait_for_cancel(1));
  served.source->end(1, FinishReason::cancelled);
  const RawResponse answer = client.read();
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.error_code(), "cancelled");
  EXPECT_TRUE(client.is_closed());
}

TEST(Http, AnswersHalfARequestBeforeItCloses) {
  const ScriptedServer served;
  const std::string post = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n";
  for (const std::string& half :
       {post + "Content-Length: 100\r\n\r\n{\"prompt\":", post + "Content-Length: 100\r\n\r\n",
        post + "Transfer-Encoding: chunked\r\n\r\n5\r\nab", post, std::string("POST /v1"),
        std::string("GET /health HTTP/1.1\r\nHo")}) {
    RawClient client = served.connect();
    client.send(half);
    client.end_sending();
    const RawResponse answer = client.read();
    EXPECT_EQ(answer.status, 400) << half;
    EXPECT_THAT(answer.body, HasSubstr("was not sent to its end"));
    EXPECT_EQ(answer.headers.at("connection"), "close");
    EXPECT_TRUE(client.is_closed());
  }
  // Behind a whole one; of the other thread's, and of the same.
  for (const char* const path : {"/version", "/health"}) {
    RawClient client = served.connect();
    client.send(RawClient::request("GET", path) + post + "Content-Length: 100\r\n\r\n{");
    client.end_sending();
    EXPECT_EQ(client.read().status, 200);
    EXPECT_EQ(client.read().status, 400);
    EXPECT_TRUE(client.is_closed());
  }
  RawClient nothing = served.connect(), lines = served.connect();
  lines.send("\r\n\r\n");
  for (RawClient* client : {&nothing, &lines}) {
    client->end_sending();
    EXPECT_TRUE(client->is_closed()) << "there is nothing to answer";
  }
  EXPECT_EQ(served.source->requests(), 0U);
}

TEST(Http, DropsAClientThatDoesNotRead) {
  const ScriptedServer served(with_limits([](HttpLimits& limits) { limits.write_time = 100ms; }));
  RawClient client = served.connect();
  client.shrink_receiving(4096);
  client.post("/v1/completions", stream_body);
  served.source->wait_for(1);
  const std::string more_than_the_system_keeps(size_t{4} << 20, 'x');
  served.source->say(1, more_than_the_system_keeps);
  EXPECT_TRUE(served.source->wait_for_cancel(1));
  served.source->end(1, FinishReason::cancelled);
}

TEST(Http, ConnectionsGoBetweenProbesAndRequests) {
  const ScriptedServer served;
  RawClient client = served.connect();
  const std::string post = RawClient::request("POST", "/v1/completions", boost::json::serialize(whole_body));
  const std::string health = RawClient::request("GET", "/health"), version = RawClient::request("GET", "/version");
  client.send("GET /heal");
  std::this_thread::sleep_for(10ms);
  client.send("th HTTP/1.1\r\nHost: localhost\r\n\r\n" + health + version + health + "POST /v1/comp");
  for (int i = 0; i < 4; ++i) EXPECT_EQ(client.read().status, 200);
  client.send(post.substr(std::string_view("POST /v1/comp").size()) + health);
  served.source->wait_for(1);
  served.source->say(1, " dark", FinishReason::stop);
  EXPECT_EQ(client.read().json().at("choices").at(0).at("text"), " dark");
  EXPECT_EQ(client.read().json().at("status"), "ok");
  client.send("\n" + health);  // an empty line before a request
  EXPECT_EQ(client.read().status, 200);
  client.send("GET\r\n\r\n");
  EXPECT_EQ(client.read().status, 400);
}

TEST(Http, AnswersProbesWhileItsOtherThreadIsHeld) {
  std::promise<void> held, free;
  HttpServerOptions options;
  options.port = 0;
  HttpServer server(
      options,
      [&](const std::shared_ptr<Exchange>& exchange) {
        if (exchange->request().path != "/health") {
          held.set_value();
          free.get_future().wait();
        }
        exchange->respond({200, {}, exchange->request().path});
      },
      [](std::string_view path) { return path == "/health"; });
  RawClient slow(server.port());
  slow.get("/anything");
  held.get_future().wait();
  for (int i = 0; i < 3; ++i) {
    RawClient probe(server.port());
    probe.get("/health");
    EXPECT_EQ(probe.read().body, "/health");
  }
  free.set_value();
  EXPECT_EQ(slow.read().body, "/anything");
}

TEST(Http, GivesAnIdleConnectionsPlaceToANewcomer) {
  const ScriptedServer served(with_limits([](HttpLimits& limits) { limits.connections = 2; }));
  RawClient busy = served.connect();
  busy.post("/v1/completions", whole_body);
  served.source->wait_for(1);
  RawClient idle = served.connect();
  idle.get("/version");
  EXPECT_EQ(idle.read().status, 200);
  // An answer can be here before its connection is known to be idle: a newcomer is refused until then.
  std::unique_ptr<RawClient> newcomer;
  for (int tries = 0; tries < 20 && served.source->requests() < 2; ++tries) {
    newcomer.reset(new RawClient(served.connect()));  // it is not moved
    newcomer->post("/v1/completions", whole_body);
    for (int looks = 0; looks < 100 && served.source->requests() < 2; ++looks) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  served.source->wait_for(2);
  EXPECT_TRUE(idle.is_closed());
  EXPECT_EQ(served.ask("GET", "/version").status, 503);
  EXPECT_EQ(served.ask("GET", "/health").status, 200);
  served.source->say(1, "a", FinishReason::stop);
  EXPECT_EQ(busy.read().status, 200);
  served.source->say(2, "b", FinishReason::stop);
  EXPECT_EQ(newcomer->read().status, 200);
}

TEST(Http, ConnectionsOfBothThreadsAreOneLimit) {
  const ScriptedServer served(with_limits([](HttpLimits& limits) {
    limits.connections = 2;
    limits.probe_connections = 1;
  }));
  RawClient requests = served.connect(), probes = served.connect();
  requests.get("/version");
  EXPECT_EQ(requests.read().status, 200);
  probes.get("/health");
  EXPECT_EQ(probes.read().status, 200);
  // An answer can be here before its connection is known to be idle.
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  RawClient third = served.connect();
  third.post("/v1/completions", whole_body);
  served.source->wait_for(1);
  RawClient fourth = served.connect();
  fourth.post("/v1/completions", whole_body);
  served.source->wait_for(2);
  // Each took the place of whoever was idle for longest by then.
  EXPECT_TRUE(requests.is_closed());
  EXPECT_TRUE(probes.is_closed());
  // All are busy: a probe finds room, and is the only one that does.
  RawClient probe = served.connect();
  probe.get("/health");
  EXPECT_EQ(probe.read().status, 200);
  served.source->say(1, "a", FinishReason::stop);
  served.source->say(2, "b", FinishReason::stop);
  EXPECT_EQ(third.read().status, 200);
  EXPECT_EQ(fourth.read().status, 200);
}

TEST(Http, AnswersHealthWhateverRequestsDo) {
  const ScriptedServer served;
  served.source->set_stalled(true);
  RawClient stalled = served.connect();
  stalled.post("/v1/completions", whole_body);
  for (const char* path : {"/health", "/health/live", "/health/ready", "/version"}) {
    EXPECT_EQ(served.ask("GET", path).status, 200);
  }
  served.source->set_stalled(false);
  served.source->wait_for(1);
  served.source->say(1, "a", FinishReason::stop);
  EXPECT_EQ(stalled.read().status, 200);
  served.source->set_fault("its weights are altered");
  EXPECT_EQ(served.ask("GET", "/health").status, 503);
  EXPECT_EQ(served.ask("GET", "/health/ready").status, 503);
  EXPECT_EQ(served.ask("GET", "/health/live").status, 200);
  EXPECT_EQ(served.ask("POST", "/v1/completions", boost::json::serialize(whole_body)).status, 500);
}

TEST(Http, IsNotReadyUntilItsModelsAre) {
  const ScriptedServer served;
  served.model().health->ready = false;
  served.model().health->baseline_missing = true;
  EXPECT_EQ(served.ask("GET", "/health").status, 200);
  EXPECT_EQ(served.ask("GET", "/health/ready").error_code(), "warming");
  EXPECT_THAT(served.ask("GET", "/metrics").body, HasSubstr("incipit_baseline_missing{model_name=\"classics\"} 1\n"));
  served.model().health->ready = true;
  EXPECT_EQ(served.ask("GET", "/health/ready").status, 200);
}

TEST(Http, ListensAtASocketOfTheFileSystem) {
  const TemporaryDirectory directory;
  ServerOptions options;
  options.http.socket = directory / "incipit.socket";
  {
    const ScriptedServer served(options);
    RawClient client(options.http.socket);
    client.get("/version");
    EXPECT_EQ(client.read().status, 200);
    EXPECT_THAT(message_of([&] { ScriptedServer{options}; }), HasSubstr("another server listens at it"));
  }
  EXPECT_FALSE(std::filesystem::exists(options.http.socket));
  const mode_t usual = ::umask(077);
  for (const mode_t mode : {0600, 0666}) {
    options.http.socket_mode = mode;
    const ScriptedServer served(options);
    struct stat status {};
    EXPECT_EQ(::stat(options.http.socket.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, mode);
    RawClient client(options.http.socket);
    client.get("/health");
    EXPECT_EQ(client.read().status, 200);
  }
  ::umask(usual);
  std::ofstream(options.http.socket) << "mine";
  EXPECT_THAT(message_of([&] { ScriptedServer{options}; }), HasSubstr("exists and is no socket"));
}

TEST(Http, NamesRequestsAsTheClientDoes) {
  const ScriptedServer served;
  EXPECT_EQ(served.ask("GET", "/version", {}, "x-request-id: mine-1\r\n").headers.at("x-request-id"), "mine-1");
  EXPECT_THAT(served.ask("GET", "/version").headers.at("x-request-id"), StartsWith("req-"));
  EXPECT_THAT(served.ask("GET", "/version", {}, "x-request-id: two words\r\n").headers.at("x-request-id"),
              StartsWith("req-"));
}

TEST(Http, GivesASignOfLifeUntilTheFirstToken) {
  const ScriptedServer served(with_limits([](HttpLimits& limits) { limits.quiet_time = 20ms; }));
  RawClient client = served.connect();
  client.post("/v1/completions", stream_body);
  EXPECT_EQ(client.read_head().headers.at("content-type"), "text/event-stream; charset=utf-8");
  EXPECT_THAT(client.read_chunk(), StartsWith(":"));
  EXPECT_THAT(client.read_chunk(), StartsWith(":"));
  served.source->say(1, " dark", FinishReason::stop);
  std::string rest;
  while (!rest.ends_with("[DONE]\n\n")) rest += client.read_chunk();
  EXPECT_EQ(events_of(rest).size(), 2U);
}

TEST(Http, DrainsWhatWasBegun) {
  const ScriptedServer served;
  RawClient idle = served.connect(), stream = served.connect();
  idle.get("/version");
  idle.read();
  stream.post("/v1/completions", stream_body);
  stream.read_head();
  std::thread drain([&] { served.server->drain(20s); });
  EXPECT_TRUE(idle.is_closed());
  EXPECT_THROW(RawClient(served.server->port()), std::runtime_error);
  served.source->say(1, " dark", FinishReason::stop);
  std::string all;
  for (std::string chunk = stream.read_chunk(); !chunk.empty(); chunk = stream.read_chunk()) all += chunk;
  EXPECT_EQ(events_of(all).back(), "[DONE]");
  EXPECT_TRUE(stream.is_closed());
  stream.close();
  drain.join();
}

TEST(Http, EndsWhatDoesNotDrainWithAReason) {
  const ScriptedServer served;
  RawClient stream = served.connect(), whole = served.connect();
  stream.post("/v1/completions", stream_body);
  served.source->wait_for(1);
  whole.post("/v1/completions", whole_body);
  served.source->wait_for(2);
  std::thread source([&] {
    for (const RequestId id : {1, 2}) {
      EXPECT_TRUE(served.source->wait_for_cancel(id));
      served.source->end(id, FinishReason::cancelled);
    }
  });
  std::thread drain([&] { served.server->drain(10ms); });
  const RawResponse refused = whole.read();
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.error_code(), "stopping");
  const RawResponse ended = stream.read();
  EXPECT_THAT(ended.body, HasSubstr("the server stopped before the answer's end"));
  whole.close();
  stream.close();
  source.join();
  drain.join();
}

}  // namespace
}  // namespace incipit
