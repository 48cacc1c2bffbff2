#include "engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/error.h"
#include "engine/plan_generated.h"
#include "engine/small_engine.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class EngineTest : public ::testing::Test {
 protected:
  EngineTest() { write_small_engine(path); }

  std::string bytes() const { return read_text_file(path); }

  /// What opening these bytes says; empty when it succeeds.
  static std::string fault_of(std::span<const std::byte> bytes, const Target& machine = {}) {
    try {
      Engine::OpenOptions options;
      options.machine = machine;
      Engine::from_bytes(bytes, "small.engine", options);
      return {};
    } catch (const Error& error) {
      EXPECT_EQ(error.thing(), "small.engine");
      EXPECT_FALSE(error.remedy().empty()) << error.what();
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      return error.fault();
    }
  }

  TemporaryDirectory directory;
  std::filesystem::path path = directory / "small.engine";
};

TEST_F(EngineTest, ComesBackAsWritten) {
  const auto engine = Engine::open(path);
  EXPECT_EQ(engine->path(), path);
  EXPECT_EQ(engine->manifest(), small_manifest);
  EXPECT_EQ(engine->chat_template(), small_template);
  EXPECT_EQ(engine->generation_defaults(), small_defaults);
  EXPECT_EQ(text_of(engine->tokenizer()), small_tokenizer);
  EXPECT_EQ(engine->plan().vocabulary(), 10u);
  EXPECT_EQ(engine->plan().steps()->Get(0)->name()->string_view(), "embed");
  ASSERT_EQ(engine->weights().size(), 128u + 7u);
  EXPECT_EQ(engine->weights()[0], std::byte{1});
  EXPECT_EQ(engine->weights()[127], std::byte{0});
  EXPECT_EQ(engine->weights()[128], std::byte{1});
  EXPECT_EQ(engine->body().data() + engine_page, engine->weights().data());
  EXPECT_TRUE(engine->trailer().empty());
  EXPECT_NO_THROW(engine->check_weights());
}

TEST_F(EngineTest, SameInputsGiveTheSameBytes) {
  write_small_engine(directory / "again.engine");
  EXPECT_EQ(bytes(), read_text_file(directory / "again.engine"));
}

TEST_F(EngineTest, WeightsMayBeWrittenInPieces) {
  const std::vector<std::byte> plane(100, std::byte{7});
  for (bool pieces : {false, true}) {
    EngineWriter writer(directory / (pieces ? "pieces" : "whole"), {});
    writer.write_weights(plane);
    if (pieces) {
      EXPECT_EQ(writer.align_weights(), engine_page + 128);
      writer.append_weights(std::span(plane).first(33));
      writer.append_weights(std::span(plane).subspan(33));
    } else {
      EXPECT_EQ(writer.write_weights(plane), engine_page + 128);
    }
    EXPECT_EQ(writer.add_section(SectionKind::plan, plan_bytes(small_plan())), engine_page + 256);
    writer.add_section(SectionKind::manifest, as_bytes_of("{}"));
    writer.commit();
  }
  EXPECT_EQ(read_text_file(directory / "pieces"), read_text_file(directory / "whole"));
  EXPECT_NO_THROW(Engine::open(directory / "pieces")->check_weights());
}

TEST_F(EngineTest, WhatWasCheckedStaysWhateverIsWrittenIntoTheFile) {
  const auto engine = Engine::open(path);
  const std::string zeros(bytes().size(), '\0');
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary) << zeros;
  EXPECT_EQ(read_text_file(path), zeros);
  EXPECT_EQ(engine->manifest(), small_manifest);
  EXPECT_EQ(text_of(engine->tokenizer()), small_tokenizer);
  EXPECT_EQ(engine->plan().steps()->Get(0)->name()->string_view(), "embed");
}

