#include "server/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/json.hpp>
#include <exception>
#include <utility>

#include "base/log.h"
#include "openai/answer_body.h"

namespace incipit {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

constexpr size_t bytes_of_a_read = size_t{16} << 10;

struct RequestFault {
  int status;
  std::string message;
};

RequestFault fault_of(const error_code& error, const HttpLimits& limits) {
  if (error == http::error::header_limit) {
    return {431, fmt::format("the request's headers have more than {} bytes", limits.header_bytes)};
  }
  if (error == http::error::body_limit) {
    return {413, fmt::format("the request's body has more than {} bytes", limits.body_bytes)};
  }
  if (error == http::error::bad_version) return {505, "the request is not of HTTP/1.0 or 1.1"};
  return {400, fmt::format("the request is no HTTP: {}", error.message())};
}

}  // namespace

/// A request on its way, for any thread.
class Connection::OwnExchange : public Exchange, public std::enable_shared_from_this<OwnExchange> {
 public:
  OwnExchange(const std::shared_ptr<Connection>& connection, HttpRequest request)
      : door_(connection->server_.door), connection_(connection), request_(std::move(request)) {}

  const HttpRequest& request() const override { return request_; }
  void on_leave(std::function<void()> left) override {
    door_->run([self = shared_from_this(), left = std::move(left)]() mutable {
      if (self->has_left_) {
        left();
      } else {
        self->left_ = std::move(left);
      }
    });
  }
  void respond(HttpResponse response) override {
    with_connection([response = std::move(response)](Connection& own) mutable { own.respond(std::move(response)); });
  }
  void stream(HttpResponse head, std::shared_ptr<BodySource> source) override {
    with_connection([head = std::move(head), source = std::move(source)](Connection& own) mutable {
      own.stream(std::move(head), std::move(source));
    });
  }
  void wake() override {
    if (woken_.exchange(true)) return;
    with_connection([](Connection& own) {
      own.exchange_->woken_ = false;
      own.wake();
    });
  }
  /// On the server's thread.
  void leave() {
    if (std::exchange(has_left_, true)) return;
    if (const auto left = std::exchange(left_, {})) left();
  }

 private:
  /// Calls `work` on the server's thread, if this is still the request that is being answered there.
  template <typename Work>
  void with_connection(Work&& work) {
    door_->run([self = shared_from_this(), work = std::forward<Work>(work)]() mutable {
      const auto own = self->connection_.lock();
      if (own && own->exchange_ == self) work(*own);
    });
  }

  std::shared_ptr<LoopDoor> door_;
  std::weak_ptr<Connection> connection_;
  const HttpRequest request_;
  std::atomic<bool> woken_{false};
  // The server's thread's.
  bool has_left_ = false;
  std::function<void()> left_;
};

Connection::Connection(StreamSocket socket, Server& server)
    : socket_(std::move(socket)),
      server_(server),
      chunk_(bytes_of_a_read, '\0'),
      idle_since_(Clock::now()),
      deadline_(socket_.get_executor()) {}

void Connection::start() {
  arm(Phase::idle, server_.limits.header_time);
  read();
}

void Connection::go_on(std::string input, Clock::time_point begun) {
  input_ = std::move(input);
  begun_ = begun;
  arm(Phase::header, server_.limits.header_time);
  process();
  read();
}

void Connection::refuse() {
  lingers_ = false;  // there is no room for that
  refuse_request(503, "the server has as many connections as it takes");
}

void Connection::abandon() {
  if (exchange_ && !answered_) exchange_->leave();
}

void Connection::close_if_idle() {
  if (is_idle() && !writing_) close();
}

void Connection::close() {
  if (std::exchange(closed_, true)) return;
  const auto self = shared_from_this();
  if (exchange_) exchange_->leave();
  exchange_.reset();
  source_.reset();
  error_code ignored;
  socket_.close(ignored);
  deadline_.cancel();
  server_.closed(self);
}

