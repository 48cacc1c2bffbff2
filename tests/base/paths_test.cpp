#include "base/paths.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "base/error.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

TEST(Paths, AreThereOrNotOrAnError) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "file") << "x";
  std::filesystem::create_symlink("file", directory / "link");
  std::filesystem::create_symlink("gone", directory / "dangling");
  EXPECT_TRUE(is_there(directory / "file"));
  EXPECT_TRUE(is_there(directory / "link"));
  EXPECT_FALSE(is_there(directory / "gone"));
  EXPECT_FALSE(is_there(""));
  EXPECT_TRUE(is_a_directory(directory.path()));
  EXPECT_FALSE(is_a_directory(directory / "link"));
  EXPECT_FALSE(is_a_directory(directory / "file" / "below"));
  EXPECT_THROW(is_there(directory / "dangling"), Error);
  EXPECT_THROW(is_there(std::string(300, 'x')), Error);
}

TEST(Paths, LeadWhereTheirLinksEnd) {
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory / "sub");
  std::filesystem::create_symlink("sub/one", directory / "two");
  std::filesystem::create_symlink("../end", directory / "sub" / "one");
  std::filesystem::create_symlink(directory / "two", directory / "three");
  std::filesystem::create_symlink("round", directory / "round");
  EXPECT_EQ(behind_links(directory / "end"), directory / "end");
  EXPECT_EQ(behind_links("relative"), "relative");
  EXPECT_EQ(behind_links(directory / "three").lexically_normal(), directory / "end");
  EXPECT_THROW(behind_links(directory / "round"), Error);
  EXPECT_TRUE(is_same_file(directory / "three", directory / "end")) << "though nothing is there";
}

TEST(Paths, NameOneFileByAnyLink) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "a") << "x";
  std::ofstream(directory / "b") << "x";
  std::filesystem::create_symlink("a", directory / "soft");
  std::filesystem::create_hard_link(directory / "a", directory / "hard");
  EXPECT_TRUE(is_same_file(directory / "a", directory / "soft"));
  EXPECT_TRUE(is_same_file(directory / "hard", directory / "soft"));
  EXPECT_FALSE(is_same_file(directory / "a", directory / "b"));
  EXPECT_FALSE(is_same_file(directory / "a", directory / "new"));
  EXPECT_TRUE(is_same_file(directory / "new", directory / "." / "new"));
}

}  // namespace
}  // namespace incipit
