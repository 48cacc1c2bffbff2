#include "base/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include "base/error.h"
#include "import/hf/checkpoint.h"
#include "support/shared_files.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

/// A file with this header text and so many bytes of data.
std::string file_of(std::string_view header, size_t data) {
  std::string bytes(8, '\0');
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(static_cast<uint64_t>(header.size()) >> (8 * i));
  bytes += header;
  bytes.append(data, '\x01');
  return bytes;
}

SafetensorsFile parse(const std::string& bytes) {
  const auto owner = std::make_shared<const std::string>(bytes);
  return SafetensorsFile::parse("x.safetensors", std::as_bytes(std::span(*owner)), owner);
}

std::string fault_of(const std::string& bytes) {
  try {
    parse(bytes);
  } catch (const Error& error) {
    EXPECT_EQ(error.thing().rfind("x.safetensors", 0), 0U) << error.what();
    return error.fault();
  }
  return "accepted";
}

std::string fault_of(std::string_view header, size_t data) { return fault_of(file_of(header, data)); }

std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

TEST(Safetensors, ReadsTheReferenceFile) {
  const SafetensorsFile file = SafetensorsFile::open(fixtures() / "reference/llama-mha/golden.safetensors");
  EXPECT_THAT(file.names(), testing::ElementsAre("greedy", "input_ids", "logits"));
  EXPECT_EQ(file.tensor("logits").dtype, DType::f32);
  EXPECT_EQ(file.shape("logits"), (Shape{2, 40, 259}));
  const Tensor ids = file.load("input_ids");
  EXPECT_EQ(ids.dtype(), DType::i32);
  for (int32_t id : ids.as<int32_t>()) EXPECT_TRUE(id >= 0 && id < 259);
  EXPECT_FALSE(file.contains("labels"));
  EXPECT_THROW(file.tensor("labels"), Error);
}

TEST(Safetensors, WritesWhatItReads) {
  TemporaryDirectory directory;
  std::map<std::string, Tensor> tensors;
  tensors.emplace("b", Tensor::of({3}, std::vector<int64_t>{1, -2, INT64_MAX}));
  tensors.emplace("a", Tensor::of({2, 2}, std::vector<float>{1, 2, 3, 4}));
  tensors.emplace("byte", Tensor(DType::u8, {5}));
  tensors.emplace("half", Tensor(DType::f16, {3}));
  tensors.emplace("empty", Tensor(DType::bf16, {0, 4}));
  tensors.emplace("scalar", Tensor(DType::f64, {}));
  tensors.emplace("with \"quotes\" and \n", Tensor(DType::boolean, {1}));
  write_safetensors(directory / "t.safetensors", tensors);
  const SafetensorsFile file = SafetensorsFile::open(directory / "t.safetensors");
  ASSERT_EQ(file.names().size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    const Tensor copy = file.load(name);
    EXPECT_EQ(copy.dtype(), tensor.dtype()) << name;
    EXPECT_EQ(copy.shape(), tensor.shape()) << name;
    EXPECT_EQ(std::memcmp(copy.data(), tensor.data(), tensor.bytes()), 0) << name;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(file.tensor(name).data) % size_of(tensor.dtype()), 0U) << name;
  }
}

TEST(Safetensors, WrittenWithoutTensorsIsEmpty) {
  TemporaryDirectory directory;
  write_safetensors(directory / "t.safetensors", {});
  EXPECT_TRUE(SafetensorsFile::open(directory / "t.safetensors").names().empty());
}

TEST(Safetensors, ConstantsKeepTheFileMapped) {
  ConstantPtr constant;
  {
    constant =
        constant_of(SafetensorsFile::open(fixtures() / "reference/llama-mha/model.safetensors"), "model.norm.weight");
  }
  EXPECT_EQ(constant->shape(), (Shape{64}));
  std::vector<float> values(64);
  constant->read_floats(0, 64, values.data());
  EXPECT_THAT(values, testing::Each(testing::Gt(0.0F)));
}

TEST(Safetensors, MetadataIsNoTensor) {
  EXPECT_EQ(parse(file_of(R"({"__metadata__":{"format":"pt"}})", 0)).names().size(), 0U);
}

TEST(Safetensors, HeaderFaultsAreNamed) {
  EXPECT_EQ(fault_of("1234567"), "is 7 bytes long, too short for a safetensors header");
  EXPECT_EQ(fault_of(std::string("\x10\0\0\0\0\0\0\0{}", 10)), "says its header has 16 bytes, but only 2 follow");
  EXPECT_THAT(fault_of(std::string(16, '\xff')), testing::HasSubstr("says its header has 18446744073709551615 bytes"));
  EXPECT_THAT(fault_of("{\"a\": ", 0), testing::HasSubstr("is not valid JSON"));
  EXPECT_THAT(fault_of("", 0), testing::HasSubstr("is not valid JSON"));
  EXPECT_EQ(fault_of("[]", 0), "has a header that is not a JSON object");
}

