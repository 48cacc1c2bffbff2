// A request for a stream, on a connection of its own, by Boost.Asio and Beast. All of it is one thread's.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "load/load_report.h"

namespace incipit {

/// "http://HOST[:PORT][/PREFIX]" in its parts. Throws Error for another.
struct LoadTarget {
  std::string host, port, prefix;
};
LoadTarget parse_target(std::string_view url);

/// Takes a stream's bytes and gives the data of its whole events.
class EventReader {
 public:
  /// `hear` is called for each event's data, in order.
  void add(std::string_view bytes, const std::function<void(std::string_view)>& hear);

 private:
  std::string unread_;
};

/// How to ask.
struct LoadConnection {
  LoadTarget target;
  boost::asio::ip::tcp::resolver::results_type addresses;
  std::string key;  // of the API; empty: none
  std::chrono::milliseconds timeout{600'000};
};

class StreamedRequest : public std::enable_shared_from_this<StreamedRequest> {
 public:
  using Clock = std::chrono::steady_clock;
  using Done = std::function<void(LoadResult)>;

  StreamedRequest(boost::asio::io_context& loop, const LoadConnection& connection, std::string body);
  /// `due`: when it would have been asked by a client that has all the time. `done` is called once.
  void start(Clock::time_point due, Done done);
  /// It ends now, as a failure.
  void give_up(const std::string& why);

 private:
  void write();
  void read_head();
  void read_body();
  void take(std::string_view bytes, Clock::time_point now);
  void hear(std::string_view data, Clock::time_point now);
  void finish(const std::string& failure);

  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer deadline_;
  const LoadConnection& connection_;
  boost::beast::http::request<boost::beast::http::string_body> request_;
  boost::beast::flat_buffer buffer_;
  boost::beast::http::response_parser<boost::beast::http::string_body> parser_;
  EventReader events_;
  std::string refusal_;  // the body of an answer that is no stream

  Clock::time_point due_, sent_;
  std::optional<Clock::time_point> last_;  // text or id
  bool whole_ = false;                     // [DONE] was there
  LoadResult result_;
  Done done_;
};

}  // namespace incipit
