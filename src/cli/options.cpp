#include "cli/options.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/progress.h"
#include "base/readable.h"
#include "base/utf8.h"
#include "engine/engine.h"

namespace incipit::cli {

int64_t parse_size(std::string_view text, std::string_view option) {
  const auto refuse = [&] {
    return Error(option, fmt::format("'{}' is no size", text), "give one such as 1500M or 2G");
  };
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value < 0) throw refuse();
  std::string unit(end, text.data() + text.size());
  if (unit.size() > 1 && (unit.ends_with("iB") || unit.ends_with("B"))) unit.resize(1);
  constexpr std::string_view units = "kmgt";
  int power = 0;
  if (!unit.empty() && unit != "B" && unit != "b") {
    const size_t at = units.find(static_cast<char>(std::tolower(static_cast<unsigned char>(unit[0]))));
    if (unit.size() != 1 || at == std::string_view::npos) throw refuse();
    power = static_cast<int>(at) + 1;
  }
  const double bytes = std::ldexp(value, 10 * power);
  if (!(bytes < 0x1p62)) throw refuse();
  return static_cast<int64_t>(bytes);
}

std::vector<int32_t> parse_integers(std::string_view text, std::string_view option, int32_t least) {
  std::vector<int32_t> values;
  while (true) {
    const std::string_view part = text.substr(0, text.find(','));
    int32_t value = 0;
    const char* const last = part.data() + part.size();
    const char* first = part.data();
    while (first != last && *first == ' ') ++first;
    const auto [end, error] = std::from_chars(first, last, value);
    if (error != std::errc() || end != last || value < least) {
      throw Error(option, fmt::format("'{}' is not an integer of {} or more", part, least),
                  "give integers with commas between them, such as 128,512");
    }
    values.push_back(value);
    if (part.size() == text.size()) return values;
    text.remove_prefix(part.size() + 1);
  }
}

std::string readable_seconds(double seconds) {
  if (seconds < 1) return fmt::format("{:.3g} ms", seconds * 1000);
  if (seconds < 60) return fmt::format("{:.1f} s", seconds);
  return fmt::format("{:.0f} min {:.0f} s", std::floor(seconds / 60), std::fmod(seconds, 60));
}

std::unique_ptr<Gateway> open_gateway(const std::filesystem::path& engine, int threads, GatewayUse use,
                                      GatewayOptions options) {
  return open_gateway(Engine::open(engine), threads, use, std::move(options));
}

std::unique_ptr<Gateway> open_gateway(std::shared_ptr<const Engine> engine, int threads, GatewayUse use,
                                      GatewayOptions options) {
  SessionOptions& session = options.session;
  session.threads = threads;
  session.executor.profile = use == GatewayUse::profile;
  session.prefix_cache = use != GatewayUse::evaluate && use != GatewayUse::profile;
  session.check_weights = use == GatewayUse::serve;
  auto gateway = std::make_unique<Gateway>(std::move(engine), options);
  if (use != GatewayUse::serve && use != GatewayUse::profile) check_weights(gateway->engine());
  return gateway;
}

void check_weights(const Engine& engine) {
  Progress progress;
  progress.stage("checking", static_cast<int64_t>(engine.weights().size()), "B");
  for (uint64_t slab = 0; slab < engine.weight_slabs(); ++slab) {
    check_interrupt();
    engine.check_weight_slab(slab);
    progress.advance(static_cast<int64_t>(weight_slab));
  }
  progress.finish();
}

void finish_check(Gateway& gateway) {
  constexpr auto patience = std::chrono::milliseconds(100);
  gateway.run_alone([&](Session& session) { session.finish_check(patience); });
}

const Tokenizer& tokenizer_of(const Gateway& gateway) {
  if (gateway.tokenizer() != nullptr) return *gateway.tokenizer();
  throw Error(gateway.engine().path().string(), "the engine has no tokenizer",
              "give token ids with --ids where the command takes them");
}

std::string name_of_text(const std::filesystem::path& path) {
  return is_standard(path) ? "standard input" : path.string();
}

std::string read_utf8_text(const std::filesystem::path& path) {
  std::string text = read_text(path);
  check_utf8(text, name_of_text(path));
  return text;
}

std::vector<int32_t> tokens_of_text(std::string_view text, const std::filesystem::path& path, const Gateway& gateway,
                                    int32_t most) {
  EncodeOptions encode;
  encode.add_special_tokens = false;
  encode.name = name_of_text(path);
  std::vector<int32_t> tokens = tokenizer_of(gateway).encode(text, encode);
  if (most > 0 && tokens.size() > static_cast<size_t>(most)) tokens.resize(static_cast<size_t>(most));
  return tokens;
}

std::string read_api_key(const std::filesystem::path& path) {
  if (path.empty()) return {};
  const std::string text = read_text_file(path);
  std::string key = text.substr(0, text.find_first_of("\r\n"));
  if (key.empty()) throw Error(path.string(), "its first line is empty", "give a key in it");
  return key;
}

std::string stream_fault(std::string_view done) {
  if (errno == EBADF) return "is closed";
  return fmt::format("cannot be {}: {}", done, std::strerror(errno));
}

bool is_standard(const std::filesystem::path& path) { return path == "-"; }

bool is_standard_output(const std::filesystem::path& input) {
  struct stat in {
  }, out{};
  if (::fstat(STDOUT_FILENO, &out) != 0 || !S_ISREG(out.st_mode)) return false;
  const int failed = is_standard(input) ? ::fstat(STDIN_FILENO, &in) : ::stat(input.c_str(), &in);
  return failed == 0 && in.st_dev == out.st_dev && in.st_ino == out.st_ino;
}

void check_standard_input() {
  if (!is_standard_output("-")) return;
  throw Error("standard input", "is the file that standard output is written to", "send one of them elsewhere");
}

bool is_stream(const std::filesystem::path& path) {
  struct stat status {};
  if (is_standard(path)) return true;
  return ::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

std::string read_text(const std::filesystem::path& path, size_t most) {
  return is_standard(path) ? read_standard_input(most) : read_stream(path, most);
}

std::string read_standard_input(size_t most) {
  check_standard_input();
  std::string text;
  char buffer[1 << 16];
  while (true) {
    check_interrupt();
    const ssize_t count = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (count == 0) return text;
    if (count > 0) {
      text.append(buffer, static_cast<size_t>(count));
      if (text.size() > most) {
        throw Error("standard input", fmt::format("it goes on beyond {}", readable_bytes(static_cast<double>(most))),
                    "give a text that fits the engine's context");
      }
    } else if (errno != EINTR) {
      throw Error("standard input", stream_fault("read"), "check where it comes from");
    }
  }
}

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return;
  if (errno == EPIPE) throw ReaderGone("standard output", "nobody reads it");
  throw Error("standard output", stream_fault("written"), "check where it goes");
}

void tell(std::string_view line) {
  const std::string whole = std::string(line) + "\n";
  std::fwrite(whole.data(), 1, whole.size(), stderr);
}

void print_json(const boost::json::value& value) { print(boost::json::serialize(value) + "\n"); }

}  // namespace incipit::cli
