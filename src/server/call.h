// A request to an endpoint, and the forms of its answer.
#pragma once

#include <atomic>
#include <boost/json/fwd.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "openai/bad_request.h"
#include "server/access.h"
#include "server/access_log.h"
#include "server/http.h"

namespace incipit {

/// An answer that is an error in OpenAI's shape.
struct ApiError {
  int status = 500;
  std::string message;
  std::string type = "server_error";
  std::string parameter = {}, code = {};
  int64_t retry_ms = 0;      // when to ask again; 0: asking again is of no use
  int64_t predicted_ms = 0;  // when the first token would come, where that is the reason
};

ApiError api_error(const BadRequest& fault);
boost::json::object body_of(const ApiError& error);

class Call {
 public:
  /// `headers` go with every answer. `log` (null: none) hears of the call when it goes.
  Call(std::shared_ptr<Exchange> exchange, std::string request_id, std::vector<HttpHeader> headers,
       std::shared_ptr<AccessLog> log = nullptr);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  const HttpRequest& request() const { return exchange_->request(); }
  Exchange& exchange() { return *exchange_; }
  const std::string& request_id() const { return request_id_; }
  /// Whose request it is.
  const Caller& caller() const { return caller_; }
  void set_caller(const Caller& caller) { caller_ = caller; }
  /// What the access log says of it, beside its status. Of whoever has the call last.
  AccessRecord& record() { return record_; }
  /// The client did not wait for the end of its answer.
  void set_left() { status_ = left_status; }

  void respond(const boost::json::value& body, std::vector<HttpHeader> more = {});
  /// An answer that is no JSON.
  void respond_with(HttpResponse response);
  void fail(const ApiError& error, std::vector<HttpHeader> more = {});
  /// Server-sent events.
  void stream(std::shared_ptr<BodySource> source, std::vector<HttpHeader> more = {});

 private:
  static constexpr int left_status = 499;  // nginx's

  std::shared_ptr<Exchange> exchange_;
  std::string request_id_;
  std::shared_ptr<AccessLog> log_;
  AccessRecord record_;
  std::atomic<int> status_{0};  // of the answer; 0: none yet
  Caller caller_;
  std::vector<HttpHeader> headers_;
};

}  // namespace incipit
