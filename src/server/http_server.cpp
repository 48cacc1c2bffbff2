#include "server/http_server.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "server/connection.h"
#include "server/loop_door.h"

namespace incipit {
namespace {

using boost::asio::ip::tcp;
using LocalStream = boost::asio::local::stream_protocol;

constexpr int bytes_sent_ahead = 256 << 10;

boost::asio::ip::address address_of(const std::string& host) {
  if (host == "localhost") return boost::asio::ip::address_v4::loopback();
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(host, error);
  if (error) throw Error("--host", fmt::format("'{}' is no address", host), "give one such as 127.0.0.1 or 0.0.0.0");
  return address;
}

/// A socket that a server which was killed has left is removed; one that answers is somebody's.
void remove_stale_socket(boost::asio::io_context& loop, const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return;
  if (!S_ISSOCK(status.st_mode)) throw Error(path, "exists and is no socket", "choose another --socket");
  boost::system::error_code error;
  LocalStream::socket probe(loop);
  probe.connect(LocalStream::endpoint(path), error);
  if (!error) throw Error(path, "another server listens at it", "choose another --socket, or stop that one");
  ::unlink(path.c_str());
}

template <typename Protocol>
void listen_at(typename Protocol::acceptor& acceptor, const typename Protocol::endpoint& endpoint,
               const std::string& name) {
  boost::system::error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error && std::is_same_v<Protocol, tcp>)
    acceptor.set_option(boost::asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(boost::asio::socket_base::max_listen_connections, error);
  if (error) {
    throw Error(name, fmt::format("cannot be listened at: {}", error.message()),
                "choose another, or stop who listens there");
  }
}

}  // namespace

struct HttpServer::State {
  boost::asio::io_context loop{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work = boost::asio::make_work_guard(loop);
  std::shared_ptr<LoopDoor> door = std::make_shared<LoopDoor>(loop);
  tcp::acceptor network{loop};
  LocalStream::acceptor local{loop};
  boost::asio::steady_timer pause{loop};
  std::string socket_path;
  int port = -1;
  Connection::Server shared;
  std::set<std::shared_ptr<Connection>> connections;  // the loop's thread's
  mutable std::mutex mutex;
  std::condition_variable fewer;
  size_t open = 0;  // connections; under the mutex
  std::thread thread;

  template <typename Protocol>
  void accept(typename Protocol::acceptor& acceptor) {
    acceptor.async_accept([this, &acceptor](const boost::system::error_code& error, typename Protocol::socket socket) {
      if (!acceptor.is_open()) return;
      if (error) {
        // No descriptors, most likely: some will be free again.
        constexpr auto a_moment = std::chrono::milliseconds(50);
        log_warning("a connection cannot be accepted: {}", error.message());
        pause.expires_after(a_moment);
        pause.async_wait([this, &acceptor](const boost::system::error_code& stopped) {
          if (!stopped && acceptor.is_open()) accept<Protocol>(acceptor);
        });
        return;
      }
      boost::system::error_code ignored;
      // What the system would keep for a client that does not read, it would keep for each of them.
      socket.set_option(boost::asio::socket_base::send_buffer_size(bytes_sent_ahead), ignored);
      if constexpr (std::is_same_v<Protocol, tcp>) socket.set_option(tcp::no_delay(true), ignored);
      admit(std::make_shared<Connection>(StreamSocket(std::move(socket)), shared));
      accept<Protocol>(acceptor);
    });
  }

  /// Keeps room for a newcomer: those that use their connection keep it.
  void admit(std::shared_ptr<Connection> connection) {
    std::shared_ptr<Connection> oldest;
    if (connections.size() >= shared.limits.connections) {
      for (const auto& one : connections) {
        if (one->is_idle() && (!oldest || one->idle_since() < oldest->idle_since())) oldest = one;
      }
    }
    const bool full = connections.size() >= shared.limits.connections && !oldest;
    if (oldest) oldest->close();
    connections.insert(connection);
    count();
    connection->start();
    if (full) connection->refuse();
  }

  void count() {
    {
      const std::lock_guard lock(mutex);
      open = connections.size();
    }
    fewer.notify_all();
  }

  void stop_accepting() {
    shared.accepting = false;
    boost::system::error_code ignored;
    network.close(ignored);
    local.close(ignored);
    pause.cancel();
    for (const auto& one : std::set(connections)) one->close_if_idle();
  }
};

HttpServer::HttpServer(const HttpServerOptions& options, HttpHandler handler) : state_(std::make_unique<State>()) {
  State& state = *state_;
  if (options.port >= 0) {
    const std::string name = fmt::format("{} port {}", options.host, options.port);
    listen_at<tcp>(state.network, {address_of(options.host), static_cast<uint16_t>(options.port)}, name);
    state.port = state.network.local_endpoint().port();
  }
  if (!options.socket.empty()) {
    remove_stale_socket(state.loop, options.socket);
    try {
      listen_at<LocalStream>(state.local, LocalStream::endpoint(options.socket), options.socket);
    } catch (const boost::system::system_error& error) {  // a path that is too long
      throw Error(options.socket, error.code().message(), "choose a shorter --socket");
    }
    state.socket_path = options.socket;
  }
  state.shared.door = state.door;
  state.shared.limits = options.limits;
  state.shared.handler = std::move(handler);
  state.shared.closed = [&state](const std::shared_ptr<Connection>& connection) {
    state.connections.erase(connection);
    state.count();
  };
  if (state.network.is_open()) state.accept<tcp>(state.network);
  if (state.local.is_open()) state.accept<LocalStream>(state.local);
  state.thread = std::thread([&state] { state.loop.run(); });
}

HttpServer::~HttpServer() {
  state_->door->run([this] {
    state_->stop_accepting();
    for (const auto& one : std::set(state_->connections)) one->close();
    state_->work.reset();
  });
  state_->thread.join();
  state_->door->shut();
  if (!state_->socket_path.empty()) ::unlink(state_->socket_path.c_str());
}

int HttpServer::port() const { return state_->port; }

void HttpServer::stop_accepting() {
  state_->door->run([this] { state_->stop_accepting(); });
}

bool HttpServer::wait_until_idle(std::chrono::milliseconds longest) {
  std::unique_lock lock(state_->mutex);
  return state_->fewer.wait_for(lock, longest, [this] { return state_->open == 0; });
}

void HttpServer::abandon() {
  state_->door->run([this] {
    for (const auto& one : std::set(state_->connections)) one->abandon();
  });
}

size_t HttpServer::connections() const {
  const std::lock_guard lock(state_->mutex);
  return state_->open;
}

}  // namespace incipit
