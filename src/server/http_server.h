// A server of HTTP/1.1: connections with keep-alive and pipelining over TCP and UNIX sockets, in two threads of its
// own. One accepts connections and answers probes; a connection goes to the other when it asks for anything else, and
// back.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "server/http.h"

namespace incipit {

struct HttpLimits {
  size_t header_bytes = size_t{32} << 10;
  size_t body_bytes = size_t{4} << 20;
  size_t pipelined_bytes = size_t{64} << 10;  // read ahead while a request is answered
  size_t connections = 1024;      // beyond them the one that has been idle for longest goes, or the newest is refused
  size_t probe_connections = 64;  // so many more may ask for probes where none is idle
  std::chrono::milliseconds header_time{10'000};  // from a request's first byte, or the connection's first moment
  std::chrono::milliseconds body_time{60'000};
  std::chrono::milliseconds idle_time{75'000};   // between requests
  std::chrono::milliseconds write_time{30'000};  // for a client to take anything of its answer
  std::chrono::milliseconds quiet_time{15'000};  // until a stream gives a sign of life
  std::chrono::milliseconds linger_time{2'000};  // for what a client still sends behind a refusal
};

struct HttpServerOptions {
  std::string host = "127.0.0.1";
  int port = 8000;                    // 0: any that is free; −1: no TCP
  std::string socket;                 // path of a UNIX socket; empty: none
  std::optional<mode_t> socket_mode;  // its permissions; nothing: what the umask leaves
  HttpLimits limits;
};

class HttpServer {
 public:
  /// Listens and starts the threads, each of which calls the handler: for paths that `is_probe` is true for, one that
  /// no other request occupies. Throws Error naming the address that cannot be listened at.
  HttpServer(const HttpServerOptions& options, const HttpHandler& handler,
             std::function<bool(std::string_view path)> is_probe);
  /// Closes what is open.
  ~HttpServer();

  int port() const;  // the one that is listened at; −1: none
  /// From any thread: nothing is accepted from now on, idle connections are closed, and others behind their answer.
  void stop_accepting();
  /// Waits until every connection has gone; false when that takes longer.
  bool wait_until_idle(std::chrono::milliseconds longest);
  /// Tells all that is unanswered that its client has left.
  void abandon();
  size_t connections() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace incipit
