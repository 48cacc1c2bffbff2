// Logging to standard error, by spdlog. `incipit --log-level debug|info|warn|error`; warn is the default.
#pragma once

#include <fmt/core.h>

#include <string>

namespace incipit {

/// Sets up the logger (standard error, short pattern). Level names as spdlog's.
void configure_logging(const std::string& level);

enum class LogLevel { debug, info, warning, error };

/// Lines are formatted in one place: spdlog's own functions are templates, which compile fmt's formatter in every
/// source anew.
void write_log(LogLevel level, fmt::string_view text, fmt::format_args parts);

template <typename... Parts>
void log_debug(fmt::format_string<Parts...> text, Parts&&... parts) {
  write_log(LogLevel::debug, text, fmt::make_format_args(parts...));
}
template <typename... Parts>
void log_info(fmt::format_string<Parts...> text, Parts&&... parts) {
  write_log(LogLevel::info, text, fmt::make_format_args(parts...));
}
template <typename... Parts>
void log_warning(fmt::format_string<Parts...> text, Parts&&... parts) {
  write_log(LogLevel::warning, text, fmt::make_format_args(parts...));
}
template <typename... Parts>
void log_error(fmt::format_string<Parts...> text, Parts&&... parts) {
  write_log(LogLevel::error, text, fmt::make_format_args(parts...));
}

}  // namespace incipit
