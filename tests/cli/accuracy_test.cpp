// incipit compare, and builds in four bits.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <iterator>

#include "base/file.h"
#include "engines.h"
#include "support/sanitized.h"

namespace incipit {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

const std::string text = fixtures() / "text" / "eval.txt";
const std::string some_tokens = std::to_string((sanitized ? 2 : 4) * 256);

std::string four_bit_engine() {
  static const std::string path = [] {
    const std::string target = place() / "int4.engine";
    const Ran ran = run_program({"build", classics, "-o", target, "--precision", "int4", "--keep", "layers.0.*=bf16",
                                 "--keep", "layers.7.mlp.*=int4-zero-g32", "--no-tune", "--no-baseline", "--no-golden",
                                 "--max-context", "512", "--max-batch", "2"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    return target;
  }();
  return path;
}

double perplexity_of(const std::string& engine) {
  const Ran ran =
      run_program({"eval", engine, "--text", text, "--max-tokens", some_tokens, "--window", "256", "--json"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  return number(object_of(ran.out).at("perplexity"));
}

boost::json::object compared(const std::string& reference, const std::string& engine) {
  const Ran ran = run_program(
      {"compare", reference, engine, "--text", text, "--max-tokens", some_tokens, "--window", "256", "--json"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  return object_of(ran.out);
}

TEST(Compare, AnEngineIsLikeItself) {
  const auto found = compared(classics_engine(), classics_engine());
  EXPECT_EQ(found.at("kl_max").to_number<double>(), 0);
  EXPECT_EQ(found.at("change").to_number<double>(), 0);
  EXPECT_EQ(found.at("same_choice"), found.at("tokens"));
  EXPECT_DOUBLE_EQ(number(found.at("perplexity")), perplexity_of(classics_engine()));
}

TEST(Compare, FourBitsAreSomewhatOff) {
  const auto found = compared(classics_engine(), four_bit_engine());
  const double reference = number(found.at("reference_perplexity")), own = number(found.at("perplexity"));
  EXPECT_DOUBLE_EQ(reference, perplexity_of(classics_engine()));
  EXPECT_DOUBLE_EQ(own, perplexity_of(four_bit_engine()));
  EXPECT_NEAR(number(found.at("change")), own / reference - 1, 1e-12);
  EXPECT_LT(std::abs(number(found.at("change"))), 0.1);
  const double mean = number(found.at("kl_mean")), p99 = number(found.at("kl_p99")), most = number(found.at("kl_max"));
  EXPECT_GT(mean, 1e-4);
  EXPECT_LT(mean, 0.2);
  EXPECT_GT(p99, mean);
  EXPECT_GE(most, p99);
  EXPECT_LT(number(found.at("same_choice")), number(found.at("tokens")));
  EXPECT_GT(number(found.at("same_choice")), 0.7 * number(found.at("tokens")));
  double last = most;
  ASSERT_EQ(found.at("worst").as_array().size(), 5U);
  for (const boost::json::value& passage : found.at("worst").as_array()) {
    EXPECT_LE(number(passage.at("kl")), last);
    last = number(passage.at("kl"));
    EXPECT_GT(last, mean);
    EXPECT_FALSE(passage.at("text").as_string().empty());
  }
}

TEST(Compare, PrintsLines) {
  const Ran ran = run_program({"compare", classics_engine(), four_bit_engine(), "--text", text, "--max-tokens", "128",
                               "--window", "64", "--worst", "1"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, AllOf(StartsWith("perplexity "), HasSubstr("over 126 tokens in windows of 64\nKL "),
                             HasSubstr("\nfirst choice "), HasSubstr("\nworst ")));
  EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 4);
}

TEST(Compare, RefusesWhatCannotBeCompared) {
  const std::string engine = classics_engine();
  expect_refused(run_program({"compare", engine, tiny_engine(), "--text", text}), 1, "its vocabulary is");
  expect_refused(run_program({"compare", tiny_engine(), engine, "--text", text}), 1, "has no tokenizer");
  expect_refused(run_program({"compare", engine, short_engine(), "--text", text}), 1,
                 "--window: 512 tokens are more than the context of");
  expect_refused(run_program({"compare", engine, engine, "--text", classics / "generation_config.json"}), 1, "window");
  expect_refused(run_program({"compare", engine, engine, "--text", engine}), 1, "is not UTF-8");
  expect_refused(run_program({"compare", engine, place() / "none", "--text", text}), 1, "none");
}

/// The beginning of the text, in a file of its own.
std::string short_text() {
  static const std::string path = [] {
    const std::string name = place() / "short.txt";
    std::ofstream(name) << read_text_file(text).substr(0, sanitized ? 3000 : 8000);
    return name;
  }();
  return path;
}

Ran build_certified(const std::string& output, const std::string& precision, const std::string& bound,
                    const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments{
      "build",       classics,        "-o",  output,       "--precision", precision,   "--no-tune", "--no-baseline",
      "--no-golden", "--max-context", "256", "--accuracy", bound,         "--certify", short_text()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_program(arguments);
}

/// Without the lines of progress that precede an error behind long work.
void expect_refused_behind_work(Ran ran, const std::string& part) {
  const size_t last = ran.err.rfind("\nincipit: ");
  if (last != ran.err.npos) ran.err.erase(0, last + 1);
  expect_refused(ran, 1, part);
}

TEST(Certify, AnEngineCarriesWhatWasMeasured) {
  const std::string engine = place() / "certified.engine";
  const Ran built = build_certified(engine, "int8", "perplexity<=5%");
  ASSERT_EQ(built.status, 0) << built.err;
  EXPECT_THAT(built.out, HasSubstr(" in int8, certified, perplexity<=5%, "));
  EXPECT_THAT(run_program({"inspect", engine}).out, HasSubstr(", certified, perplexity<=5%\n"));
  const Ran accuracy = run_program({"inspect", engine, "--accuracy"});
  EXPECT_THAT(
      accuracy.out,
      AllOf(StartsWith("precision      int8, certified, perplexity<=5%\nmeasured       perplexity "),
            HasSubstr(" f32's "), HasSubstr("short.txt"), HasSubstr("\nproducts       int8: model.embed_tokens, ")));
  // The record says what compare finds.
  const auto record = trailer_record(engine, "accuracy");
  ASSERT_FALSE(record.empty());
  const Ran compared =
      run_program({"compare", short_engine(), engine, "--text", short_text(), "--window", "256", "--json"});
  const auto found = object_of(compared.out);
  for (const char* figure : {"tokens", "perplexity", "reference_perplexity", "kl_mean", "kl_max", "same_choice"}) {
    EXPECT_NEAR(number(record.at(figure)), number(found.at(figure)), 1e-4 * number(found.at(figure))) << figure;
  }
}

TEST(Certify, AnEngineWithoutSaysSo) {
  EXPECT_THAT(run_program({"inspect", classics_engine()}).out, HasSubstr(", not certified\n"));
  EXPECT_THAT(run_program({"inspect", four_bit_engine(), "--accuracy"}).out,
              testing::Eq("precision      int4, not certified\n"
                          "products       bf16: model.layers.0.mlp.down_proj, model.layers.0.mlp.gate_up_proj, "
                          "model.layers.0.self_attn.o_proj, model.layers.0.self_attn.qkv_proj\n"
                          "products       i4:i8:1x64:bf16: model.layers.*.mlp.down_proj (6), "
                          "model.layers.*.mlp.gate_up_proj (6), model.layers.*.self_attn.o_proj (7)\n"
                          "products       int8: model.embed_tokens, model.layers.7.self_attn.kv_proj, "
                          "model.layers.7.self_attn.q_proj, model.layers.*.self_attn.qkv_proj (6)\n"
                          "products       u4:i8:1x32:bf16:u8: model.layers.7.mlp.down_proj, "
                          "model.layers.7.mlp.gate_up_proj\n"));
}

TEST(Certify, ABoundThatDoesNotHoldLeavesNothing) {
  const std::filesystem::path folder = place() / "refused";
  std::filesystem::create_directory(folder);
  const std::string engine = folder / "e.engine";
  const std::vector<std::string> coarse{"--keep", "*=int4-g128"};
  // What a killed build has left goes; what one that lives has, stays.
  std::filesystem::create_directory(folder / ".e.engine.certified-killed");
  std::ofstream(folder / ".e.engine.certified-killed" / "reference") << "half";
  const std::filesystem::path alive = folder / ".e.engine.certified-alive";
  std::filesystem::create_directory(alive);
  const int lock = ::open(alive.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_EQ(::flock(lock, LOCK_EX), 0);
  expect_refused_behind_work(build_certified(engine, "int4", "perplexity<=0%", coarse),
                             engine + ": is not built, as perplexity<=0% does not hold in int4: perplexity ");
  EXPECT_TRUE(std::filesystem::exists(alive));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
  ::close(lock);
  std::filesystem::copy(short_engine(), engine);  // what is there stays
  const std::string before = read_text_file(engine);
  expect_refused_behind_work(build_certified(engine, "int4", "perplexity<=0%", coarse), "does not hold");
  EXPECT_EQ(read_text_file(engine), before);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
}

TEST(Certify, RefusesWhatCannotBeMeasured) {
  const std::string engine = place() / "uncertified.engine";
  expect_refused(build_certified(engine, "int8", "perplexity<1%"), 1, "--accuracy 'perplexity<1%': is no bound");
  expect_refused(build_certified(engine, "int8", "perplexity<=1"), 1, "is no bound");
  expect_refused(
      run_program({"build", classics, "-o", engine, "--accuracy", "perplexity<=1%", "--certify", engine + ".txt"}), 1,
      "uncertified.engine.txt");
  expect_refused(run_program({"build", tiny_model, "-o", engine, "--accuracy", "perplexity<=1%", "--certify",
                              short_text(), "--no-tune"}),
                 1, "no tokenizer");
  EXPECT_EQ(run_program({"build", classics, "-o", engine, "--accuracy", "perplexity<=1%"}).status, 2);
  EXPECT_FALSE(std::filesystem::exists(engine));
}

TEST(Keep, RefusesWhatIsNoProduct) {
  const auto refused = [](const std::string& keep, const std::string& why) {
    expect_refused(run_program({"build", classics, "-o", place() / "kept.engine", "--precision", "int4", "--no-tune",
                                "--no-baseline", "--no-golden", "--keep", keep}),
                   1, why);
    EXPECT_FALSE(std::filesystem::exists(place() / "kept.engine"));
  };
  refused("layers.0.*", "--keep 'layers.0.*': is no name of products with a precision");
  refused("layers.0.*=int3", "precision int3: unknown weight format");
  refused("layers.8.*=bf16", "--keep 'layers.8.*=bf16': no product has such a name; the first of 34 are");
}

/// One product of four bits, so that little is to be worked out.
Ran build_calibrated(const std::string& output, const std::string& on, const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments{"build",
                                     classics,
                                     "-o",
                                     output,
                                     "--precision",
                                     "bf16",
                                     "--keep",
                                     "layers.3.self_attn.o_proj=int4",
                                     "--no-tune",
                                     "--no-baseline",
                                     "--no-golden",
                                     "--max-context",
                                     "64",
                                     "--calibrate",
                                     on};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_program(arguments);
}

TEST(Calibrate, ATextChoosesHowCodesAreRounded) {
  const std::string engine = place() / "calibrated.engine";
  const Ran built = build_calibrated(engine, short_text(), {"--rounding", "gptq"});
  ASSERT_EQ(built.status, 0) << built.err;
  EXPECT_THAT(built.out, HasSubstr("; calibrated: gptq (gptq: KL "));
  EXPECT_THAT(run_program({"inspect", engine, "--manifest"}).out, HasSubstr("gptq on short.txt"));
}

TEST(Calibrate, RefusesWhatShowsNothing) {
  const std::string engine = place() / "uncalibrated.engine", on = place() / "strange.txt";
  const auto refused = [&](const std::string& content, const std::string& part) {
    std::ofstream(on) << content;
    expect_refused_behind_work(build_calibrated(engine, on), part);
  };
  refused("", "strange.txt: it has 0 tokens");
  refused("It", "too little of a model");
  refused("\xff\xfe\x01", "strange.txt");
  EXPECT_EQ(run_program({"build", classics, "-o", engine, "--rounding", "gptq"}).status, 2);
  expect_refused(run_program({"build", tiny_model, "-o", engine, "--calibrate", short_text(), "--no-tune"}), 1,
                 "no tokenizer");
  EXPECT_FALSE(std::filesystem::exists(engine));
}

}  // namespace
}  // namespace incipit
