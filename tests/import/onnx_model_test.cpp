// The ONNX reader: what it makes of files, and that no file can harm it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "import/onnx/import_onnx.h"
#include "import/onnx/model.h"
#include "support/message_of.h"
#include "support/onnx_bytes.h"
#include "support/temporary_directory.h"

namespace incipit {
namespace {

using namespace onnx_bytes;  // NOLINT: a notation
using ::testing::ElementsAre;
using ::testing::HasSubstr;

onnx::Model parse_bytes(const std::string& text) { return onnx::parse_model(span_of(text), "m.onnx"); }

/// What importing says, which must be one line.
std::string import_refusal(const std::string& text) {
  std::string message = message_of([&] { import_onnx_graph(parse_bytes(text)); });
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  EXPECT_LT(message.size(), 4000u);
  return message;
}

std::string with_tensor(const std::string& tensor) {
  OnnxGraph graph = small_graph();
  graph.initializers.push_back(tensor);
  return model(graph);
}

Tensor read_back(const std::string& tensor) {
  return parse_bytes(with_tensor(tensor)).graph.initializers.at("t")->materialise();
}

TEST(OnnxModel, ReadsWhatAFileSays) {
  const onnx::Model model = parse_bytes(onnx_bytes::model(small_graph(), 17));
  EXPECT_EQ(model.ir_version, 8);
  EXPECT_EQ(model.opsets.at(""), 17);
  ASSERT_EQ(model.graph.nodes.size(), 2u);
  EXPECT_EQ(model.graph.nodes[0].op_type, "MatMul");
  EXPECT_THAT(model.graph.nodes[1].inputs, ElementsAre("product", "b"));
  EXPECT_EQ(model.graph.initializers.at("w")->shape(), (Shape{2, 3}));
  ASSERT_EQ(model.graph.inputs.size(), 1u);
  EXPECT_EQ(model.graph.inputs[0].shape->at(0), Dim::symbol("rows"));
}

TEST(OnnxModel, ReadsElementsOfEveryField) {
  EXPECT_THAT(read_back(tensor("t", i64, {2}, raw<int64_t>({-1, 5}))).as<int64_t>(), ElementsAre(-1, 5));
  EXPECT_THAT(read_back(tensor_head("t", i64, {2}) + number(7, -1) + number(7, 5)).as<int64_t>(), ElementsAre(-1, 5));
  EXPECT_THAT(read_back(tensor_head("t", i8, {2}) + number(5, -3) + number(5, 4)).as<int8_t>(), ElementsAre(-3, 4));
  EXPECT_THAT(read_back(tensor_head("t", boolean, {3}) + number(5, 0) + number(5, 1) + number(5, 2)).as<uint8_t>(),
              ElementsAre(0, 1, 1));
  // Halves lie in int32_data as their bits; 0x3c00 is 1.
  const Tensor halves = read_back(tensor_head("t", half, {1}) + number(5, 0x3c00));
  ASSERT_EQ(halves.dtype(), DType::f16);
  EXPECT_EQ(to_float(halves.as<f16>()[0]), 1);
  EXPECT_EQ(read_back(tensor_head("t", f32, {0, 5})).elements(), 0);
}

TEST(OnnxModel, EveryTruncationIsRefusedOrHarmless) {
  const std::string whole = model(small_graph());
  for (size_t size = 0; size < whole.size(); ++size) import_refusal(whole.substr(0, size));
}

TEST(OnnxModel, EveryFlippedByteIsRefusedOrHarmless) {
  const std::string whole = model(small_graph());
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const int flip : {0x01, 0x04, 0x80, 0xff}) {
      std::string broken = whole;
      broken[at] = static_cast<char>(static_cast<uint8_t>(broken[at]) ^ flip);
      import_refusal(broken);
    }
  }
}

TEST(OnnxModel, RefusesClaimsBeforeAllocating) {
  // A tensor of 4 GB without data, and a field of 4 GB: a whole file of some 40 bytes each.
  EXPECT_THAT(import_refusal(model({{}, {tensor_head("t", f32, {1 << 15, 1 << 15})}, {}, {}, {}})),
              HasSubstr("has a shape of 1073741824 elements, but data of 0 (0 bytes)"));
  EXPECT_THAT(import_refusal(varint(7 << 3 | 2) + varint(uint64_t{4} << 30) + "graph"),
              HasSubstr("ends within a field"));
  EXPECT_THAT(import_refusal(with_tensor(tensor_head("t", f32, {INT64_MAX, INT64_MAX}))),
              HasSubstr("overflow 64 bits"));
  EXPECT_THAT(import_refusal(with_tensor(tensor_head("t", f32, {-1}))), HasSubstr("has the extent -1"));
}

