#include "server/memory_shares.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace incipit {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t mb = 1'000'000;

std::string fault_of(std::span<const MemoryNeed> needs, int64_t for_caches, int64_t machine) {
  try {
    share_memory(needs, for_caches, machine);
  } catch (const Error& error) {
    EXPECT_EQ(error.thing(), "--memory");
    return error.fault();
  }
  return "";
}

TEST(MemoryShares, AllGetWhatTheyCanUseWhereItFits) {
  const MemoryNeed needs[] = {{100 * mb, 80 * mb, 10 * mb}, {10 * mb, 8 * mb, 1 * mb}};
  EXPECT_THAT(share_memory(needs, 0, 1000 * mb), ElementsAre(80 * mb, 8 * mb));
  EXPECT_THAT(share_memory(needs, 500 * mb, 1000 * mb), ElementsAre(80 * mb, 8 * mb));
}

TEST(MemoryShares, WhatThereIsIsSharedByWhatEachCouldUse) {
  const MemoryNeed needs[] = {{100 * mb, 80 * mb, 10 * mb}, {10 * mb, 8 * mb, 1 * mb}};
  EXPECT_THAT(share_memory(needs, 44 * mb, 1000 * mb), ElementsAre(40 * mb, 4 * mb));
  EXPECT_THAT(share_memory(needs, 0, 154 * mb), ElementsAre(40 * mb, 4 * mb)) << "the machine's memory is the bound";
  EXPECT_THAT(share_memory(needs, 11 * mb, 1000 * mb), ElementsAre(10 * mb, 1 * mb));
  EXPECT_THAT(share_memory(needs, 0, 1 * mb), ElementsAre(10 * mb, 1 * mb)) << "weights are read from their file";
}

TEST(MemoryShares, RefusesWhatDoesNotFit) {
  const MemoryNeed needs[] = {{100 * mb, 80 * mb, 10 * mb}, {10 * mb, 8 * mb, 1 * mb}};
  EXPECT_THAT(fault_of(needs, 5 * mb, 1000 * mb), HasSubstr("5.0 MB do not hold one sequence of each engine"));
  EXPECT_THAT(fault_of(needs, 1024, 1000 * mb), HasSubstr("1.0 kB do not hold"));
  EXPECT_THAT(fault_of(needs, 44 * mb, 120 * mb),
              HasSubstr("44.0 MB of caches beside 110.0 MB of engines are more than the 120.0 MB of this machine"));
  const MemoryNeed elsewhere[] = {{100 * mb, 80 * mb, 10 * mb, false}};
  EXPECT_THAT(share_memory(elsewhere, 44 * mb, 1 * mb), ElementsAre(44 * mb));
}

}  // namespace
}  // namespace incipit
