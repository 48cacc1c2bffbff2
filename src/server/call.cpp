#include "server/call.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "openai/answer_body.h"

namespace incipit {

ApiError api_error(const BadRequest& fault) {
  return {400, fault.what(), "invalid_request_error", fault.parameter(), fault.code()};
}

boost::json::object body_of(const ApiError& error) {
  return error_body(error.message, error.type, error.parameter, error.code);
}

Call::Call(std::shared_ptr<Exchange> exchange, std::string request_id, std::vector<HttpHeader> headers,
           std::shared_ptr<AccessLog> log)
    : exchange_(std::move(exchange)),
      request_id_(std::move(request_id)),
      log_(std::move(log)),
      headers_(std::move(headers)) {
  headers_.push_back({"x-request-id", request_id_});
}

Call::~Call() {
  if (!log_) return;
  record_.id = request_id_;
  record_.method = request().method;
  record_.path = request().path;
  record_.begun = request().begun;
  record_.status = status_ == 0 ? left_status : status_.load();
  log_->add(record_);
}

void Call::respond_with(HttpResponse response) {
  status_ = response.status;
  response.headers.insert(response.headers.end(), headers_.begin(), headers_.end());
  exchange_->respond(std::move(response));
}

void Call::respond(const boost::json::value& body, std::vector<HttpHeader> more) {
  more.push_back({"content-type", "application/json"});
  respond_with({200, std::move(more), boost::json::serialize(body)});
}

void Call::fail(const ApiError& error, std::vector<HttpHeader> more) {
  more.push_back({"content-type", "application/json"});
  HttpResponse response{error.status, std::move(more), boost::json::serialize(body_of(error))};
  // What clients of the API obey, the most exact one first.
  if (error.retry_ms > 0) {
    constexpr int64_t longest = 60;  // seconds: what clients obey
    response.headers.push_back({"retry-after-ms", fmt::format("{}", error.retry_ms)});
    response.headers.push_back({"retry-after", fmt::format("{}", std::min(longest, (error.retry_ms + 999) / 1000))});
  }
  if (error.predicted_ms > 0)
    response.headers.push_back({"x-predicted-ttft-ms", fmt::format("{}", error.predicted_ms)});
  if (error.status >= 400) response.headers.push_back({"x-should-retry", error.retry_ms > 0 ? "true" : "false"});
  respond_with(std::move(response));
}

void Call::stream(std::shared_ptr<BodySource> source, std::vector<HttpHeader> more) {
  // Proxies that gather answers would keep tokens back.
  status_ = 200;
  HttpResponse head{200, std::move(more), {}};
  head.headers.push_back({"content-type", "text/event-stream; charset=utf-8"});
  head.headers.push_back({"cache-control", "no-cache"});
  head.headers.push_back({"x-accel-buffering", "no"});
  head.headers.insert(head.headers.end(), headers_.begin(), headers_.end());
  exchange_->stream(std::move(head), std::move(source));
}

}  // namespace incipit
