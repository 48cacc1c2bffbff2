#include "tune/cuda_compiler.h"

#include <fmt/format.h>

#include <exception>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/thread_pool.h"
#include "kernels/cuda/device_code.h"
#include "tune/cuda_sources.h"
#include "tune/nvrtc.h"

namespace incipit {
namespace {

/// A function's name, taken apart.
struct Specialisation {
  explicit Specialisation(std::string_view function) {
    const std::string stem(function.substr(0, function.find(' ')));
    source = find_cuda_source("kernels/cuda/" + stem + ".cu");
    if (source == nullptr) {
      throw Error("kernels/cuda/" + stem + ".cu", "is no source of this incipit", "choose another kernel");
    }
    for (std::string_view rest = function.substr(stem.size()); !rest.empty();) {
      rest.remove_prefix(1);  // a space
      const std::string_view define = rest.substr(0, rest.find(' '));
      if (!define.empty()) defines.push_back("-D" + std::string(define));
      rest.remove_prefix(define.size());
    }
  }
  const CudaSource* source;
  std::vector<std::string> defines;
};

bool keeps_ptx(const Target& target) { return target.architecture == least_cuda; }

std::vector<std::string> options_of(const Specialisation& specialisation, const Target& target) {
  std::vector<std::string> options{"--gpu-architecture=" + cuda_architecture(target), "--std=c++20", "-default-device"};
  options.insert(options.end(), specialisation.defines.begin(), specialisation.defines.end());
  return options;
}

/// The first line of a log that names an error.
std::string_view first_error(std::string_view log) {
  const size_t at = log.find("error");
  if (at == log.npos) return log.substr(0, log.find('\n'));
  const size_t begin = log.rfind('\n', at) + 1;  // none: 0
  return log.substr(begin, log.find('\n', at) - begin);
}

/// A program of NVRTC's.
class NvrtcProgram {
 public:
  explicit NvrtcProgram(const CudaSource& source) : name_(source.name) {
    std::vector<const char*> texts, names;
    for (const CudaSource* included : included_by(source)) {
      texts.push_back(included->text.data());
      names.push_back(included->name.data());
    }
    check(library_.create(&program_, source.text.data(), name_.c_str(), static_cast<int>(texts.size()), texts.data(),
                          names.data()));
  }
  ~NvrtcProgram() { library_.destroy(&program_); }
  NvrtcProgram(const NvrtcProgram&) = delete;
  NvrtcProgram& operator=(const NvrtcProgram&) = delete;

  void compile(const std::vector<std::string>& options) {
    std::vector<const char*> list;
    for (const std::string& option : options) list.push_back(option.c_str());
    const nvrtc::Result result = library_.compile(program_, static_cast<int>(list.size()), list.data());
    if (result == nvrtc::Result::success) return;
    const std::string text = log();
    log_error("NVRTC {} on {} with {}:\n{}", library_.text, name_, fmt::join(options, " "), text);
    throw Error(name_, fmt::format("NVRTC {} does not compile it: {}", library_.text, first_error(text)),
                "use another version of NVRTC");
  }
  std::string log() const { return take(library_.log_size, library_.log); }
  std::string cubin() const { return take(library_.cubin_size, library_.cubin); }
  std::string ptx() const { return take(library_.ptx_size, library_.ptx); }

 private:
  template <typename Size, typename Get>
  std::string take(Size size, Get get) const {
    size_t bytes = 0;
    check(size(program_, &bytes));
    std::string text(bytes, '\0');
    check(get(program_, text.data()));
    return text;
  }
  void check(nvrtc::Result result) const {
    if (result == nvrtc::Result::success) return;
    throw Error(name_, fmt::format("NVRTC {}: {}", library_.text, library_.error_text(result)),
                "use another version of NVRTC");
  }