TEST(OnnxModel, RefusesShapesThatLie) {
  EXPECT_THAT(import_refusal(with_tensor(tensor("t", f32, {2, 2}, raw<float>({1, 2, 3})))),
              HasSubstr("tensor 't': has a shape of 4 elements, but data of 3 (12 bytes)"));
  EXPECT_THAT(import_refusal(with_tensor(tensor_head("t", i64, {3}) + number(7, 1))),
              HasSubstr("a shape of 3 elements, but data of 1"));
}

TEST(OnnxModel, NamesElementTypesThatItDoesNotHave) {
  EXPECT_THROW(parse_bytes(with_tensor(tensor("t", f8, {1}, "x"))), onnx::UnsupportedType);
  EXPECT_THAT(import_refusal(with_tensor(tensor("t", f8, {1}, "x"))), HasSubstr("has the element type float8e4m3fn"));
  EXPECT_THAT(import_refusal(with_tensor(tensor("t", 99, {1}, "x"))), HasSubstr("has the element type number 99"));
  EXPECT_THAT(import_refusal(with_tensor(tensor("t", onnx_bytes::string, {1}, "x"))),
              HasSubstr("has the element type string"));
}

TEST(OnnxModel, RefusesNamesThatAreThereTwice) {
  EXPECT_THAT(import_refusal(with_tensor(floats("w", {1}, {1}))), HasSubstr("has the initializer 'w' twice"));
  OnnxGraph graph = small_graph();
  graph.nodes.push_back(node("Relu", {"x"}, {"y"}));
  EXPECT_THAT(import_refusal(model(graph)), HasSubstr("makes 'y', which is made elsewhere too"));
}

TEST(OnnxModel, TakesDimensionsAsPolynomials) {
  OnnxGraph graph = small_graph();
  graph.inputs = {value("x", f32, {"past_sequence_length + 1", "onnx::Shape_12", "past_sequence_length", "?", "-1"})};
  const std::vector<Dim> shape = *parse_bytes(model(graph)).graph.inputs[0].shape;
  EXPECT_EQ(shape[0], Dim::symbol("past_sequence_length") + 1);
  EXPECT_EQ(shape[1], Dim::symbol("onnx__Shape_12"));
  EXPECT_EQ(shape[0] - shape[2], Dim(1));
  EXPECT_EQ(shape[3], Dim::symbol("_"));
  EXPECT_EQ(shape[4], Dim::symbol("_1"));
}

class ExternalData : public ::testing::Test {
 protected:
  /// A model whose weight lies in `location`.
  std::string with_location(const std::string& location, const std::string& offset = "4",
                            const std::string& length = "24") const {
    const auto entry = [](const std::string& key, const std::string& value) {
      return bytes(13, bytes(1, key) + bytes(2, value));
    };
    OnnxGraph graph = small_graph();
    graph.initializers[0] = tensor_head("w", f32, {2, 3}) + entry("location", location) + entry("offset", offset) +
                            (length.empty() ? "" : entry("length", length)) + number(14, 1);
    return model(graph);
  }
  std::string refusal(const std::string& text) const {
    write("m.onnx", text);
    return message_of([&] { onnx::read_model(home() / "m.onnx"); });
  }
  void write(const std::filesystem::path& name, const std::string& text) const {
    std::ofstream(home() / name, std::ios::binary) << text;
  }
  std::filesystem::path home() const { return directory_.path() / "home"; }
  void SetUp() override {
    std::filesystem::create_directories(home() / "sub");
    write("weights.bin", "head" + raw<float>({1, 2, 3, 4, 5, 6}));
    write("../outside.bin", std::string(28, 'x'));
  }
  TemporaryDirectory directory_;
};

TEST_F(ExternalData, IsMapped) {
  for (const std::string length : {"24", ""}) {
    write("m.onnx", with_location("weights.bin", "4", length));
    const onnx::Model model = onnx::read_model(home() / "m.onnx");
    EXPECT_THAT(model.graph.initializers.at("w")->materialise().as<float>(), ElementsAre(1, 2, 3, 4, 5, 6));
    EXPECT_THAT(model.files, ElementsAre(home() / "m.onnx", home() / "weights.bin"));
  }
  std::filesystem::create_symlink("../weights.bin", home() / "sub" / "link.bin");
  EXPECT_EQ(refusal(with_location("sub/link.bin")), "no error");  // a link that stays inside
}

