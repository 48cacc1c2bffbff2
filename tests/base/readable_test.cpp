#include "base/readable.h"

#include <gtest/gtest.h>

namespace incipit {
namespace {

TEST(Readable, BytesAreInDecimalUnits) {
  EXPECT_EQ(readable_bytes(12), "12 B");
  EXPECT_EQ(readable_bytes(1024), "1.0 kB");
  EXPECT_EQ(readable_bytes(31400000), "31.4 MB");
}

}  // namespace
}  // namespace incipit
