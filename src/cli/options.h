// What several subcommands share: reading values, opening engines, printing.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "session/gateway.h"

namespace incipit::cli {

/// "1500M", "2G", "800k" or plain bytes; powers of 1024. Throws Error naming `option`.
int64_t parse_size(std::string_view text, std::string_view option);
/// "1,2,3". Throws Error naming `option` when a part is no integer of [least, 2^31).
std::vector<int32_t> parse_integers(std::string_view text, std::string_view option, int32_t least);

/// "412 ms", "3.2 s", "2 min 5 s".
std::string readable_seconds(double seconds);

/// What a gateway is for. `serve`, `serve_checked` and `measure` keep prefixes; the others compute every prompt, and
/// may use the executor alone. `profile` times every step. The weights are checked behind the first token for `serve`,
/// and before anything is computed for `serve_checked`, `measure` and `evaluate`, whose results are kept.
enum class GatewayUse : uint8_t { serve, serve_checked, measure, evaluate, profile };
std::unique_ptr<Gateway> open_gateway(const std::filesystem::path& engine, int threads, GatewayUse use,
                                      GatewayOptions options = {});
std::unique_ptr<Gateway> open_gateway(std::shared_ptr<const Engine> engine, int threads, GatewayUse use,
                                      GatewayOptions options = {});
/// Reads all weights; throws Error when they are not as they were built. Ctrl-C throws too.
void check_weights(const Engine& engine);
/// Gives the check behind the first token some time to end: all it needs, for engines that are not large.
void finish_check(Gateway& gateway);
/// The engine's tokenizer; throws Error naming the engine when it has none.
const Tokenizer& tokenizer_of(const Gateway& gateway);

/// As messages name it.
std::string name_of_text(const std::filesystem::path& path);
/// read_text of what must be UTF-8; throws Error where it is not.
std::string read_utf8_text(const std::filesystem::path& path);
/// The ids of that text without special tokens, the first `most` of them (0: all). Throws Error for an engine without
/// tokenizer.
std::vector<int32_t> tokens_of_text(std::string_view text, const std::filesystem::path& path, const Gateway& gateway,
                                    int32_t most = 0);
/// What `work` throws of "text" is said of this one.
template <typename F>
auto of_text(const std::filesystem::path& text, F&& work) {
  try {
    return work();
  } catch (const Error& error) {
    if (error.thing() == "text") throw Error(name_of_text(text), error.fault(), error.remedy());
    throw;
  }
}

/// The first line of a file of keys; empty without a file. Throws Error where that line is empty.
std::string read_api_key(const std::filesystem::path& path);

/// What errno says of a standard stream that could not be "read" or "written".
std::string stream_fault(std::string_view done);
/// "-": standard input or output where a file is named.
bool is_standard(const std::filesystem::path& path);
/// Whether a file that is read ("-": standard input) is the one that standard output is written to, by whatever name:
/// what is written would be read, and the file would grow.
bool is_standard_output(const std::filesystem::path& input);
/// Throws Error where standard input is.
void check_standard_input();
/// Whether what is read there ends when its writer does, and can be read once: standard input, a pipe, a device.
bool is_stream(const std::filesystem::path& path);
/// A text whole: of a file, or of a stream. Throws Error when it has more than `most` bytes; Ctrl-C throws too.
std::string read_text(const std::filesystem::path& path, size_t most = INT32_MAX);
/// All of standard input. Throws Error when it cannot be read, or has more than `most` bytes; Ctrl-C throws too.
std::string read_standard_input(size_t most = INT32_MAX);
/// Whoever reads our output has gone (`| head`): the program ends without a word.
struct ReaderGone : Error {
  using Error::Error;
};
/// Writes to standard output and flushes. Throws ReaderGone for a closed pipe, Error when it fails otherwise.
void print(std::string_view text);
/// The same for a JSON value and a line's end.
void print_json(const boost::json::value& value);
/// Writes a line to standard error. What cannot be told there is dropped: nothing depends on it.
void tell(std::string_view line);

}  // namespace incipit::cli