// ---- reading

void Connection::read() {
  // What a client sends ahead is kept within bounds.
  if (reading_ || closed_ || input_ended_ || (exchange_ && input_.size() >= server_.limits.pipelined_bytes)) return;
  reading_ = true;
  socket_.async_read_some(asio::buffer(chunk_), [self = shared_from_this()](const error_code& error, size_t bytes) {
    self->reading_ = false;
    if (!self->closed_) self->on_read(error, bytes);
  });
}

void Connection::on_read(const error_code& error, size_t bytes) {
  // An end of input is met again where it goes on.
  if (std::exchange(moving_, false) && (error == asio::error::operation_aborted || error == asio::error::eof)) {
    process();
    read();
    return;
  }
  if (error == asio::error::eof) {
    input_ended_ = true;
    on_end_of_input();
  } else if (error) {
    close();
  } else {
    if (phase_ != Phase::lingering) {
      input_.append(chunk_, 0, bytes);
      process();
    }
    read();
  }
}

/// A client that ends its side has most often left, and a connection does not tell one from the other.
void Connection::on_end_of_input() {
  if (exchange_ && !answered_) {
    keeps_ = false;
    exchange_->leave();
  } else if (!exchange_ && !writing_) {
    end_without_request();
  }
}

/// The client may still read: who has sent half of a request hears that it was half.
void Connection::end_without_request() {
  if (begun_) {
    refuse_request(400, "the request was not sent to its end");
  } else {
    close();
  }
}

void Connection::process() {
  while (!exchange_ && !closed_ && !answered_ && phase_ != Phase::lingering && parse()) dispatch();
}

/// Takes from the input; true when a request is whole.
bool Connection::parse() {
  if (!parser_) {
    input_.erase(0, std::min(input_.find_first_not_of("\r\n"), input_.size()));
    if (input_.empty()) return false;
    if (!begun_) {
      begun_ = Clock::now();
      arm(Phase::header, server_.limits.header_time);
    }
    if (!is_for_here()) return false;
    parser_.emplace();
    parser_->header_limit(static_cast<uint32_t>(server_.limits.header_bytes));
    parser_->body_limit(server_.limits.body_bytes);
    header_seen_ = false;
    taken_ = 0;
  }
  while (!parser_->is_done()) {
    if (input_.empty()) return false;
    error_code error;
    const size_t used = parser_->put(asio::buffer(input_), error);
    input_.erase(0, used);
    taken_ += used;
    // The parser's own limits are looked at where it waits for more, and count no frames of chunks.
    if (!error || error == http::error::need_more) {
      const HttpLimits& limits = server_.limits;
      if (!header_seen_ && taken_ > limits.header_bytes) error = http::error::header_limit;
      if (taken_ > limits.header_bytes + limits.body_bytes) error = http::error::body_limit;
    }
    if (error == http::error::need_more) return false;
    if (error) {
      const RequestFault fault = fault_of(error, server_.limits);
      refuse_request(fault.status, fault.message);
      return false;
    }
    if (parser_->is_header_done() && !std::exchange(header_seen_, true)) {
      on_header();
      if (answered_) return false;
    }
  }
  return true;
}

/// False while the request's target is not known, and once the connection is on its way to the thread whose it is.
bool Connection::is_for_here() {
  const std::string_view read(input_);
  const size_t line = std::min(read.find('\n'), read.size());
  const size_t begin = std::min(read.find(' '), line);
  const size_t end = std::min(read.find(' ', begin + 1), line);
  if (end == read.size() && read.size() < server_.limits.header_bytes) return false;
  // What is no request line is refused here as well as there.
  if (begin >= end || !server_.is_elsewhere(path_of(read.substr(begin + 1, end - begin - 1)))) return true;
  error_code error;
  if (reading_) {
    moving_ = true;
    socket_.cancel(error);
    return false;
  }
  const auto self = shared_from_this();
  const auto here = socket_.local_endpoint(error);
  const auto descriptor = error ? -1 : socket_.release(error);
  if (error) {
    close();
    return false;
  }
  closed_ = true;
  deadline_.cancel();
  server_.move(self, {here.protocol(), descriptor, std::move(input_), *begun_});
  return false;
}