  const nvrtc::Library& library_ = nvrtc::library();
  std::string name_;
  nvrtc::Program program_ = nullptr;
};

/// By all that makes the object what it is.
std::string cache_name(const Specialisation& specialisation, const Target& target) {
  Digester digester;
  const auto add = [&](std::string_view text) {
    digester.update(std::as_bytes(std::span(text)));
    digester.update(std::as_bytes(std::span("\n", 1)));
  };
  add(nvrtc::library().text);
  for (const std::string& option : options_of(specialisation, target)) add(option);
  add(specialisation.source->text);
  for (const CudaSource* included : included_by(*specialisation.source)) add(included->text);
  return digester.finish().hex();
}

/// The object that an earlier build has kept; none: empty.
CudaObject load_object(const std::filesystem::path& place, const Target& target) {
  CudaObject object;
  const auto read = [&](const char* extension) {
    const std::filesystem::path path = place.string() + extension;
    return std::filesystem::exists(path) ? read_text_file(path) : std::string();
  };
  object.cubin = read(".cubin");
  if (keeps_ptx(target)) object.ptx = read(".ptx");
  if (keeps_ptx(target) && object.ptx.empty()) object.cubin.clear();
  return object;
}

void save_object(const std::filesystem::path& place, const CudaObject& object) {
  const auto write = [&](const char* extension, std::string_view text) {
    if (text.empty()) return;
    AtomicFile file(place.string() + extension);
    file.write(text);
    file.commit();
  };
  std::filesystem::create_directories(place.parent_path());
  write(".ptx", object.ptx);
  write(".cubin", object.cubin);
}

}  // namespace

CudaObject compile_cuda(std::string_view function, const Target& target, bool verbose) {
  const Specialisation specialisation(function);
  std::vector<std::string> options = options_of(specialisation, target);
  if (verbose) options.insert(options.end(), {"--ptxas-options=-v"});
  NvrtcProgram program(*specialisation.source);
  program.compile(options);
  CudaObject object;
  object.cubin = program.cubin();
  if (keeps_ptx(target)) object.ptx = program.ptx();
  if (verbose) object.log = program.log();
  return object;
}

CudaCompiler::CudaCompiler(const Target& target, std::filesystem::path cache, int threads)
    : target_(target), cache_(std::move(cache)), threads_(threads) {}

void CudaCompiler::compile(const std::set<DeviceFunction>& functions) {
  struct Work {
    std::string function;
    std::filesystem::path place;  // in the cache
    CudaObject object;
    std::exception_ptr failure;
  };
  std::vector<Work> list;
  for (const DeviceFunction& function : functions) {
    if (objects_.contains(function.name)) continue;
    Work work;
    work.function = function.name;
    if (!cache_.empty()) {
      work.place = cache_ / cache_name(Specialisation(function.name), target_);
      CudaObject known = load_object(work.place, target_);
      if (!known.cubin.empty()) {
        objects_.emplace(function.name, std::move(known));
        continue;
      }
    }
    list.push_back(std::move(work));
  }
  if (list.empty()) return;
  nvrtc::library();  // throws here, and not on every thread
  ThreadPool pool(threads_);
  pool.parallel_for(static_cast<int64_t>(list.size()), [&](int64_t i, int) {
    Work& work = list[static_cast<size_t>(i)];
    try {
      check_interrupt();
      work.object = compile_cuda(work.function, target_);
    } catch (...) {
      work.failure = std::current_exception();
    }
  });
  for (Work& work : list) {
    if (work.failure) std::rethrow_exception(work.failure);
    if (!work.place.empty()) {
      try {
        save_object(work.place, work.object);
      } catch (const std::exception& error) {
        log_warning("{} is not kept: {}", work.function, error.what());
      }
    }
    objects_.emplace(work.function, std::move(work.object));
    ++compiled_;
  }
}

std::vector<std::byte> CudaCompiler::code_of(const std::set<DeviceFunction>& functions) {
  compile(functions);
  CudaCode code;
  code.target = target_;
  for (const DeviceFunction& function : functions) {
    const CudaObject& object = objects_.at(function.name);
    code.functions.push_back({function, std::as_bytes(std::span(object.cubin)), std::as_bytes(std::span(object.ptx))});
  }
  return write_cuda_code(code);
}

}  // namespace incipit