TEST_F(ExternalData, MustLieInTheModelsDirectory) {
  for (const std::string place : {"../outside.bin", "sub/../../outside.bin", "/etc/hostname", "", "."}) {
    EXPECT_THAT(refusal(with_location(place)), HasSubstr("tensor 'w'")) << place;
  }
  std::filesystem::create_symlink("../outside.bin", home() / "link.bin");
  EXPECT_THAT(refusal(with_location("link.bin")), HasSubstr("is a link that leads out of the model's directory"));
  EXPECT_THAT(refusal(with_location("missing.bin")), HasSubstr("cannot be found"));
  const std::string text = with_location("weights.bin");
  EXPECT_THAT(message_of([&] { onnx::parse_model(span_of(text), "m"); }), HasSubstr("has its data in another file"));
}

// As Hugging Face's cache keeps a model: links to files that are named by their contents.
class CachedModel : public ExternalData {
 protected:
  void SetUp() override {
    ExternalData::SetUp();
    for (const char* folder : {"blobs", "snapshots/1/onnx/parts"}) std::filesystem::create_directories(home() / folder);
    write("blobs/b2", "head" + raw<float>({1, 2, 3, 4, 5, 6}));
    link("../../../blobs/b1", "snapshots/1/onnx/model.onnx");
  }
  void link(const char* target, const char* name) const { std::filesystem::create_symlink(target, home() / name); }
  std::string read(const std::string& location, const char* model = "snapshots/1/onnx/model.onnx") const {
    write("blobs/b1", with_location(location));
    return message_of([&] {
      EXPECT_THAT(onnx::read_model(home() / model).graph.initializers.at("w")->materialise().as<float>(),
                  ElementsAre(1, 2, 3, 4, 5, 6));
    });
  }
};

TEST_F(CachedModel, HasItsDataBehindLinks) {
  link("../../../blobs/b2", "snapshots/1/onnx/model.onnx_data");
  link("../../../../blobs/b2", "snapshots/1/onnx/parts/0");
  link("snapshots/1/onnx/model.onnx", "chain.onnx");
  link("../../../blobs/b3", "snapshots/1/onnx/far");
  link("b2", "blobs/b3");
  for (const char* location : {"model.onnx_data", "./model.onnx_data", "parts/0", "far"}) {
    EXPECT_EQ(read(location), "no error") << location;
  }
  // A link to the model alone: its data lies where the file does.
  EXPECT_EQ(read("b2", "chain.onnx"), "no error");
  EXPECT_EQ(message_of([&] {
              const onnx::Model model = onnx::read_model(home() / "snapshots/1/onnx/model.onnx");
              EXPECT_EQ(model.files.size(), 2U);
            }),
            "no error");
}

TEST_F(CachedModel, HasNoDataElsewhere) {
  link("../../../../outside.bin", "snapshots/1/onnx/out");
  link("../../outside.bin", "blobs/escape");
  link("../../../blobs/escape", "snapshots/1/onnx/chain");
  link("../../../weights.bin", "snapshots/1/onnx/neighbour");
  for (const char* location : {"out", "chain", "neighbour", "escape"}) {
    EXPECT_THAT(read(location), HasSubstr("is a link that leads out of the model's directory")) << location;
  }
  EXPECT_THAT(read("../blobs/b2"), HasSubstr("which is no file in the model's directory"));
  EXPECT_THAT(read((home() / "blobs/b2").string()), HasSubstr("which is no file in the model's directory"));
  EXPECT_THAT(read("nothing"), HasSubstr("snapshots/1/onnx/nothing, which cannot be found"));
}

TEST_F(ExternalData, MustHaveTheBytes) {
  EXPECT_THAT(refusal(with_location("weights.bin", "8")), HasSubstr("which has 28 bytes"));
  EXPECT_THAT(refusal(with_location("weights.bin", "18446744073709551615")), HasSubstr("which has 28 bytes"));
  EXPECT_THAT(refusal(with_location("weights.bin", "-4")), HasSubstr("has '-4' as its data's offset"));
  EXPECT_THAT(refusal(with_location("weights.bin", "4", "20")),
              HasSubstr("needs 24 bytes, but its external data has 20"));
}

}  // namespace
}  // namespace incipit
