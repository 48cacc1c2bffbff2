// One connection of the HTTP server. All of it is one thread's at a time.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "server/http_server.h"
#include "server/loop_door.h"

namespace incipit {

/// Asio's socket of any stream protocol: TCP and UNIX sockets are one type to everything behind the acceptor.
using StreamSocket = boost::asio::generic::stream_protocol::socket;

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Clock = HttpRequest::Clock;

  /// A connection that goes on in another thread, with what was read of its next request.
  struct Moved {
    StreamSocket::protocol_type protocol;
    StreamSocket::native_handle_type descriptor;
    std::string input;
    Clock::time_point begun;
  };

  /// What a connection needs of its server's thread. Outlives it.
  struct Server {
    std::shared_ptr<LoopDoor> door;
    HttpLimits limits;
    HttpHandler handler;
    bool accepting = true;
    std::function<void(const std::shared_ptr<Connection>&)> closed;
    /// Whether a request for this target is another thread's; and the way there.
    std::function<bool(std::string_view target)> is_elsewhere;
    std::function<void(const std::shared_ptr<Connection>&, Moved)> move;
  };

  Connection(StreamSocket socket, Server& server);
  void start();
  /// As if it had read that itself.
  void go_on(std::string input, Clock::time_point begun);
  /// Answers that there is no room, and closes.
  void refuse();
  /// Tells an unanswered request that its client has left.
  void abandon();
  /// Closes now, if no request is being answered.
  void close_if_idle();
  bool is_idle() const { return !exchange_ && !answered_ && phase_ != Phase::lingering; }
  Clock::time_point idle_since() const { return idle_since_; }
  void close();

 private:
  class OwnExchange;
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;
  /// What the connection's one deadline is for.
  enum class Phase : uint8_t { idle, header, body, answering, writing, quiet, lingering };

  void read();
  void on_read(const boost::system::error_code& error, size_t bytes);
  void on_end_of_input();
  void end_without_request();
  void process();
  bool parse();
  bool is_for_here();
  void on_header();
  void dispatch();

  void respond(HttpResponse response);
  void stream(HttpResponse head, std::shared_ptr<BodySource> source);
  void wake();
  void refuse_request(int status, std::string_view message);
  std::string head_of(const HttpResponse& response, std::optional<size_t> length);
  std::string framed(std::string piece) const;
  void write(std::string bytes, bool last);
  void write_some();
  void on_written();
  void pull();
  void linger();

  void arm(Phase phase, std::chrono::milliseconds from_now);
  void disarm(Phase phase) { phase_ = phase, due_ = {}; }
  void wait_for_deadline();
  void on_deadline();

  StreamSocket socket_;
  Server& server_;

  std::string input_;  // read and not parsed
  std::string chunk_;  // what a read is given
  bool reading_ = false, input_ended_ = false;
  bool moving_ = false;  // as soon as its read has ended
  std::optional<Parser> parser_;
  bool header_seen_ = false;
  size_t taken_ = 0;                        // bytes of the request that is being read
  std::optional<Clock::time_point> begun_;  // the request that is being read
  Clock::time_point idle_since_;

  std::shared_ptr<OwnExchange> exchange_;  // the request that is being answered
  std::shared_ptr<BodySource> source_;     // of its answer, once that is streamed
  bool answered_ = false;                  // its last bytes are on their way
  bool keeps_ = true;                      // for the next request
  bool lingers_ = true;
  bool chunked_ = true, head_only_ = false;
  std::string output_;  // being written
  size_t written_ = 0;  // of it
  bool writing_ = false;

  boost::asio::steady_timer deadline_;
  Phase phase_ = Phase::idle;
  std::optional<Clock::time_point> due_;
  std::optional<Clock::time_point> waiting_for_;  // when the timer fires
  bool closed_ = false;
};

}  // namespace incipit
