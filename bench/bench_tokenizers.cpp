// How long a text of a thousand tokens takes to encode and to decode.
// Usage: bench_tokenizers MODEL_DIR… [Google Benchmark's options]
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "text/tokenizer.h"
#include "tokenizer_compile/compile_tokenizer.h"

namespace incipit {
namespace {

constexpr size_t wanted_tokens = 1000;

struct Subject {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::string text;  // encodes to wanted_tokens or a few more
  std::vector<int32_t> ids;
};

Subject read_subject(const std::filesystem::path& folder, std::string_view corpus) {
  const auto tables = std::make_shared<const std::vector<std::byte>>(compile_tokenizer(folder));
  Subject subject{Tokenizer::open(*tables, tables), {}, {}};
  for (size_t size = wanted_tokens; subject.ids.size() < wanted_tokens && size < corpus.size(); size += 10) {
    subject.text = corpus.substr(0, size);
    subject.ids = subject.tokenizer->encode(subject.text);
  }
  return subject;
}

void register_subject(const std::string& name, const std::shared_ptr<const Subject>& subject) {
  benchmark::RegisterBenchmark(("encode/" + name).c_str(), [subject](benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(subject->tokenizer->encode(subject->text));
    state.SetLabel(fmt::format("{} tokens of {} bytes", subject->ids.size(), subject->text.size()));
  })->Unit(benchmark::kMicrosecond);
  benchmark::RegisterBenchmark(("decode/" + name).c_str(), [subject](benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(subject->tokenizer->decode(subject->ids));
  })->Unit(benchmark::kMicrosecond);
}

}  // namespace
}  // namespace incipit

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);  // takes its own options out
  const std::string corpus =
      incipit::read_text_file(std::filesystem::path(INCIPIT_SOURCE_DIR) / "tests/fixtures/text/eval.txt");
  for (const char* folder : std::span(argv, static_cast<size_t>(argc)).subspan(1)) {
    const std::filesystem::path path(folder);
    incipit::register_subject(path.filename().string(),
                              std::make_shared<const incipit::Subject>(incipit::read_subject(path, corpus)));
  }
  benchmark::RunSpecifiedBenchmarks();
}
