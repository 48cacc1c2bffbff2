#include "load/streamed_request.h"

#include <fmt/format.h>

#include <boost/asio/connect.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/json.h"

namespace incipit {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

double seconds_between(StreamedRequest::Clock::time_point from, StreamedRequest::Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

/// How many tokens a chunk of a completion has, as far as it says: ids, or a piece of text that stands for one.
int64_t tokens_of(const boost::json::object& chunk) {
  const boost::json::value* choices = chunk.if_contains("choices");
  if (choices == nullptr || !choices->is_array() || choices->get_array().empty()) return 0;
  const boost::json::object* choice = choices->get_array().front().if_object();
  if (choice == nullptr) return 0;
  const boost::json::value* ids = choice->if_contains("token_ids");
  if (ids != nullptr && ids->is_array()) return std::ssize(ids->get_array());
  const boost::json::value* text = choice->if_contains("text");
  return text != nullptr && text->is_string() && !text->get_string().empty() ? 1 : 0;
}

void read_count(const boost::json::value* from, std::string_view key, int64_t& into) {
  if (from == nullptr || !from->is_object()) return;
  const boost::json::value* count = from->get_object().if_contains(key);
  if (count != nullptr && count->is_int64()) into = count->get_int64();
}

}  // namespace

LoadTarget parse_target(std::string_view url) {
  constexpr std::string_view scheme = "http://";
  const auto refuse = [&](std::string_view fault) {
    return Error(std::string(url), std::string(fault), "give one such as http://127.0.0.1:8000");
  };
  if (!url.starts_with(scheme)) throw refuse("is no http:// URL");
  std::string_view rest = url.substr(scheme.size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  LoadTarget target;
  target.prefix = rest.substr(slash);
  while (target.prefix.ends_with('/')) target.prefix.pop_back();
  if (target.prefix.ends_with("/v1")) target.prefix.resize(target.prefix.size() - 3);
  rest = rest.substr(0, slash);
  const size_t bracket = rest.starts_with('[') ? rest.find(']') : 0;
  if (bracket == std::string_view::npos) throw refuse("has a '[' without its end");
  const size_t colon = std::min(rest.find(':', bracket), rest.size());
  target.host = bracket > 0 ? rest.substr(1, bracket - 1) : rest.substr(0, colon);
  target.port = colon < rest.size() ? rest.substr(colon + 1) : "80";
  const bool is_number = target.port.find_first_not_of("0123456789") == std::string::npos && target.port.size() <= 5;
  if (target.host.empty() || target.port.empty() || !is_number) throw refuse("has no host, or no port");
  if (const int port = std::stoi(target.port); port < 1 || port > 65535)
    throw refuse("has a port that is not 1 to 65535");
  return target;
}

void EventReader::add(std::string_view bytes, const std::function<void(std::string_view)>& hear) {
  unread_ += bytes;
  size_t at = 0;
  for (size_t end = unread_.find('\n'); end != std::string::npos; end = unread_.find('\n', at)) {
    std::string_view line = std::string_view(unread_).substr(at, end - at);
    at = end + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.starts_with("data:")) continue;  // comments, and the empty line behind an event
    line.remove_prefix(5);
    if (line.starts_with(' ')) line.remove_prefix(1);
    hear(line);
  }
  unread_.erase(0, at);
}

StreamedRequest::StreamedRequest(asio::io_context& loop, const LoadConnection& connection, std::string body)
    : socket_(loop), deadline_(loop), connection_(connection) {
  const LoadTarget& target = connection.target;
  request_.method(http::verb::post);
  request_.target(target.prefix + "/v1/completions");
  request_.version(11);
  request_.set(http::field::host, target.host.find(':') == std::string::npos
                                      ? fmt::format("{}:{}", target.host, target.port)
                                      : fmt::format("[{}]:{}", target.host, target.port));
  request_.set(http::field::content_type, "application/json");
  request_.set(http::field::connection, "close");
  if (!connection.key.empty()) request_.set(http::field::authorization, "Bearer " + connection.key);
  request_.body() = std::move(body);
  request_.prepare_payload();
  parser_.body_limit(boost::none);
}

void StreamedRequest::start(Clock::time_point due, Done done) {
  due_ = due;
  done_ = std::move(done);
  deadline_.expires_after(connection_.timeout);
  deadline_.async_wait([weak = weak_from_this()](const error_code& error) {
    if (const auto self = weak.lock(); self && !error) self->give_up("no end in time");
  });
  asio::async_connect(socket_, connection_.addresses,
                      [self = shared_from_this()](const error_code& error, const asio::ip::tcp::endpoint&) {
                        if (error) {
                          self->finish("cannot connect: " + error.message());
                        } else {
                          self->write();
                        }
                      });
}

void StreamedRequest::write() {
  error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  sent_ = Clock::now();
  result_.waited_s = seconds_between(due_, sent_);
  http::async_write(socket_, request_, [self = shared_from_this()](const error_code& error, size_t) {
    // A server may refuse a request before it has read all of it.
    if (error && error != asio::error::broken_pipe && error != asio::error::connection_reset) {
      self->finish("cannot write: " + error.message());
    } else {
      self->read_head();
    }
  });
}

void StreamedRequest::read_head() {
  http::async_read_header(socket_, buffer_, parser_, [self = shared_from_this()](const error_code& error, size_t) {
    if (error) {
      self->finish("no answer: " + error.message());
      return;
    }
    self->result_.status = static_cast<int>(self->parser_.get().result_int());
    self->read_body();
  });
}

void StreamedRequest::read_body() {
  if (parser_.is_done()) {
    take(std::exchange(parser_.get().body(), {}), Clock::now());
    finish(whole_ ? "" : "the stream has no end");
    return;
  }
  http::async_read_some(socket_, buffer_, parser_, [self = shared_from_this()](const error_code& error, size_t) {
    const Clock::time_point now = Clock::now();
    self->take(std::exchange(self->parser_.get().body(), {}), now);
    if (error) {
      self->finish(self->whole_ ? "" : "the stream broke: " + error.message());
    } else {
      self->read_body();
    }
  });
}

void StreamedRequest::take(std::string_view bytes, Clock::time_point now) {
  constexpr size_t longest_refusal = 2000;
  if (result_.status != 200) {
    refusal_ += bytes.substr(0, longest_refusal - std::min(longest_refusal, refusal_.size()));
    return;
  }
  events_.add(bytes, [&](std::string_view data) { hear(data, now); });
}

void StreamedRequest::hear(std::string_view data, Clock::time_point now) {
  if (data == "[DONE]") {
    whole_ = true;
    return;
  }
  try {
    const boost::json::value parsed = parse_json(data, "the stream");
    const boost::json::object* chunk = parsed.if_object();
    if (chunk == nullptr) return;
    if (chunk->contains("error")) refusal_ = data;
    const boost::json::value* usage = chunk->if_contains("usage");
    if (const int64_t tokens = tokens_of(*chunk); tokens > 0) {
      result_.new_tokens += tokens;
      if (last_) result_.gaps_s.push_back(seconds_between(*last_, now));
      if (!last_) result_.first_s = seconds_between(sent_, now);
      last_ = now;
    }
    read_count(usage, "prompt_tokens", result_.prompt_tokens);
    read_count(usage, "completion_tokens", result_.new_tokens);
    if (usage != nullptr && usage->is_object()) {
      read_count(usage->get_object().if_contains("prompt_tokens_details"), "cached_tokens", result_.cached_tokens);
    }
  } catch (const Error& error) {
    refusal_ = error.what();
  }
}

void StreamedRequest::give_up(const std::string& why) { finish(why); }

void StreamedRequest::finish(const std::string& failure) {
  if (!done_) return;
  deadline_.cancel();
  error_code ignored;
  socket_.close(ignored);
  result_.failure = failure;
  if (!refusal_.empty()) result_.failure = fmt::format("status {}: {}", result_.status, refusal_);
  if (result_.status != 0 && result_.status != 200 && refusal_.empty()) {
    result_.failure = fmt::format("status {}", result_.status);
  }
  if (sent_ != Clock::time_point()) result_.whole_s = seconds_between(sent_, Clock::now());
  std::exchange(done_, {})(std::move(result_));
}

}  // namespace incipit