void Connection::on_header() {
  const auto& message = parser_->get();
  if (message.version() >= 11 && message.count(http::field::host) != 1) {
    refuse_request(400, "the request has no Host, or several");
    return;
  }
  if (message.count(http::field::transfer_encoding) != 0 &&
      lower_case(message[http::field::transfer_encoding]) != "chunked") {
    refuse_request(501, "the request's Transfer-Encoding is not 'chunked'");
    return;
  }
  const std::string encoding = lower_case(message[http::field::content_encoding]);
  if (!encoding.empty() && encoding != "identity") {
    refuse_request(415, "the request's Content-Encoding is not 'identity'");
    return;
  }
  if (parser_->is_done()) return;
  arm(Phase::body, server_.limits.body_time);
  parser_->eager(true);
  if (lower_case(message[http::field::expect]) != "100-continue" || !input_.empty()) return;
  // Nothing else is being written, and so few bytes fit.
  error_code ignored;
  socket_.non_blocking(true, ignored);
  constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
  socket_.send(asio::buffer(go_on), 0, ignored);
}

void Connection::dispatch() {
  auto message = parser_->release();
  HttpRequest request;
  request.method = std::string(message.method_string());
  request.path = path_of(message.target());
  for (const auto& field : message) {
    request.headers.push_back({lower_case(field.name_string()), std::string(field.value())});
    // A target that names a host means that one.
    const std::string_view host = host_of(message.target());
    if (!host.empty() && field.name() == http::field::host) request.headers.back().value = host;
  }
  request.body = std::move(message.body());
  request.begun = *begun_;
  begun_.reset();
  request.received = Clock::now();
  keeps_ = message.keep_alive();
  chunked_ = message.version() >= 11;
  head_only_ = request.method == "HEAD";
  parser_.reset();
  disarm(Phase::answering);
  exchange_ = std::make_shared<OwnExchange>(shared_from_this(), std::move(request));
  try {
    server_.handler(exchange_);
  } catch (const std::exception& error) {
    log_error("a request's handler failed: {}", error.what());
    refuse_request(500, "the server failed");
  }
  if (input_ended_) on_end_of_input();
}

// ---- answering

void Connection::respond(HttpResponse response) {
  if (answered_ || source_) return;
  std::string bytes = head_of(response, response.body.size());
  if (!head_only_) bytes += response.body;
  write(std::move(bytes), true);
}

void Connection::stream(HttpResponse head, std::shared_ptr<BodySource> source) {
  if (answered_ || source_) return;
  keeps_ = keeps_ && chunked_;  // without chunks, the connection's end is the body's
  std::string bytes = head_of(head, {});
  if (head_only_) {
    write(std::move(bytes), true);
    return;
  }
  source_ = std::move(source);
  write(std::move(bytes), false);
}

void Connection::wake() {
  if (source_ && !writing_ && !answered_) pull();
}

/// Answers a request that is none, or too large, and goes: what follows in the input is not to be trusted.
void Connection::refuse_request(int status, std::string_view message) {
  keeps_ = false;
  parser_.reset();
  input_.clear();
  begun_.reset();
  HttpResponse response{status, {{"content-type", "application/json"}}, {}};
  response.body = boost::json::serialize(error_body(message, status < 500 ? "invalid_request_error" : "server_error"));
  respond(std::move(response));
}

