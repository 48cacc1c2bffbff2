#include "server/http_server.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <functional>
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
  if (!S_ISSOCK(status.st_mode)) throw Error(path, "exists and is no socket", "choose another path for the socket");
  boost::system::error_code error;
  LocalStream::socket probe(loop);
  probe.connect(LocalStream::endpoint(path), error);
  if (!error) throw Error(path, "another server listens at it", "choose another path for the socket, or stop that one");
  ::unlink(path.c_str());
}

/// A socket's permissions before it has a name are those that it gets with it, but for what the umask takes: so nobody
/// reaches it who may not.
void set_mode_before_name(LocalStream::acceptor& acceptor, const std::optional<mode_t>& mode) {
  if (mode) ::fchmod(acceptor.native_handle(), *mode);
}

void set_mode(const std::string& path, const std::optional<mode_t>& mode) {
  if (!mode || ::chmod(path.c_str(), *mode) == 0) return;
  const int fault = errno;
  ::unlink(path.c_str());
  throw Error(path, fmt::format("cannot be given the permissions {:o}: {}", *mode, std::strerror(fault)),
              "choose another --socket, or leave --socket-mode out");
}

/// `opened` is called between the socket's making and its naming.
template <typename Protocol, typename Opened>
void listen_at(typename Protocol::acceptor& acceptor, const typename Protocol::endpoint& endpoint,
               const std::string& name, Opened opened) {
  boost::system::error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error && std::is_same_v<Protocol, tcp>)
    acceptor.set_option(boost::asio::socket_base::reuse_address(true), error);
  if (!error) opened();
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(boost::asio::socket_base::max_listen_connections, error);
  if (error) {
    throw Error(name, fmt::format("cannot be listened at: {}", error.message()),
                "choose another, or stop who listens there");
  }
}

/// A thread and its connections.
struct Loop {
  boost::asio::io_context context{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work = boost::asio::make_work_guard(context);
  Connection::Server shared;
  std::set<std::shared_ptr<Connection>> connections;  // the thread's
  bool ending = false;                                // the thread's
  std::thread thread;

  /// Closes the connection that has been idle for longest, and for longer than since then; false where there is none.
  /// Those that use their connection keep it.
  bool close_idle(const std::shared_ptr<Connection>& but = nullptr,
                  HttpRequest::Clock::time_point before = HttpRequest::Clock::time_point::max()) {
    const std::shared_ptr<Connection> oldest = oldest_idle(but);
    if (!oldest || oldest->idle_since() >= before) return false;
    oldest->close();
    return true;
  }
  std::shared_ptr<Connection> oldest_idle(const std::shared_ptr<Connection>& but) const {
    std::shared_ptr<Connection> oldest;
    for (const auto& one : connections) {
      if (one != but && one->is_idle() && (!oldest || one->idle_since() < oldest->idle_since())) oldest = one;
    }
    return oldest;
  }
  void for_all(void (Connection::*act)()) {
    for (const auto& one : std::set(connections)) ((*one).*act)();
  }
};

}  // namespace

struct HttpServer::State {
  Loop requests;
  Loop probes;  // accepts, too
  tcp::acceptor network{probes.context};
  LocalStream::acceptor local{probes.context};
  boost::asio::steady_timer pause{probes.context};
  std::string socket_path;
  int port = -1;
  mutable std::mutex mutex;
  std::condition_variable fewer;
  size_t open = 0;  // connections; under the mutex

