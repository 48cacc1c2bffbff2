#include "cli/certify.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <system_error>
#include <utility>

#include "base/digest.h"
#include "base/error.h"
#include "base/progress.h"
#include "base/version.h"
#include "cli/options.h"
#include "measure/compare_engines.h"
#include "measure/measure.h"

namespace incipit::cli {
namespace {

constexpr int folder_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

}  // namespace

FolderBeside::FolderBeside(const std::filesystem::path& output) {
  std::error_code none;
  output_ = std::filesystem::weakly_canonical(output, none);  // a link stays: what it leads to is written
  if (none) output_ = output;
  const std::string beginning = "." + output_.filename().string() + ".certified-";
  remove_abandoned(beginning);
  const auto refuse = [&] {
    throw Error(output.string(),
                fmt::format("cannot make a folder beside it: {}", std::generic_category().message(errno)),
                "check its directory's permissions and the space left");
  };
  // Between the folder's making and its lock another program may take it for abandoned.
  while (descriptor_ < 0) {
    std::string name = (output_.parent_path() / (beginning + "XXXXXX")).string();
    if (::mkdtemp(name.data()) == nullptr) refuse();
    path_ = name;
    descriptor_ = ::open(name.c_str(), folder_flags);
    if (descriptor_ < 0 && errno != ENOENT) refuse();
    if (descriptor_ < 0) continue;
    ::flock(descriptor_, LOCK_EX);
    if (!std::filesystem::exists(path_, none)) ::close(std::exchange(descriptor_, -1));
  }
}

FolderBeside::~FolderBeside() {
  std::error_code none;
  std::filesystem::remove_all(path_, none);
  ::close(descriptor_);
}

void FolderBeside::remove_abandoned(const std::string& beginning) const {
  std::error_code none;
  const std::filesystem::path beside = output_.has_parent_path() ? output_.parent_path() : ".";
  for (std::filesystem::directory_iterator at(beside, none), end; !none && at != end; at.increment(none)) {
    if (!at->path().filename().string().starts_with(beginning)) continue;
    const int folder = ::open(at->path().c_str(), folder_flags);
    struct stat status {};
    const bool ours = folder >= 0 && ::fstat(folder, &status) == 0 && status.st_uid == ::geteuid();
    std::error_code stays;
    if (ours && ::flock(folder, LOCK_EX | LOCK_NB) == 0) std::filesystem::remove_all(at->path(), stays);
    if (folder >= 0) ::close(folder);
  }
}

void FolderBeside::publish(const std::filesystem::path& file) const {
  std::error_code code;
  std::filesystem::rename(file, output_, code);
  if (code) throw Error(output_.string(), "cannot be written: " + code.message(), "check its directory's permissions");
}

namespace {

/// The model as it is, for the same device: not tuned, as it runs once.
CompileOptions reference_options(const CompileOptions& compiled) {
  CompileOptions options;
  options.precision = "f32";
  options.target = compiled.target;
  options.max_context = compiled.max_context;
  options.max_batch = 1;
  options.without = compiled.without;
  options.tune = false;
  options.allow_non_finite = compiled.allow_non_finite;
  options.threads = compiled.threads;
  return options;
}

}  // namespace

void certify(const std::filesystem::path& engine, const std::filesystem::path& output, const FolderBeside& folder,
             const std::function<Model()>& make_model, const CompileOptions& compiled, const CertifyOptions& options,
             Progress& progress) {
  const std::filesystem::path reference_path = folder / "reference";
  compile(make_model(), reference_options(compiled), reference_path, progress);
  const auto reference = open_gateway(reference_path, compiled.threads, GatewayUse::evaluate);
  const auto other = open_gateway(engine, compiled.threads, GatewayUse::evaluate);
  const std::vector<int32_t> tokens = tokens_of_text(options.text, options.path, *other);
  CompareOptions compare;
  compare.window = std::min(options.window, other->limits().max_context);
  compare.worst = 0;
  progress.stage("certifying", static_cast<int64_t>(tokens.size()) / compare.window * compare.window, "tokens");
  Certificate certificate;
  certificate.found = of_text(options.path, [&] {
    return compare_engines(*reference, *other, tokens, compare, [&](int64_t count) { progress.advance(count); });
  });
  progress.finish();
  certificate.bound = options.bound.text();
  certificate.text_name = options.path.filename().string();
  certificate.text_digest = digest_of(std::as_bytes(std::span(options.text))).hex();
  certificate.text_bytes = static_cast<int64_t>(options.text.size());
  certificate.window = compare.window;
  certificate.machine = machine_of(other->engine());
  certificate.version = version();
  certificate.unix_time = std::time(nullptr);
  if (!options.bound.holds(certificate.found)) {
    throw Error(output.string(),
                fmt::format("is not built, as {} does not hold in {}: {}", certificate.bound, compiled.precision,
                            certificate.figures()),
                "choose a higher --precision, or --keep some products higher");
  }
  keep_certificate(other->engine(), certificate);
}

}  // namespace incipit::cli
