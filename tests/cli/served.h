// incipit serve as a program that a test asks and ends.
#pragma once

#include <fcntl.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/file.h"
#include "program.h"
#include "support/temporary_directory.h"

namespace incipit {

/// A server in a child, whose standard error goes to a file.
class Served {
 public:
  explicit Served(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "serve");
    arguments.insert(arguments.end(), {"--port", "0", "--threads", "2"});
    child_ = start_program(arguments, [this] {
      const int file = ::open((directory_ / "log").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
      ::dup2(file, STDERR_FILENO);
    });
    constexpr std::string_view place = "http://127.0.0.1:";
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (port_ == 0 && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      const std::string said = log();
      if (const size_t at = said.find(place); at != std::string::npos && said.find("/v1", at) != std::string::npos) {
        port_ = std::stoi(said.substr(at + place.size()));
      }
    }
  }
  ~Served() {
    if (child_ > 0) end(SIGKILL);
  }

  int port() const { return port_; }
  void hang_up() const { send_signal(child_, SIGHUP); }
  int end(int signal) {
    send_signal(child_, signal);
    return wait_for_program(std::exchange(child_, 0));
  }
  std::string log() const {
    return std::filesystem::exists(directory_ / "log") ? read_text_file(directory_ / "log") : "";
  }

 private:
  TemporaryDirectory directory_;
  pid_t child_ = 0;
  int port_ = 0;
};

}  // namespace incipit
