#include "load/load.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/progress.h"

namespace incipit {
namespace {

using boost::asio::ip::tcp;
using LoadClock = StreamedRequest::Clock;

tcp::resolver::results_type addresses_of(boost::asio::io_context& loop, const LoadTarget& target) {
  boost::system::error_code error;
  auto found = tcp::resolver(loop).resolve(target.host, target.port, error);
  if (error) throw Error(target.host, fmt::format("is not found: {}", error.message()), "see the URL");
  return found;
}

std::chrono::milliseconds timeout_of(const LoadOptions& options) {
  return std::chrono::milliseconds(static_cast<int64_t>(1e3 * options.timeout_s));
}

/// All requests of a load on one loop.
class LoadRun {
 public:
  LoadRun(const LoadOptions& options, const std::function<bool(size_t)>& tell) : options_(options), tell_(tell) {
    connection_.target = options.target;
    connection_.addresses = addresses_of(loop_, options.target);
    connection_.key = options.key;
    connection_.timeout = timeout_of(options);
  }

  LoadOutcome run() {
    begun_ = LoadClock::now();
    for (int32_t user = 0; user < options_.users; ++user) start_next(LoadClock::now());
    if (options_.users == 0) start_due();
    watch();
    loop_.run();
    return {std::move(results_), std::chrono::duration<double>(LoadClock::now() - begun_).count()};
  }

 private:
  static constexpr auto watching = std::chrono::milliseconds(50);

  LoadClock::time_point due_time(size_t number) const {
    const double seconds = options_.arrivals[number].due_s / options_.speed;
    return begun_ + std::chrono::duration_cast<LoadClock::duration>(std::chrono::duration<double>(seconds));
  }
  bool has_next() const { return !stopping_ && next_ < options_.arrivals.size(); }

  /// Starts what is due, and waits for the next.
  void start_due() {
    while (has_next() && running_.size() < static_cast<size_t>(options_.most_at_once)) {
      if (due_time(next_) > LoadClock::now()) {
        alarm_.expires_at(due_time(next_));
        alarm_.async_wait([this](const boost::system::error_code& error) {
          if (!error) start_due();
        });
        return;
      }
      start_next(due_time(next_));
    }
  }

  void start_next(LoadClock::time_point due) {
    if (!has_next()) return;
    const size_t number = next_++;
    const auto request = std::make_shared<StreamedRequest>(loop_, connection_, body_of(number));
    running_.emplace(number, request);
    request->start(due, [this, number](LoadResult result) {
      result.asked_tokens = options_.arrivals[number].prompt_tokens;
      results_.push_back(std::move(result));
      running_.erase(number);
      if (options_.users > 0) {
        start_next(LoadClock::now());
      } else {
        start_due();
      }
      if (running_.empty() && !has_next()) watch_.cancel();
    });
  }

  std::string body_of(size_t number) const {
    const Arrival& arrival = options_.arrivals[number];
    boost::json::object body{{"prompt", boost::json::value_from(prompt_of(arrival, number, options_.seed,
                                                                          options_.first_id, options_.last_id))},
                             {"max_tokens", arrival.new_tokens},
                             {"temperature", 0},
                             {"ignore_eos", true},
                             {"stream", true},
                             {"stream_options", {{"include_usage", true}}},
                             {"return_token_ids", true}};
    if (!options_.model.empty()) body["model"] = options_.model;
    return boost::json::serialize(body);
  }

  void watch() {
    if (running_.empty() && !has_next()) return;
    watch_.expires_after(watching);
    watch_.async_wait([this](const boost::system::error_code& error) {
      if (error) return;
      if (!tell_(results_.size())) {
        stopping_ = true;
        alarm_.cancel();
        for (const auto& [number, request] : std::map(running_)) request->give_up("the load was ended");
        return;
      }
      watch();
    });
  }

  const LoadOptions& options_;
  const std::function<bool(size_t)>& tell_;
  boost::asio::io_context loop_{1};
  boost::asio::steady_timer alarm_{loop_}, watch_{loop_};
  LoadConnection connection_;
  LoadClock::time_point begun_;
  size_t next_ = 0;
  std::map<size_t, std::shared_ptr<StreamedRequest>> running_;
  std::vector<LoadResult> results_;
  bool stopping_ = false;
};

/// Starts an operation and waits for its end, or for Ctrl-C. Throws what the operation failed of.
template <typename Start>
void wait_for(boost::asio::io_context& loop, Start start) {
  constexpr auto between_looks = std::chrono::milliseconds(50);
  std::optional<boost::system::error_code> end;
  start([&end](const boost::system::error_code& error, auto&&...) { end = error; });
  for (loop.restart(); !end;) {
    loop.run_for(between_looks);
    check_interrupt();
  }
  if (*end) throw boost::system::system_error(*end);
}

}  // namespace

LoadModel ask_for_model(const LoadOptions& options) {
  namespace http = boost::beast::http;
  boost::asio::io_context loop;
  boost::beast::tcp_stream stream(loop);
  const std::string name = fmt::format("{}:{}", options.target.host, options.target.port);
  http::request<http::empty_body> request(http::verb::get, options.target.prefix + "/v1/models", 11);
  request.set(http::field::host, name);
  request.set(http::field::connection, "close");
  if (!options.key.empty()) request.set(http::field::authorization, "Bearer " + options.key);
  http::response<http::string_body> response;
  try {
    stream.expires_after(timeout_of(options));
    const auto addresses = addresses_of(loop, options.target);
    boost::beast::flat_buffer buffer;
    wait_for(loop, [&](auto done) { stream.async_connect(addresses, done); });
    wait_for(loop, [&](auto done) { http::async_write(stream, request, done); });
    wait_for(loop, [&](auto done) { http::async_read(stream, buffer, response, done); });
  } catch (const boost::system::system_error& error) {
    throw Error(name, fmt::format("does not answer: {}", error.code().message()), "start a server, or see the URL");
  }
  if (response.result() != http::status::ok) {
    throw Error(name, fmt::format("answers /v1/models with status {}", response.result_int()),
                "see the URL and --api-key-file");
  }
  const boost::json::value body = parse_json(response.body(), name + "/v1/models");
  const boost::json::value* data = body.is_object() ? body.get_object().if_contains("data") : nullptr;
  for (const boost::json::value& one : data != nullptr && data->is_array() ? data->get_array() : boost::json::array()) {
    const boost::json::object* model = one.if_object();
    const boost::json::value* id = model == nullptr ? nullptr : model->if_contains("id");
    if (id == nullptr || !id->is_string() || (!options.model.empty() && *id != boost::json::value(options.model))) {
      continue;
    }
    LoadModel found{std::string(id->get_string()), 0};
    const boost::json::value* context = model->if_contains("max_model_len");
    if (context != nullptr && context->is_int64()) {
      found.context = static_cast<int32_t>(std::clamp<int64_t>(context->get_int64(), 0, INT32_MAX));
    }
    return found;
  }
  throw Error(name, options.model.empty() ? "serves no model" : fmt::format("does not serve '{}'", options.model),
              "give --model one of its names");
}

LoadOutcome run_load(const LoadOptions& options, const std::function<bool(size_t)>& tell) {
  return LoadRun(options, tell).run();
}

}  // namespace incipit
