#include "base/log.h"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <utility>

#include "base/error.h"
#include "base/progress.h"

namespace incipit {

void configure_logging(const std::string& level) {
  const spdlog::level::level_enum parsed = spdlog::level::from_str(level);
  if (parsed == spdlog::level::off && level != "off") {
    throw Error("--log-level", "unknown level '" + level + "'", "use debug, info, warn or error");
  }
  // A logger of our own and not spdlog's registry: this may be called again.
  auto logger = std::make_shared<spdlog::logger>("incipit", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  // On a terminal a progress bar may stand on the line: take its place, it redraws itself below.
  const std::string erase_line = Progress::for_terminal() ? "\r\033[K" : "";
  logger->set_pattern(erase_line + "[%^%l%$] %v");
  logger->set_level(parsed);
  spdlog::set_default_logger(std::move(logger));
}

void write_log(LogLevel level, fmt::string_view text, fmt::format_args parts) {
  constexpr spdlog::level::level_enum levels[] = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                                  spdlog::level::err};
  const spdlog::level::level_enum chosen = levels[static_cast<size_t>(level)];
  spdlog::logger* const logger = spdlog::default_logger_raw();
  if (logger->should_log(chosen)) logger->log(chosen, spdlog::string_view_t(fmt::vformat(text, parts)));
}

}  // namespace incipit
