#include "cli/options.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace incipit::cli {
namespace {

TEST(ParseSize, KnowsUnits) {
  EXPECT_EQ(parse_size("0", "--memory"), 0);
  EXPECT_EQ(parse_size("4096", "--memory"), 4096);
  EXPECT_EQ(parse_size("1500M", "--memory"), int64_t{1500} << 20);
  EXPECT_EQ(parse_size("2g", "--memory"), int64_t{2} << 30);
  EXPECT_EQ(parse_size("1.5GiB", "--memory"), int64_t{3} << 29);
  EXPECT_EQ(parse_size("8kB", "--memory"), 8192);
  for (const char* bad : {"", "G", "-1", "2X", "2GG", "1e99", "nan", "2 G"}) {
    EXPECT_THROW(parse_size(bad, "--memory"), Error) << bad;
  }
}

TEST(ParseIntegers, ReadsLists) {
  EXPECT_EQ(parse_integers("1", "--ids", 0), std::vector<int32_t>{1});
  EXPECT_EQ(parse_integers("128, 512,1024", "--prompt", 1), (std::vector<int32_t>{128, 512, 1024}));
  for (const char* bad : {"", ",", "1,", "1,,2", "x", "0", "-1", "99999999999", "1.5"}) {
    EXPECT_THROW(parse_integers(bad, "--prompt", 1), Error) << bad;
  }
}

TEST(Readable, Seconds) {
  EXPECT_EQ(readable_seconds(0.0123), "12.3 ms");
  EXPECT_EQ(readable_seconds(3.21), "3.2 s");
  EXPECT_EQ(readable_seconds(125), "2 min 5 s");
}

}  // namespace
}  // namespace incipit::cli
