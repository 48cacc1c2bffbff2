// The server: models behind OpenAI's API, over HTTP.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "server/access.h"
#include "server/access_log.h"
#include "server/http_server.h"
#include "server/served_model.h"

namespace incipit {

class Recorder;
class Services;
class StoreFollower;

struct ServerOptions {
  HttpServerOptions http;
  ApiKeys keys;                        // none: no key is asked for
  std::vector<std::string> hosts;      // access.h
  std::vector<std::string> origins;    // pages that may call
  std::shared_ptr<AccessLog> log;      // null: none
  std::shared_ptr<Recorder> recorder;  // null: requests are not recorded
  size_t most_requests = 256;          // being prepared or answered at once; more are refused
  bool explain_cache = false;          // to the access log, and in timings
  StoreFollower* follower = nullptr;   // of the store that is served; outlives the server
  bool administration = false;         // serves the administration's routes instead of the clients'
};

class Server {
 public:
  /// Serves from now on. Throws Error naming the address that cannot be listened at.
  Server(const ServerOptions& options, std::shared_ptr<ModelTable> models);
  /// Ends what is unanswered.
  ~Server();

  int port() const { return http_->port(); }
  /// Takes no connection and no request any more and waits for the answers to those that it has; behind `longest`
  /// ends the rest with an error.
  void drain(std::chrono::milliseconds longest);

 private:
  void handle(const std::shared_ptr<Exchange>& exchange);

  const ServerOptions options_;
  std::shared_ptr<ModelTable> models_;
  std::shared_ptr<Services> services_;
  std::unique_ptr<HttpServer> http_;
};

}  // namespace incipit
