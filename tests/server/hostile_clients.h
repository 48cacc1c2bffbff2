// Clients that do to a server what clients should not, beside good ones whose every request has to end with a reason.
#pragma once

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace incipit {

struct HostileReport {
  int64_t whole = 0, refused = 0, broken = 0;  // good clients' answers: whole, an error instead, an error in a stream
  int64_t closed = 0;                          // connections that a server which ends has closed before an answer
  int64_t left = 0;                            // what was begun and not waited for, or was no request
  int64_t probes = 0;                          // of /health
  double slowest_probe_ms = 0;
  std::vector<std::string> faults;  // the first of what should not have been
};

class HostileClients {
 public:
  HostileClients(int port, int clients, uint64_t seed) : port_(port) {
    for (int i = 0; i < clients; ++i) threads_.emplace_back([this, seed, i] { run(seed + static_cast<uint64_t>(i)); });
    threads_.emplace_back([this] { probe(); });
  }
  ~HostileClients() { stop(); }
  HostileClients(const HostileClients&) = delete;
  HostileClients& operator=(const HostileClients&) = delete;

  /// From now on connections may be closed that are not answered, and none may be taken.
  void server_ends() { ending_ = true; }
  HostileReport stop() {
    stopping_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    const std::lock_guard lock(mutex_);
    return report_;
  }

 private:
  using Clock = std::chrono::steady_clock;
  using Random = std::mt19937_64;

  /// A connection whose waits end.
  class Peer {
   public:
    explicit Peer(int port, int receive_buffer = 0) : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
      const timeval patience{30, 0};
      ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
      ::setsockopt(descriptor_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
      if (receive_buffer > 0) {
        ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
      }
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(static_cast<uint16_t>(port));
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      open_ = ::connect(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    }
    ~Peer() { ::close(descriptor_); }
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    bool is_open() const { return open_; }
    bool send(std::string_view bytes) {
      while (open_ && !bytes.empty()) {
        const ssize_t count = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        open_ = count > 0;
        if (open_) bytes.remove_prefix(static_cast<size_t>(count));
      }
      return open_;
    }
    void end_sending() { ::shutdown(descriptor_, SHUT_WR); }
    /// Its end is a reset.
    void will_reset() {
      const linger at_once{1, 0};
      ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    /// Up to so many bytes; fewer at the connection's end. False where nothing came for long.
    bool read(std::string& into, size_t most = SIZE_MAX) {
      std::array<char, 4096> buffer{};
      while (into.size() < most) {
        const ssize_t count = ::recv(descriptor_, buffer.data(), std::min(buffer.size(), most - into.size()), 0);
        if (count < 0) return errno == ECONNRESET || errno == EPIPE;
        if (count == 0) return true;
        into.append(buffer.data(), static_cast<size_t>(count));
      }
      return true;
    }

   private:
    int descriptor_;
    bool open_ = false;
  };

  static size_t below(Random& random, size_t end) { return static_cast<size_t>(random() % end); }
  static void pause(Random& random, size_t most_us) {
    std::this_thread::sleep_for(std::chrono::microseconds(below(random, most_us)));
  }

  static std::string request(std::string_view path, std::string_view body, std::string_view headers = {}) {
    return fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: {}\r\n\r\n{}", path, headers,
                       body.size(), body);
  }
  static std::string completion(Random& random, bool stream, size_t most_tokens) {
    std::string ids;
    for (size_t i = 0, count = 1 + below(random, 40); i < count; ++i) {
      ids += fmt::format("{}{}", i == 0 ? "" : ",", 3 + below(random, 200));
    }
    return fmt::format(
        R"({{"prompt":[{}],"max_tokens":{},"stream":{},"ignore_eos":true,"return_token_ids":true,"n":{},"priority":{},)"
        R"("cache_salt":"{}","seed":{}}})",
        ids, 1 + below(random, most_tokens), stream, 1 + below(random, 3), below(random, 4) * 40, below(random, 3),
        below(random, 1000));
  }

  // ---- good clients, more or less

  void judge(std::string_view what, const std::string& answer, bool in_time) {
    constexpr std::string_view version = "HTTP/1.1 ";
    const std::lock_guard lock(mutex_);
    const auto fault = [&](std::string_view why) {
      constexpr size_t most = 5, shown = 300;
      if (report_.faults.size() < most) {
        report_.faults.push_back(fmt::format("{}: {}: '{}'", what, why, answer.substr(0, shown)));
      }
    };
    if (!in_time) {
      fault("no end came");
    } else if (answer.empty()) {
      ending_ ? void(++report_.closed) : fault("closed without an answer");
    } else if (!answer.starts_with(version)) {
      fault("no HTTP");
    } else if (answer.find(R"("error")") != std::string::npos) {
      ++(answer.starts_with("HTTP/1.1 200") ? report_.broken : report_.refused);
    } else if (answer.find("text/event-stream") != std::string::npos) {
      answer.find("data: [DONE]") != std::string::npos ? void(++report_.whole) : fault("a stream without an end");
    } else {
      const size_t head = answer.find("\r\n\r\n"), length = answer.find("content-length: ");
      const bool whole = head != std::string::npos && length < head &&
                         answer.size() - head - 4 == std::stoul(answer.substr(length + 16));
      whole ? void(++report_.whole) : fault("an answer that is cut");
    }
  }
  void ask(Random& random, std::string_view what, const std::string& bytes) {
    Peer peer(port_);
    std::string answer;
    peer.send(bytes);
    const bool in_time = !peer.is_open() || peer.read(answer);
    pause(random, 1000);
    judge(what, answer, in_time);
  }
  void ask_well(Random& random) {
    const bool stream = below(random, 2) == 0;
    std::string headers = "Connection: close\r\n";
    if (below(random, 4) == 0) headers += fmt::format("x-ttft-deadline-ms: {}\r\n", 1 + below(random, 2000));
    ask(random, "a good request", request("/v1/completions", completion(random, stream, 30), headers));
  }
  void ask_wrongly(Random& random) {
    static constexpr std::array bodies{R"({"prompt":[1,2,3],"max_tokens":-4})",
                                       R"({"prompt":"text","max_tokens":3})",
                                       R"({"prompt":[99999999],"max_tokens":3})",
                                       R"({"prompt":[1],"model":"nobody"})",
                                       R"({"prompt":)",
                                       "",
                                       "\xff\xfe{}",
                                       R"({"messages":[]})",
                                       R"({"prompt":[1],"temperature":"hot"})",
                                       R"([[[[[[[[[[[[[[[[[[[[)",
                                       R"({"prompt":[1],"n":100000000})",
                                       R"({"prompt":[1],"logit_bias":{"-1":1e999}})"};
    static constexpr std::array paths{"/v1/completions", "/v1/chat/completions", "/tokenize", "/nowhere", "/health",
                                      "/metrics"};
    ask(random, "a wrong request",
        request(paths.at(below(random, paths.size())), bodies.at(below(random, bodies.size())),
                "Connection: close\r\n"));
  }
  void ask_for_much(Random& random) {
    switch (below(random, 4)) {
      case 0:
        ask(random, "a large body",
            request("/v1/completions", std::string(size_t{1} << (10 + below(random, 11)), '['),
                    "Connection: close\r\n"));
        break;
      case 1:
        ask(random, "large headers", request("/v1/completions", "{}", "X: " + std::string(70'000, 'x') + "\r\n"));
        break;
      case 2: {
        std::string ids = "1";
        for (int i = 0; i < 5000; ++i) ids += ",1";
        ask(random, "a long prompt",
            request("/v1/completions", R"({"prompt":[)" + ids + "]}", "Connection: close\r\n"));
        break;
      }
      default:
        ask(random, "deep JSON",
            request("/v1/completions", R"({"prompt":)" + std::string(5000, '['), "Connection: close\r\n"));
    }
  }
  /// What it says by ending its side is that it has left, which need not be so.
  void end_one_side(Random& random) {
    Peer peer(port_);
    std::string answer;
    peer.send(request("/v1/completions", completion(random, below(random, 2) == 0, 40)));
    pause(random, 2000);
    peer.end_sending();
    const bool in_time = !peer.is_open() || peer.read(answer);
    if (!in_time) judge("an ended side", answer, false);
    leave();
  }

  // ---- the others

  void leave() {
    const std::lock_guard lock(mutex_);
    ++report_.left;
  }
  void cancel(Random& random) {
    Peer peer(port_);
    peer.send(request("/v1/completions", completion(random, below(random, 4) > 0, 1000)));
    pause(random, 5000);
    std::string answer;
    if (below(random, 2) == 0) peer.read(answer, below(random, 400));
    if (below(random, 2) == 0) peer.will_reset();
    leave();
  }
  void write_slowly(Random& random) {
    Peer peer(port_);
    const std::string bytes = request("/v1/completions", completion(random, true, 10), "Connection: close\r\n");
    const size_t most = below(random, bytes.size() + 1);
    for (size_t at = 0; at < most && !stopping_ && peer.send(bytes.substr(at, 1)); ++at) pause(random, 4000);
    std::string answer;
    if (most == bytes.size()) peer.read(answer);
    leave();
  }
  void read_slowly(Random& random) {
    Peer peer(port_, 2048);
    peer.send(request("/v1/completions", completion(random, true, 1000)));
    std::string answer;
    for (size_t i = 0, reads = below(random, 40); i < reads && !stopping_; ++i) {
      const size_t before = answer.size();
      if (!peer.read(answer, before + 64) || answer.size() == before) break;
      pause(random, 20'000);
    }
    leave();
  }
  void say_nothing(Random& random) {
    Peer peer(port_);
    pause(random, 50'000);
    leave();
  }
  void say_nonsense(Random& random) {
    static constexpr std::array beginnings{
        "",
        "GET / HTTP/1.1\r\n",
        "POST /v1/completions HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
        "chunked\r\n\r\n5\r\n{\"pro\r\n0\r\n\r\n",
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\nContent-Length: 1\r\n\r\n{",
        "POST /v1/completions HTTP/9.9\r\n\r\n",
        "\x16\x03\x01\x02\x01\x01",
        "GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"};
    Peer peer(port_);
    std::string bytes = beginnings.at(below(random, beginnings.size()));
    for (size_t i = 0, count = below(random, 200); i < count; ++i) bytes += static_cast<char>(random());
    peer.send(bytes);
    if (below(random, 2) == 0) peer.end_sending();
    pause(random, 3000);
    leave();
  }
  void ask_ahead(Random& random) {
    Peer peer(port_);
    std::string bytes;
    for (size_t i = 0, count = 1 + below(random, 20); i < count; ++i) {
      bytes += below(random, 2) == 0 ? "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
                                     : request("/v1/completions", completion(random, below(random, 2) == 0, 10));
    }
    peer.send(bytes);
    std::string answer;
    peer.read(answer, below(random, 2000));
    leave();
  }

  void run(uint64_t seed) {
    using Act = void (HostileClients::*)(Random&);
    static constexpr std::array<Act, 12> acts{
        &HostileClients::ask_well,     &HostileClients::ask_well,    &HostileClients::ask_wrongly,
        &HostileClients::ask_for_much, &HostileClients::cancel,      &HostileClients::cancel,
        &HostileClients::write_slowly, &HostileClients::read_slowly, &HostileClients::say_nothing,
        &HostileClients::say_nonsense, &HostileClients::ask_ahead,   &HostileClients::end_one_side};
    Random random(seed);
    while (!stopping_) (this->*acts.at(below(random, acts.size())))(random);
  }

  void probe() {
    while (!stopping_) {
      const Clock::time_point begun = Clock::now();
      Peer peer(port_);
      std::string answer;
      peer.send("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
      const bool in_time = !peer.is_open() || peer.read(answer);
      const double ms = std::chrono::duration<double, std::milli>(Clock::now() - begun).count();
      const bool ending = ending_;
      if (!ending) {
        const std::lock_guard lock(mutex_);
        ++report_.probes;
        report_.slowest_probe_ms = std::max(report_.slowest_probe_ms, ms);
        if (!answer.starts_with("HTTP/1.1 200")) {
          report_.faults.push_back(fmt::format("/health{}: '{}'", in_time ? "" : " in no time", answer));
        }
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }

  const int port_;
  std::atomic<bool> stopping_{false}, ending_{false};
  std::mutex mutex_;
  HostileReport report_;
  std::vector<std::thread> threads_;
};

}  // namespace incipit
