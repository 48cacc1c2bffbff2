// Requests and answers of HTTP/1.1 as endpoints see them; connections are http_server.h's.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace incipit {

struct HttpHeader {
  std::string name, value;  // the name in lower case
};

struct HttpRequest {
  using Clock = std::chrono::steady_clock;

  std::string method;  // "GET"
  std::string path;    // without the query, percent-decoded
  std::vector<HttpHeader> headers;
  std::string body;
  Clock::time_point begun, received;  // its first byte, its last one

  /// The value of a header that is given once; null where there is none. `name` in lower case.
  const std::string* header(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::vector<HttpHeader> headers;  // without those of the connection and of the body's length
  std::string body;
};

/// Where the body of a streamed answer comes from, as fast as the client takes it. Called on the server's thread.
class BodySource {
 public:
  virtual ~BodySource() = default;
  /// What is new since the last call; empty where nothing is.
  virtual std::string next() = 0;
  /// Nothing follows what next() has given.
  virtual bool ended() const = 0;
  /// It ended before its time: the connection goes with it.
  virtual bool broken() const = 0;
  /// What is said when nothing was for so long that somebody on the way might take the connection for dead.
  virtual std::string sign_of_life() = 0;
};

/// A request on its connection, until it is answered. Every function but request() may be called from any thread; those
/// that answer do nothing when the client has left.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual const HttpRequest& request() const = 0;
  /// Calls `left` once, on the server's thread, if the client leaves (or ends its side of the connection) before it is
  /// answered. The answer that follows may be never read.
  virtual void on_leave(std::function<void()> left) = 0;
  /// The whole answer.
  virtual void respond(HttpResponse response) = 0;
  /// The head of an answer and the source of its body.
  virtual void stream(HttpResponse head, std::shared_ptr<BodySource> source) = 0;
  /// The source has something new, or has ended.
  virtual void wake() = 0;
};

/// Hears of each request on the thread of its connection, and must not keep it.
using HttpHandler = std::function<void(const std::shared_ptr<Exchange>&)>;

/// The time as HTTP writes it, made once a second.
const std::string& http_date();
/// "%2F" as "/"; what is no such code stays.
std::string percent_decoded(std::string_view text);
/// ASCII alone.
std::string lower_case(std::string_view text);
/// "/v1/models" of "/v1/models?x=1" and of "http://host/v1/models".
std::string path_of(std::string_view target);
/// "host:80" of "http://host:80/v1/models", empty of "/v1/models".
std::string_view host_of(std::string_view target);

}  // namespace incipit