TEST_F(EngineTest, NothingIsLeftWithoutCommit) {
  { EngineWriter writer(directory / "half.engine", {}); }
  EXPECT_FALSE(std::filesystem::exists(directory / "half.engine"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 1);
}

TEST_F(EngineTest, TruncationAtEveryLengthIsTold) {
  const std::string whole = bytes();
  for (size_t length = 0; length < whole.size(); ++length) {
    AlignedBytes cut(as_bytes_of(whole).first(length));
    const std::string fault = fault_of(cut.bytes());
    if (length == 0) {
      EXPECT_EQ(fault, "is empty");
    } else {
      const std::string there = "is truncated: " + std::to_string(length) + " bytes are there, ";
      const std::string expected =
          length < engine_page ? "the header alone has 4096" : std::to_string(whole.size()) + " are expected";
      ASSERT_EQ(fault, there + expected);
    }
  }
}

TEST_F(EngineTest, AChangedByteIsToldWhereverItIs) {
  const std::string whole = bytes();
  const auto engine = Engine::open(path);
  AlignedBytes changed(as_bytes_of(whole));
  const auto expected_fault = [&](size_t at) -> std::string {
    if (at < 8) return "is not an engine";
    if (at < 12) return "has format version ";
    if (at < sizeof(EngineHeader)) return "its header was altered";
    if (at < engine_page) return "its header page was altered";
    for (uint32_t i = 0; i < engine->header().section_count; ++i) {
      const SectionEntry& entry = engine->header().sections[i];
      if (at < entry.offset) return "was altered between its sections";
      if (at >= entry.offset + entry.bytes) continue;
      switch (static_cast<SectionKind>(entry.kind)) {
        case SectionKind::plan: return "its plan was altered";
        case SectionKind::manifest: return "its manifest was altered";
        case SectionKind::tokenizer: return "its tokenizer was altered";
        case SectionKind::chat_template: return "its chat template was altered";
        case SectionKind::generation: return "its generation defaults was altered";
        case SectionKind::weights: return "its weights were altered, at bytes 4096 to 4231";
        case SectionKind::weight_digests: return "its table of weight digests was altered";
        case SectionKind::device_code:
        case SectionKind::golden:
        case SectionKind::certificate: return "which the small engine does not have";
      }
    }
    return "was altered between its sections";
  };
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const std::byte flip : {std::byte{1}, std::byte{0x80}, std::byte{0xff}}) {
      changed.bytes()[at] ^= flip;
      std::string fault = fault_of(changed.bytes());
      if (fault.empty()) {
        // Opening does not read the weights; asking for them to be checked does.
        Engine::OpenOptions options;
        try {
          Engine::from_bytes(changed.bytes(), "small.engine", options)->check_weights();
        } catch (const Error& error) {
          fault = error.fault();
        }
      }
      ASSERT_THAT(fault, StartsWith(expected_fault(at))) << "byte " << at;
      changed.bytes()[at] ^= flip;
    }
  }
}

TEST_F(EngineTest, OtherFilesAreNoEngines) {
  std::ofstream(path) << "GGUF and so on";
  EXPECT_THROW(
      {
        try {
          Engine::open(path);
        } catch (const Error& error) {
          EXPECT_EQ(std::string(error.what()).find(path.string()), 0u);
          EXPECT_EQ(error.fault(), "is not an engine");
          throw;
        }
      },
      Error);
}

TEST_F(EngineTest, OtherVersionsAreRefusedByNumber) {
  AlignedBytes changed(as_bytes_of(bytes()));
  changed.header().version = engine_version + 1;
  changed.seal_all();
  EXPECT_EQ(fault_of(changed.bytes()), "has format version 3, this incipit reads up to 2");
  changed.header().version = 0;
  changed.seal_all();
  EXPECT_EQ(fault_of(changed.bytes()), "has format version 0, this incipit reads 2 and later");
  changed.header().version = 1;
  changed.seal_all();
  EXPECT_EQ(fault_of(changed.bytes()), "has format version 1, this incipit reads 2 and later");
}

