#include "server/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

#include "server/call.h"
#include "server/endpoints/endpoints.h"
#include "server/services.h"

namespace incipit {
namespace {

constexpr size_t longest_request_id = 128;

/// A client's own, if it can stand in a header and a log.
bool is_request_id(std::string_view id) {
  return !id.empty() && id.size() <= longest_request_id &&
         std::ranges::all_of(id, [](char c) { return c > ' ' && c <= '~'; });
}

/// A page that may call may send what it asks for: clients' libraries have headers of their own.
std::string allowed_headers(const HttpRequest& request) {
  const std::string* wanted = request.header("access-control-request-headers");
  return wanted == nullptr ? "authorization, content-type, x-request-id" : *wanted;
}

struct Found {
  const Route* route = nullptr;
  std::string rest;     // of the path
  std::string methods;  // of the path's routes
};

bool is_probe(std::string_view path) {
  return std::ranges::any_of(client_routes(), [&](const Route& route) { return route.is_probe && route.path == path; });
}

Found find_route(const HttpRequest& request, std::span<const Route> routes) {
  const std::string_view method = request.method == "HEAD" ? "GET" : std::string_view(request.method);
  Found found;
  for (const Route& route : routes) {
    const bool has_rest = route.path.ends_with('/');
    if (has_rest ? !request.path.starts_with(route.path) || request.path.size() == route.path.size()
                 : request.path != route.path) {
      continue;
    }
    found.methods += found.methods.empty() ? route.method : fmt::format(", {}", route.method);
    if (route.method != method) continue;
    found.route = &route;
    found.rest = has_rest ? request.path.substr(route.path.size()) : std::string();
  }
  return found;
}

std::shared_ptr<Services> services_of(const ServerOptions& options, ModelTable& models) {
  auto services = std::make_shared<Services>(models, options.most_requests, options.explain_cache, options.follower);
  services->record_by(options.recorder);
  return services;
}

}  // namespace

Server::Server(const ServerOptions& options, std::shared_ptr<ModelTable> models)
    : options_(options),
      models_(std::move(models)),
      services_(services_of(options, *models_)),
      http_(std::make_unique<HttpServer>(
          options.http, [this](const std::shared_ptr<Exchange>& exchange) { handle(exchange); },
          [administration = options.administration](std::string_view path) {
            return !administration && is_probe(path);
          })) {}

Server::~Server() {
  http_.reset();
  services_->work().stop();
}

void Server::drain(std::chrono::milliseconds longest) {
  constexpr auto last_words = std::chrono::seconds(1);
  services_->draining() = true;
  http_->stop_accepting();
  if (http_->wait_until_idle(longest)) return;
  http_->abandon();
  http_->wait_until_idle(last_words);
}

void Server::handle(const std::shared_ptr<Exchange>& exchange) {
  const HttpRequest& request = exchange->request();
  const std::string* given_id = request.header("x-request-id");
  const std::string* host = request.header("host");
  const std::string* origin = request.header("origin");
  const std::string* authorization = request.header("authorization");
  const std::string host_name = host == nullptr ? "localhost" : *host;  // of HTTP/1.0
  const bool from_page = origin != nullptr;
  const bool allowed_page = !from_page || is_allowed_origin(*origin, host_name, options_.origins);

  std::vector<HttpHeader> headers;
  if (from_page && allowed_page) {
    headers.push_back({"access-control-allow-origin", *origin});
    headers.push_back(
        {"access-control-expose-headers",
         "x-request-id, server-timing, retry-after, retry-after-ms, x-should-retry, x-predicted-ttft-ms"});
    headers.push_back({"vary", "origin"});
  }
  const auto call = std::make_shared<Call>(
      exchange,
      given_id != nullptr && is_request_id(*given_id) ? *given_id : fmt::format("req-{:016x}", services_->random()),
      headers, options_.log);
  const auto refuse = [&](int status, std::string message, std::string code, std::vector<HttpHeader> more = {}) {
    call->fail({status, std::move(message), "invalid_request_error", "", std::move(code)}, std::move(more));
  };
  if (!is_allowed_host(host_name, options_.hosts)) {
    refuse(403, fmt::format("the host '{}' is not served; --allow-host names those that are", host_name), "host");
  } else if (!allowed_page) {
    refuse(403, fmt::format("pages of '{}' may not call; --allow-origin names those that may", *origin), "origin");
  } else if (const Found found =
                 find_route(request, options_.administration ? administration_routes() : client_routes());
             found.methods.empty()) {
    refuse(404, fmt::format("there is no '{}'", request.path), "not_found");
  } else if (request.method == "OPTIONS") {
    call->respond_with(HttpResponse{204,
                                    {{"allow", found.methods},
                                     {"access-control-allow-methods", found.methods},
                                     {"access-control-allow-headers", allowed_headers(request)},
                                     {"access-control-max-age", "600"}},
                                    {}});
  } else if (found.route == nullptr) {
    refuse(405, fmt::format("'{}' takes {}", request.path, found.methods), "method_not_allowed",
           {{"allow", found.methods}});
  } else if (const bool open = found.route->guard == Guard::open || options_.keys.empty(); open) {
    found.route->endpoint({services_, call, found.rest});
  } else if (const auto key = options_.keys.accept(authorization == nullptr ? "" : *authorization); key) {
    call->set_caller(*key);
    found.route->endpoint({services_, call, found.rest});
  } else {
    refuse(401, "a valid API key is needed: 'Authorization: Bearer KEY'", "invalid_api_key",
           {{"www-authenticate", "Bearer"}});
  }
}

}  // namespace incipit
