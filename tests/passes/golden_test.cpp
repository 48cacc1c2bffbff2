// Every pass on a small graph: golden/NAME.txt has the graph before and after, in the text form.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "graph/text_form.h"
#include "passes/pass.h"
#include "quant/format.h"
#include "tiny_decoder.h"

namespace incipit {
namespace {

/// "precision P", then the graph after a line "=== before", then the one after "=== after".
struct Golden {
  std::string name, precision, before, after;
};

Golden read_golden(const std::filesystem::path& path) {
  const std::string text = read_text_file(path);
  const std::string before_mark = "=== before\n", after_mark = "=== after\n";
  const size_t before = text.find(before_mark), after = text.find(after_mark);
  if (!text.starts_with("precision ") || before == std::string::npos || after == std::string::npos) {
    throw Error(path.string(), "is no golden of a pass");
  }
  Golden golden;
  golden.name = path.stem().string();
  golden.precision = text.substr(10, text.find('\n') - 10);
  golden.before = text.substr(before + before_mark.size(), after - before - before_mark.size());
  golden.after = text.substr(after + after_mark.size());
  return golden;
}

std::vector<Golden> goldens() {
  std::vector<Golden> all;
  for (const auto& entry : std::filesystem::directory_iterator(INCIPIT_SOURCE_DIR "/tests/passes/golden")) {
    all.push_back(read_golden(entry.path()));
  }
  std::sort(all.begin(), all.end(), [](const Golden& a, const Golden& b) { return a.name < b.name; });
  return all;
}

std::string without_comments(const std::string& text) {
  std::string kept;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at) + 1;
    if (text[at] != '#') kept += text.substr(at, end - at);
    at = end;
  }
  return kept;
}

/// The pass whose name begins the golden's name ("quantize_bf16"), the longest such.
const Pass* pass_of(const Golden& golden) {
  const Pass* found = nullptr;
  for (const Pass& pass : passes()) {
    if (golden.name.starts_with(pass.name) && (found == nullptr || found->name.size() < pass.name.size())) {
      found = &pass;
    }
  }
  return found;
}

TEST(Golden, EachPassRewritesAsWritten) {
  for (const Golden& golden : goldens()) {
    SCOPED_TRACE(golden.name);
    Graph graph = parse_graph(golden.before);
    verify(graph);
    EXPECT_EQ(to_text(graph), without_comments(golden.before)) << "not as it would be printed";
    if (golden.name.starts_with("all_")) {
      PassOptions options;
      options.precision = golden.precision;
      run_passes(graph, options);
    } else {
      const Pass* pass = pass_of(golden);
      ASSERT_NE(pass, nullptr) << "there is no such pass";
      std::string note;
      pass->run(graph, {weight_format(golden.precision), note});
      EXPECT_EQ(note, "");
      verify(graph);
      graph.remove_unused();  // constants that the pass left behind
    }
    EXPECT_EQ(to_text(graph), golden.after);
  }
}

TEST(Golden, EveryPassHasOne) {
  std::set<std::string_view> missing, covered;
  const std::vector<Golden> all = goldens();
  for (const Golden& golden : all) {
    if (const Pass* pass = pass_of(golden)) covered.insert(pass->name);
  }
  for (const Pass& pass : passes()) {
    if (!covered.contains(pass.name)) missing.insert(pass.name);
  }
  EXPECT_THAT(missing, ::testing::IsEmpty());
}

}  // namespace
}  // namespace incipit