TEST_F(EngineTest, AProcessorThatLacksAFeatureIsRefusedWithTheTargetThatFits) {
  const Target avx512 = named_target("cpu-avx512");
  write_small_engine(path, small_plan(), avx512);
  AlignedBytes whole(as_bytes_of(bytes()));
  EXPECT_EQ(fault_of(whole.bytes(), avx512), "");
  Engine::OpenOptions options;
  options.machine = named_target("cpu-avx2");
  try {
    Engine::from_bytes(whole.bytes(), "small.engine", options);
    FAIL() << "opened";
  } catch (const Error& error) {
    EXPECT_THAT(error.fault(), HasSubstr("avx512"));
    EXPECT_THAT(error.fault(), ::testing::Not(HasSubstr("avx2,")));
    EXPECT_THAT(error.remedy(), HasSubstr("--target cpu-avx2"));
  }
  options.check_target = false;
  EXPECT_NO_THROW(Engine::from_bytes(whole.bytes(), "small.engine", options));
  whole.header().features = 1u << 31;
  whole.seal_all();
  EXPECT_THAT(fault_of(whole.bytes()), HasSubstr("does not know"));
  whole.header().features = 0;
  whole.header().backend = backend_count;
  whole.seal_all();
  EXPECT_THAT(fault_of(whole.bytes()), HasSubstr("does not know"));
}

TEST_F(EngineTest, AnEngineForAnotherKindOfDeviceIsRefused) {
  const Target gpu(Backend::cuda, 90), older(Backend::cuda, 80), shadow(Backend::shadow, 0);
  write_small_engine(path, small_plan(), gpu);
  AlignedBytes whole(as_bytes_of(bytes()));
  EXPECT_EQ(fault_of(whole.bytes(), gpu), "");
  EXPECT_THAT(fault_of(whole.bytes(), older), HasSubstr("this machine is not"));
  EXPECT_THAT(fault_of(whole.bytes(), named_target("cpu-amx")), HasSubstr("this machine is not"));
  write_small_engine(path, small_plan(), shadow);
  EXPECT_EQ(Engine::open(path)->target(), shadow);  // every machine has it
}

TEST_F(EngineTest, SectionsMustFillTheBodyInOrder) {
  const std::string whole = bytes();
  const auto changed_fault = [&](auto&& change) {
    AlignedBytes changed(as_bytes_of(whole));
    change(changed);
    changed.seal_all();
    return fault_of(changed.bytes());
  };
  EXPECT_THAT(changed_fault([](AlignedBytes& b) { b.header().section_count = 0; }), HasSubstr("0 sections"));
  EXPECT_THAT(changed_fault([](AlignedBytes& b) { b.section(SectionKind::plan).kind = 99; }),
              HasSubstr("no section 'plan'"));
  EXPECT_THAT(changed_fault([](AlignedBytes& b) { b.section(SectionKind::tokenizer).kind = 5; }),
              HasSubstr("two sections 'generation defaults'"));
  EXPECT_THAT(changed_fault([](AlignedBytes& b) { b.section(SectionKind::manifest).offset += 64; }),
              HasSubstr("section 'manifest' is"));
  EXPECT_THAT(changed_fault([](AlignedBytes& b) { b.section(SectionKind::manifest).bytes = ~uint64_t{0}; }),
              HasSubstr("section 'manifest' is"));
  EXPECT_THAT(changed_fault([](AlignedBytes& b) { b.header().body_bytes -= 64; }), HasSubstr("of a body of"));
  EXPECT_THAT(changed_fault([](AlignedBytes& b) { b.header().section_count -= 1; }), HasSubstr("its sections end at"));
  EXPECT_THAT(changed_fault([](AlignedBytes& b) { b.section(SectionKind::weight_digests).bytes = 0; }),
              HasSubstr("its sections end at"));
  AlignedBytes other(as_bytes_of(whole));
  other.section(SectionKind::weights).digest.bytes[3] ^= 1;
  seal(other.header());
  EXPECT_THAT(fault_of(other.bytes()), HasSubstr("its weight digests are not those of its weights"));
  AlignedBytes changed(as_bytes_of(whole));
  changed.header().body_digest.bytes[3] ^= 1;
  changed.header().header_digest = header_digest_of(changed.header());
  EXPECT_THAT(fault_of(changed.bytes()), HasSubstr("body's digest"));
}