TEST(Safetensors, EntryFaultsAreNamed) {
  EXPECT_EQ(fault_of(R"({"w":1})", 0), "tensor w: its header entry is not an object");
  EXPECT_EQ(fault_of(R"({"w":{"shape":[1],"data_offsets":[0,4]}})", 4), "tensor w: dtype is missing or not a string");
  EXPECT_EQ(fault_of(R"({"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4),
            "tensor w: shape is missing or not a list of numbers from 0");
  EXPECT_EQ(fault_of(R"({"w":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", 4),
            "tensor w: shape is missing or not a list of numbers from 0");
  EXPECT_EQ(fault_of(R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4),
            "tensor w: data_offsets is missing or not two numbers from 0");
  EXPECT_EQ(fault_of(R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551615]}})", 4),
            "tensor w: data_offsets is missing or not two numbers from 0");
  EXPECT_EQ(fault_of(R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4),
            "tensor w: data_offsets [4, 0] run backwards");
  EXPECT_EQ(fault_of(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4),
            "tensor w: ends at byte 8 of 4: the file is cut short by 4 or more");
  EXPECT_EQ(fault_of(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4),
            "tensor w: F32[2] needs 8 bytes, data_offsets give 4");
  EXPECT_EQ(fault_of(R"({"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0),
            "tensor w: shape [4294967296, 4294967296] overflows or is no whole number of bytes");
  EXPECT_EQ(fault_of(R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"w":{"dtype":"U8","shape":[1],)"
                     R"("data_offsets":[0,1]}})",
                     1),
            "has 'w' twice in its header");
}

TEST(Safetensors, LayoutFaultsAreNamed) {
  const std::string a = R"("a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]})";
  EXPECT_EQ(fault_of("{" + a + R"(,"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})", 6),
            "tensors a and b overlap");
  EXPECT_EQ(fault_of("{" + a + R"(,"b":{"dtype":"U8","shape":[1],"data_offsets":[5,6]}})", 6),
            "1 bytes before tensor b belong to no tensor");
  EXPECT_EQ(fault_of("{" + a + "}", 6), "2 bytes after the last tensor belong to none");
  EXPECT_EQ(fault_of("{" + a + "}", 4), "accepted");
}

TEST(Safetensors, ForeignElementTypesAreRefusedWhenAskedFor) {
  const SafetensorsFile file = parse(file_of(R"({"w":{"dtype":"F8_E5M2","shape":[4],"data_offsets":[0,4]},)"
                                             R"("x":{"dtype":"Q9","shape":[1],"data_offsets":[4,6]}})",
                                             6));
  EXPECT_EQ(file.shape("w"), (Shape{4}));
  try {
    file.tensor("w");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), "tensor w has element type F8_E5M2, which this build does not read");
  }
  EXPECT_THROW(constant_of(file, "x"), Error);
  EXPECT_THAT(fault_of(R"({"w":{"dtype":"F8_E5M2","shape":[4],"data_offsets":[0,3]}})", 3),
              testing::HasSubstr("needs 4 bytes"));
}

TEST(Safetensors, ShorterFilesAreRefused) {
  const std::string whole = read_bytes(fixtures() / "reference/qwen2/golden.safetensors");
  for (size_t size = 0; size < whole.size(); size += size < 600 ? 1 : 997) {
    EXPECT_NE(fault_of(whole.substr(0, size)), "accepted") << size;
  }
  EXPECT_EQ(fault_of(whole), "accepted");
  EXPECT_NE(fault_of(whole + '\0'), "accepted");
}

TEST(Safetensors, GarbledHeadersNeverEscapeTheFile) {
  const std::string whole = read_bytes(fixtures() / "reference/qwen2/golden.safetensors");
  std::mt19937 random(1);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = whole;
    for (int flips = 0; flips < 3; ++flips) bytes[random() % 280] = static_cast<char>(random());
    try {
      const SafetensorsFile file = parse(bytes);
      for (const std::string& name : file.names()) {
        const Tensor tensor = file.load(name);  // under the address sanitizer, every byte is checked
        EXPECT_LE(tensor.bytes(), whole.size());
      }
    } catch (const Error&) {
    }
  }
}

/// Bytes of mapped files in residence.
int64_t resident_file_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    int64_t kilobytes = 0;
    if (word == "RssFile:" && status >> kilobytes) return kilobytes << 10;
  }
  return 0;
}

TEST(Safetensors, WhatWasReadLeavesResidence) {
  const TemporaryDirectory directory;
  constexpr int64_t rows = 4096, columns = 1024, mebibyte = 1 << 20;
  std::map<std::string, Tensor> tensors;
  for (const char* name : {"a", "b", "c"}) tensors.emplace(name, Tensor(DType::f32, {rows, columns}));
  write_safetensors(directory / "model.safetensors", tensors);
  tensors.clear();
  const SafetensorsFile file = SafetensorsFile::open(directory / "model.safetensors");
  const int64_t before = resident_file_bytes();
  int64_t most = before;
  const auto read = [&](const ConstantPtr& constant, int64_t step) {
    std::vector<float> values(static_cast<size_t>(step * constant->row_elements()));
    for (int64_t row = 0; row < constant->rows(); row += step) {
      constant->read_floats(row, step, values.data());
      if (row % 64 == 0) most = std::max(most, resident_file_bytes());
    }
  };
  read(constant_of(file, "a"), 1);
  read(concatenate_rows({select_rows(constant_of(file, "b"), {0, 16, 32, rows / 32}),
                         select_rows(constant_of(file, "b"), {16, 16, 32, rows / 32})}),
       16);
  read(reshape(constant_of(file, "c"), {rows / 2, columns * 2}), 8);
  EXPECT_LE(most - before, 8 * mebibyte) << "of 48 MiB read (the system may map 2 MiB at once)";
  // Columns of all rows at once are in residence for the time of their reading only.
  read(transpose(constant_of(file, "c")), 64);
  EXPECT_LE(resident_file_bytes() - before, 8 * mebibyte);
}

}  // namespace
}  // namespace incipit
