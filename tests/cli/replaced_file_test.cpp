// What a command has written over is there again where it takes that back.
#include "cli/replaced_file.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

void write_over(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

size_t files_in(const TemporaryDirectory& directory) {
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory.path())) ++files;
  return files;
}

TEST(ReplacedFile, IsThereAgain) {
  const TemporaryDirectory directory;
  write_over(directory / "engine", "old");
  {
    const cli::ReplacedFile replaced(directory / "engine");
    write_over(directory / "engine", "new");
    replaced.put_back();
    EXPECT_EQ(read_text_file(directory / "engine"), "old");
  }
  {
    const cli::ReplacedFile replaced(directory / "engine");
    write_over(directory / "engine", "new");
  }
  EXPECT_EQ(read_text_file(directory / "engine"), "new");
  EXPECT_EQ(files_in(directory), 1U) << "nothing is left beside it";
}

TEST(ReplacedFile, WhereNothingWasNothingIsLeft) {
  const TemporaryDirectory directory;
  const cli::ReplacedFile replaced(directory / "engine");
  write_over(directory / "engine", "new");
  replaced.put_back();
  EXPECT_EQ(files_in(directory), 0U);
}

}  // namespace
}  // namespace incipit