TEST_F(EngineTest, ASectionOfALaterKindIsPassedOverUnlessItIsRequired) {
  const auto later = static_cast<SectionKind>(1000);
  const auto write = [&](uint32_t flags) {
    EngineWriter writer(path, {});
    writer.write_weights(std::vector<std::byte>(135));
    writer.add_section(SectionKind::plan, plan_bytes(small_plan()));
    writer.add_section(SectionKind::manifest, as_bytes_of(small_manifest));
    writer.add_section(later, as_bytes_of("of a later incipit"), flags);
    writer.add_section(SectionKind::golden, as_bytes_of("results"));
    writer.commit();
  };
  write(0);
  const auto engine = Engine::open(path);
  EXPECT_EQ(text_of(engine->section(later)), "of a later incipit");
  EXPECT_EQ(text_of(engine->section(SectionKind::golden)), "results");
  EXPECT_TRUE(engine->section(SectionKind::certificate).empty());
  EXPECT_EQ(section_name(1000), "section of the unknown kind 1000");
  for (const SectionKind kind : {later, SectionKind::golden}) {
    AlignedBytes changed(as_bytes_of(bytes()));
    changed.bytes()[changed.section(kind).offset + 2] ^= std::byte{1};
    EXPECT_EQ(fault_of(changed.bytes()), "its " + section_name(static_cast<uint32_t>(kind)) + " was altered");
  }
  AlignedBytes twice(as_bytes_of(bytes()));
  twice.section(SectionKind::golden).kind = 1000;
  twice.seal_all();
  EXPECT_EQ(fault_of(twice.bytes()),
            "its header is inconsistent: it has two sections 'section of the unknown kind 1000'");
  write(section_required);
  EXPECT_EQ(fault_of(AlignedBytes(as_bytes_of(bytes())).bytes()), "needs its section of the unknown kind 1000");
}

TEST_F(EngineTest, FunctionsNeedDeviceCode) {
  plan::PlanT plan = small_plan();
  plan.sample->kernels[0].function = "sample_f32";
  const auto write = [&](std::string_view code) {
    EngineWriter writer(path, {});
    writer.write_weights(std::vector<std::byte>(135));
    writer.add_section(SectionKind::plan, plan_bytes(plan));
    writer.add_section(SectionKind::manifest, as_bytes_of(small_manifest));
    if (!code.empty()) writer.add_section(SectionKind::device_code, as_bytes_of(code), section_required);
    writer.commit();
  };
  write("");
  EXPECT_THAT(fault_of(AlignedBytes(as_bytes_of(bytes())).bytes()), HasSubstr("names functions"));
  write("code");
  EXPECT_EQ(text_of(Engine::open(path)->section(SectionKind::device_code)), "code");
}

TEST_F(EngineTest, ThePlanReadsAsText) {
  const std::string text = describe_plan(Engine::open(path)->plan());
  EXPECT_THAT(text, HasSubstr("plan precision=f32 vocabulary=10"));
  EXPECT_THAT(text, HasSubstr("tokens begin=1 end=2,3"));
  EXPECT_THAT(text, HasSubstr("s0 embed (ids, w0) -> (b0)  embedding width=4"));
  EXPECT_THAT(text, HasSubstr("s1 write (b0[0:2], b0[2:4], cache0.1) -> ()"));
  EXPECT_THAT(text,
              HasSubstr("up to 2 tokens: embedding/a abi 1 default\n     up to 8 tokens: embedding/b abi 1 default"));
}

}  // namespace
}  // namespace incipit