  void set_up(Loop& loop, Loop& other, const HttpLimits& limits, const HttpHandler& handler) {
    loop.shared.door = std::make_shared<LoopDoor>(loop.context);
    loop.shared.limits = limits;
    loop.shared.handler = handler;
    loop.shared.closed = [this, &loop](const std::shared_ptr<Connection>& connection) {
      loop.connections.erase(connection);
      count(-1);
    };
    loop.shared.move = [this, &loop, &other](const std::shared_ptr<Connection>& from, Connection::Moved moved) {
      loop.connections.erase(from);
      StreamSocket socket(other.context, moved.protocol, moved.descriptor);
      boost::asio::post(other.context, [this, &other, socket = std::move(socket), moved = std::move(moved)]() mutable {
        const auto connection = std::make_shared<Connection>(std::move(socket), other.shared);
        other.connections.insert(connection);
        // What is beyond the limit was let in for probes.
        if (&other == &requests && beyond() > 0 && !other.close_idle(connection)) {
          connection->refuse();
        } else {
          connection->go_on(std::move(moved.input), moved.begun);
        }
        if (other.ending) connection->close();
      });
    };
  }

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
      count(1);
      const auto connection = std::make_shared<Connection>(StreamSocket(std::move(socket)), probes.shared);
      probes.connections.insert(connection);
      beyond() > 0 ? make_room(connection) : connection->start();
      if (probes.ending) connection->close();
      accept<Protocol>(acceptor);
    });
  }

  /// By how many connections there are more than there may be.
  size_t beyond() const {
    const std::lock_guard lock(mutex);
    const size_t most = probes.shared.limits.connections;
    return open > most ? open - most : 0;
  }

  /// Starts a newcomer in the place of whoever has been idle for longest, in either thread. Where nobody is, it may ask
  /// for probes; but not without end.
  void make_room(const std::shared_ptr<Connection>& newcomer) {
    const auto oldest = probes.oldest_idle(newcomer);
    const auto before = oldest ? oldest->idle_since() : HttpRequest::Clock::time_point::max();
    requests.shared.door->run([this, newcomer, before] {
      const bool has_room = requests.close_idle(nullptr, before);
      boost::asio::post(probes.context, [this, newcomer, has_room] {
        if (!probes.connections.contains(newcomer)) return;  // closed
        if (has_room || probes.close_idle(newcomer) || beyond() <= probes.shared.limits.probe_connections) {
          newcomer->start();
        } else {
          newcomer->refuse();
        }
      });
    });
  }

  void count(int more) {
    {
      const std::lock_guard lock(mutex);
      open += static_cast<size_t>(more);
    }
    fewer.notify_all();
  }

  void stop_accepting(Loop& loop) {
    loop.shared.accepting = false;
    if (&loop == &probes) {
      boost::system::error_code ignored;
      network.close(ignored);
      local.close(ignored);
      pause.cancel();
    }
    loop.for_all(&Connection::close_if_idle);
  }

  /// Runs `act` for both loops, each in its thread.
  template <typename Act>
  void in_both(Act act) {
    for (Loop* loop : {&probes, &requests}) {
      loop->shared.door->run([loop, act] { act(*loop); });
    }
  }
};

HttpServer::HttpServer(const HttpServerOptions& options, const HttpHandler& handler,
                       std::function<bool(std::string_view)> is_probe)
    : state_(std::make_unique<State>()) {
  State& state = *state_;
  if (options.port >= 0) {
    const std::string name = fmt::format("{} port {}", options.host, options.port);
    listen_at<tcp>(state.network, {address_of(options.host), static_cast<uint16_t>(options.port)}, name, [] {});
    state.port = state.network.local_endpoint().port();
  }
  if (!options.socket.empty()) {
    remove_stale_socket(state.probes.context, options.socket);
    try {
      listen_at<LocalStream>(state.local, LocalStream::endpoint(options.socket), options.socket,
                             [&] { set_mode_before_name(state.local, options.socket_mode); });
    } catch (const boost::system::system_error& error) {  // a path that is too long
      throw Error(options.socket, error.code().message(), "choose a shorter path for the socket");
    }
    state.socket_path = options.socket;
    set_mode(options.socket, options.socket_mode);
  }
  state.set_up(state.probes, state.requests, options.limits, handler);
  state.set_up(state.requests, state.probes, options.limits, handler);
  state.probes.shared.is_elsewhere = [is_probe](std::string_view path) { return !is_probe(path); };
  state.requests.shared.is_elsewhere = std::move(is_probe);
  if (state.network.is_open()) state.accept<tcp>(state.network);
  if (state.local.is_open()) state.accept<LocalStream>(state.local);
  for (Loop* loop : {&state.probes, &state.requests}) {
    loop->thread = std::thread([loop] { loop->context.run(); });
  }
}

HttpServer::~HttpServer() {
  state_->in_both([state = state_.get()](Loop& loop) {
    loop.ending = true;
    state->stop_accepting(loop);
    loop.for_all(&Connection::close);
    loop.work.reset();
  });
  for (Loop* loop : {&state_->probes, &state_->requests}) loop->thread.join();
  for (Loop* loop : {&state_->probes, &state_->requests}) loop->shared.door->shut();
  if (!state_->socket_path.empty()) ::unlink(state_->socket_path.c_str());
}

int HttpServer::port() const { return state_->port; }

void HttpServer::stop_accepting() {
  // Once an idle connection is closed, nobody new is taken.
  state_->probes.shared.door->run([state = state_.get()] {
    state->stop_accepting(state->probes);
    state->requests.shared.door->run([state] { state->stop_accepting(state->requests); });
  });
}

bool HttpServer::wait_until_idle(std::chrono::milliseconds longest) {
  std::unique_lock lock(state_->mutex);
  return state_->fewer.wait_for(lock, longest, [this] { return state_->open == 0; });
}

void HttpServer::abandon() {
  state_->in_both([](Loop& loop) { loop.for_all(&Connection::abandon); });
}

size_t HttpServer::connections() const {
  const std::lock_guard lock(state_->mutex);
  return state_->open;
}

}  // namespace incipit