std::string Connection::head_of(const HttpResponse& response, std::optional<size_t> length) {
  keeps_ = keeps_ && server_.accepting;
  std::string head =
      fmt::format("HTTP/1.1 {} {}\r\ndate: {}\r\n", response.status,
                  std::string_view(http::obsolete_reason(static_cast<http::status>(response.status))), http_date());
  for (const HttpHeader& header : response.headers) head += fmt::format("{}: {}\r\n", header.name, header.value);
  if (length && response.status != 204) {
    head += fmt::format("content-length: {}\r\n", *length);
  } else if (!length && chunked_) {
    head += "transfer-encoding: chunked\r\n";
  }
  head += keeps_ ? (chunked_ ? "\r\n" : "connection: keep-alive\r\n\r\n") : "connection: close\r\n\r\n";
  return head;
}

std::string Connection::framed(std::string piece) const {
  if (!chunked_ || piece.empty()) return piece;
  return fmt::format("{:x}\r\n{}\r\n", piece.size(), piece);
}

void Connection::pull() {
  std::string bytes = framed(source_->next());
  const bool ended = source_->ended();
  if (bytes.empty() && !ended) {
    arm(Phase::quiet, server_.limits.quiet_time);
    return;
  }
  if (ended) {
    keeps_ = keeps_ && !source_->broken();
    if (chunked_) bytes += "0\r\n\r\n";
  }
  write(std::move(bytes), ended);
}

void Connection::write(std::string bytes, bool last) {
  output_ = std::move(bytes);
  written_ = 0;
  answered_ = last;
  writing_ = true;
  write_some();
}

void Connection::write_some() {
  arm(Phase::writing, server_.limits.write_time);
  socket_.async_write_some(asio::buffer(output_) + written_,
                           [self = shared_from_this()](const error_code& error, size_t bytes) {
                             if (self->closed_) return;
                             if (error) {
                               self->close();
                               return;
                             }
                             self->written_ += bytes;
                             if (self->written_ < self->output_.size()) {
                               self->write_some();
                             } else {
                               self->on_written();
                             }
                           });
}

void Connection::on_written() {
  writing_ = false;
  output_.clear();
  if (!answered_) {
    pull();
    return;
  }
  answered_ = false;
  exchange_.reset();
  source_.reset();
  if (!keeps_ || !server_.accepting) {
    linger();
    return;
  }
  idle_since_ = Clock::now();
  arm(Phase::idle, server_.limits.idle_time);
  process();
  if (closed_) return;
  if (input_ended_ && !exchange_ && !writing_) {
    end_without_request();
  } else {
    read();
  }
}

/// Closing while a client still sends would take from it the answer that it has not read.
void Connection::linger() {
  if (input_ended_ || !lingers_) {
    close();
    return;
  }
  error_code ignored;
  socket_.shutdown(StreamSocket::shutdown_send, ignored);
  input_.clear();
  arm(Phase::lingering, server_.limits.linger_time);
  read();
}

// ---- the deadline

void Connection::arm(Phase phase, std::chrono::milliseconds from_now) {
  phase_ = phase;
  due_ = Clock::now() + from_now;
  if (!waiting_for_ || *due_ < *waiting_for_) wait_for_deadline();
}

/// One timer, which is seldom moved: one that fires too early for what is due by then is set again.
void Connection::wait_for_deadline() {
  waiting_for_ = due_;
  deadline_.expires_at(*due_);
  deadline_.async_wait([self = shared_from_this()](const error_code& error) {
    if (error || self->closed_) return;
    self->waiting_for_.reset();
    if (!self->due_) return;
    if (Clock::now() < *self->due_) {
      self->wait_for_deadline();
    } else {
      self->due_.reset();
      self->on_deadline();
    }
  });
}

void Connection::on_deadline() {
  switch (phase_) {
    case Phase::header:
    case Phase::body: refuse_request(408, "the request was not sent in time"); break;
    case Phase::quiet: write(framed(source_->sign_of_life()), false); break;
    case Phase::idle:
    case Phase::writing:
    case Phase::lingering: close(); break;
    case Phase::answering: break;
  }
}

}  // namespace incipit
