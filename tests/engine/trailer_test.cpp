#include "engine/trailer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "base/error.h"
#include "engine/small_engine.h"
#include "support/message_of.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

using ::testing::HasSubstr;

class TrailerTest : public ::testing::Test {
 protected:
  TrailerTest() { write_small_engine(path); }

  void append(TrailerKind kind, std::string_view json) const {
    append_trailer(path, Engine::open(path)->body_digest(), kind, json);
  }

  std::string fault() const {
    try {
      Engine::open(path);
      return {};
    } catch (const Error& error) {
      EXPECT_THAT(error.remedy(), HasSubstr("truncate -s "));
      return error.fault();
    }
  }

  void write(const std::string& bytes) const { std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes; }

  TemporaryDirectory directory;
  std::filesystem::path path = directory / "small.engine";
};

TEST_F(TrailerTest, RecordsAreAppendedAndTheBodyStays) {
  const std::string body = read_text_file(path);
  append(TrailerKind::baseline, R"({"ttft":1})");
  append(TrailerKind::accuracy, "");
  append(TrailerKind::baseline, R"({"ttft":2})");
  const auto engine = Engine::open(path);
  ASSERT_EQ(engine->trailer().size(), 3u);
  EXPECT_EQ(engine->trailer()[0].kind, TrailerKind::baseline);
  EXPECT_EQ(engine->trailer()[0].json, R"({"ttft":1})");
  EXPECT_EQ(engine->trailer()[1].kind, TrailerKind::accuracy);
  EXPECT_EQ(engine->trailer()[1].json, "");
  EXPECT_EQ(engine->trailer()[2].json, R"({"ttft":2})");
  EXPECT_EQ(read_text_file(path).substr(0, body.size()), body);
  EXPECT_NO_THROW(engine->check_weights());
}

TEST_F(TrailerTest, ACutIsToldByItsByte) {
  const size_t body = read_text_file(path).size();
  append(TrailerKind::baseline, "{}");
  const size_t first = read_text_file(path).size();
  append(TrailerKind::baseline, "[1,2,3]");
  const std::string whole = read_text_file(path);
  for (size_t length = body; length <= whole.size(); ++length) {
    write(whole.substr(0, length));
    if (length == body || length == first || length == whole.size()) {
      EXPECT_EQ(fault(), "") << length;
    } else {
      EXPECT_EQ(fault(), "its trailer is cut in the record at byte " + std::to_string(length < first ? body : first));
    }
  }
}

TEST_F(TrailerTest, AChangedByteIsTold) {
  const size_t body = read_text_file(path).size();
  append(TrailerKind::baseline, "{}");
  const std::string whole = read_text_file(path);
  for (size_t at = body; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] ^= 0x10;
    write(changed);
    EXPECT_THAT(fault(), ::testing::StartsWith("its trailer ")) << at;
  }
}

TEST_F(TrailerTest, TheRecordOfAnotherEngineIsRefused) {
  const size_t body = read_text_file(path).size();
  append(TrailerKind::baseline, "{}");
  const std::string record = read_text_file(path).substr(body);
  plan::PlanT other = small_plan();
  other.begin_id = 2;
  write_small_engine(path, other);
  const std::string bytes = read_text_file(path);
  write(bytes + record);
  EXPECT_EQ(fault(), "its trailer has the record of another engine at byte " + std::to_string(bytes.size()));
  EXPECT_THROW(append(TrailerKind::baseline, "{}"), Error);
}

TEST_F(TrailerTest, SomethingElseBehindTheBodyIsRefused) {
  const std::string bytes = read_text_file(path);
  write(bytes + "more");
  EXPECT_EQ(fault(), "its trailer has something that is no record at byte " + std::to_string(bytes.size()));
}

TEST_F(TrailerTest, WhatWasMeasuredOfAnotherEngineIsNotAppended) {
  const Digest measured = Engine::open(path)->body_digest();
  plan::PlanT other = small_plan();
  other.begin_id = 2;
  write_small_engine(path, other);
  const std::string before = read_text_file(path);
  EXPECT_EQ(message_of([&] { append_trailer(path, measured, TrailerKind::baseline, "{}"); }),
            path.string() +
                ": was replaced by another engine while this one was measured; measure again, and give every build an "
                "output of its own");
  EXPECT_EQ(read_text_file(path), before);
  // The same engine, built again, is what was measured.
  write_small_engine(path);
  append_trailer(path, measured, TrailerKind::baseline, "{}");
  EXPECT_EQ(Engine::open(path)->trailer().size(), 1u);
}

TEST_F(TrailerTest, WritersTakeTurns) {
  std::vector<std::thread> writers;
  for (int i = 0; i < 4; ++i) {
    writers.emplace_back([&] {
      for (int j = 0; j < 5; ++j) append(TrailerKind::baseline, R"({"a":1})");
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(Engine::open(path)->trailer().size(), 20u);
}

TEST_F(TrailerTest, AFailedAppendLeavesTheFileAsItWas) {
  append(TrailerKind::baseline, "{}");
  const std::string before = read_text_file(path);
  // A limit on file sizes stands for a full disk: the write stops half-way.
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{before.size() + 60, old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  EXPECT_THROW(append(TrailerKind::baseline, std::string(1000, ' ')), Error);
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(read_text_file(path), before);
}

TEST_F(TrailerTest, WhatCannotBeWrittenIsNamed) {
  EXPECT_THROW(append_trailer(directory / "absent.engine", {}, TrailerKind::baseline, "{}"), Error);
}

}  // namespace
}  // namespace incipit
