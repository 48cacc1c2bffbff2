// Values on the command line: numbers within a stated range, and texts that may be empty.
#pragma once

#include <CLI/CLI.hpp>
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>

namespace incipit::cli {

/// For Option::transform: decimal digits of an integer of [least, most], which --help shows. What else CLI11 would take
/// (nothing at all, 0x10, 010 as 8, -1 as 2^64 - 1) is refused in one line.
template <std::integral T>
CLI::Validator integer_in(T least, T most);
/// The same for an integer of `least` and more, as far as an int32_t goes.
inline CLI::Validator integer_from(int32_t least) { return integer_in(least, std::numeric_limits<int32_t>::max()); }
/// For Option::transform: a finite decimal number of [least, most]; `range` says that as "LEAST to MOST".
CLI::Validator number_in(double least, double most, const std::string& range);

/// For Option::expected of what takes one value and may be given several times, with allow_extra_args(false): without a
/// bound, --help would promise several values at once; below a sixteenth of CLI11's own, several would be taken.
constexpr int most_repeats = CLI::detail::expected_max_vector_size / 8;

/// --threads, up to twice the cores that are ours: more of them only wait for one another.
CLI::Option* add_threads(CLI::App& command, int& threads,
                         const std::string& description = "Threads (default: all cores)");

/// A file that a command reads and that prints what it makes of it: refused where that would be printed into the file.
CLI::Option* add_input(CLI::App& command, const std::string& name, std::filesystem::path& path,
                       const std::string& description);

/// --config FILE: what the command line does not give, by the options' long names without their dashes ("max-requests =
/// 8"), in TOML or INI. To be called before the options that a file may give. Every key must be one of them.
void add_config(CLI::App& command);

/// An option or positional whose text may be empty: CLI11 would take that for an option that was not given.
CLI::Option* add_text(CLI::App& command, const std::string& name, std::optional<std::string>& text,
                      const std::string& description);

}  // namespace incipit::cli
