#include "base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace incipit {
namespace {

TEST(LogTest, LevelsFilter) {
  ::testing::internal::CaptureStderr();
  configure_logging("warn");
  log_info("quiet");
  log_warning("heard");
  configure_logging("debug");
  log_debug("now too");
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(text, "[warning] heard\n[debug] now too\n");
  configure_logging("warn");
}

TEST(LogTest, UnknownLevelIsAnError) {
  for (const char* level : {"loud", "", "WARN"}) EXPECT_THROW(configure_logging(level), Error) << level;
  for (const char* level : {"trace", "debug", "info", "warn", "error", "off"})
    EXPECT_NO_THROW(configure_logging(level));
  configure_logging("warn");
}

}  // namespace
}  // namespace incipit
