#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>

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

}  // namespace incipit
