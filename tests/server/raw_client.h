// A client that says and hears exactly what a test wants: bytes on a socket.
#pragma once

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace incipit {

/// An answer as it came; the body without its chunks.
struct RawResponse {
  int status = 0;
  std::map<std::string, std::string> headers;
  std::string body;

  boost::json::object json() const { return boost::json::parse(body).as_object(); }
  std::string error_code() const { return text_or_empty("code"); }
  std::string error_parameter() const { return text_or_empty("param"); }

 private:
  std::string text_or_empty(std::string_view key) const {
    const boost::json::object whole = json();
    const boost::json::value& found = whole.at("error").as_object().at(key);
    return found.is_null() ? "" : std::string(found.as_string());
  }
};

class RawClient {
 public:
  static constexpr int patience = 20'000;  // ms

  explicit RawClient(int port) : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      throw std::runtime_error("no server");
    }
  }
  explicit RawClient(const std::string& path) : descriptor_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    if (::connect(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      throw std::runtime_error("no server");
    }
  }
  ~RawClient() { close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  void close() {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  }
  void end_sending() { ::shutdown(descriptor_, SHUT_WR); }
  void shrink_receiving(int bytes) { ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes); }

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return;  // what was refused is answered
      bytes.remove_prefix(static_cast<size_t>(count));
    }
  }
  static std::string request(std::string_view method, std::string_view path, std::string_view body = {},
                             std::string_view headers = {}) {
    return fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: {}\r\n\r\n{}", method, path, headers,
                       body.size(), body);
  }
  void get(std::string_view path, std::string_view headers = {}) { send(request("GET", path, {}, headers)); }
  void post(std::string_view path, const boost::json::object& body, std::string_view headers = {}) {
    send(request("POST", path, boost::json::serialize(body), headers));
  }

  /// The next answer, whole.
  RawResponse read() {
    RawResponse response = read_head();
    const auto length = response.headers.find("content-length");
    if (length != response.headers.end()) {
      const size_t bytes = std::stoul(length->second);
      fill([&] { return input_.size() >= bytes; });
      response.body = take(bytes);
    } else if (response.headers.contains("transfer-encoding")) {
      while (true) {
        const std::string chunk = read_chunk();
        if (chunk.empty()) break;
        response.body += chunk;
      }
    }
    return response;
  }
  RawResponse read_head() {
    fill([&] { return input_.find("\r\n\r\n") != std::string::npos; });
    const std::string head = take(input_.find("\r\n\r\n") + 4);
    RawResponse response;
    response.status = std::stoi(head.substr(9, 3));
    for (size_t at = head.find("\r\n") + 2; at + 2 < head.size();) {
      const size_t end = head.find("\r\n", at);
      const size_t colon = head.find(": ", at);
      response.headers[head.substr(at, colon - at)] = head.substr(colon + 2, end - colon - 2);
      at = end + 2;
    }
    return response;
  }
  /// The next chunk of a body; empty at its end.
  std::string read_chunk() {
    fill([&] { return input_.find("\r\n") != std::string::npos; });
    const size_t size = std::stoul(take(input_.find("\r\n") + 2), nullptr, 16);
    fill([&] { return input_.size() >= size + 2; });
    const std::string chunk = take(size);
    take(2);
    return chunk;
  }
  /// Nothing was sent and nothing comes any more.
  bool is_closed() {
    while (read_some()) {
    }
    return input_.empty();
  }

 private:
  bool read_some() {
    pollfd one{descriptor_, POLLIN, 0};
    if (::poll(&one, 1, patience) <= 0) throw std::runtime_error("nothing came; read so far: " + input_);
    char buffer[4096];
    const ssize_t count = ::recv(descriptor_, buffer, sizeof buffer, 0);
    if (count > 0) input_.append(buffer, static_cast<size_t>(count));
    return count > 0;
  }
  template <typename Enough>
  void fill(Enough enough) {
    while (!enough()) {
      if (!read_some()) throw std::runtime_error("closed; read so far: " + input_);
    }
  }
  std::string take(size_t bytes) {
    std::string taken = input_.substr(0, bytes);
    input_.erase(0, bytes);
    return taken;
  }

  int descriptor_;
  std::string input_;
};

/// The data of a stream's events; comments are left out.
inline std::vector<std::string> events_of(std::string_view stream) {
  std::vector<std::string> events;
  while (!stream.empty()) {
    const size_t end = stream.find("\n\n");
    if (end == std::string_view::npos) throw std::runtime_error("an event without its end");
    const std::string_view event = stream.substr(0, end);
    if (event.starts_with("data: ")) {
      events.emplace_back(event.substr(6));
    } else if (!event.starts_with(":")) {
      throw std::runtime_error("neither an event nor a comment: " + std::string(event));
    }
    stream.remove_prefix(end + 2);
  }
  return events;
}

}  // namespace incipit
