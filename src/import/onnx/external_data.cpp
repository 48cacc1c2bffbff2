#include "import/onnx/external_data.h"

#include <algorithm>
#include <system_error>

#include "base/error.h"
#include "base/file.h"

namespace incipit::onnx {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view fetch = "fetch the model with all of its files again";

// Whether `path` is below `directory`, both without links and dots.
bool lies_in(const fs::path& path, const fs::path& directory) {
  const auto [mine, theirs] = std::mismatch(directory.begin(), directory.end(), path.begin(), path.end());
  return !directory.empty() && mine == directory.end() && theirs != path.end();
}

/// Without links and dots; empty where there is nothing.
fs::path resolved(const fs::path& path) {
  std::error_code failure;
  fs::path real = fs::canonical(path, failure);
  return failure ? fs::path() : real;
}

}  // namespace

ExternalFiles::ExternalFiles(const fs::path& model)
    : directory_(model.has_parent_path() ? model.parent_path() : "."), source_(resolved(model).parent_path()) {}

const std::shared_ptr<const MappedFile>& ExternalFiles::open(const std::string& thing, const std::string& location) {
  if (const auto known = files_.find(location); known != files_.end()) return known->second;
  const fs::path relative(location);
  const bool leads_out =
      location.empty() || location.find('\0') != std::string::npos || relative.is_absolute() ||
      std::any_of(relative.begin(), relative.end(), [](const fs::path& part) { return part == ".."; });
  if (leads_out) {
    throw Error(thing, "has its data in '" + location + "', which is no file in the model's directory", fetch);
  }
  // Beside the model as it was named, else beside the file that this name is a link to.
  fs::path path = directory_ / relative;
  if (resolved(path).empty() && !resolved(source_ / relative).empty()) path = source_ / relative;
  const fs::path real = resolved(path);
  if (real.empty()) throw Error(thing, "has its data in " + path.string() + ", which cannot be found", fetch);
  if (!lies_in(real, resolved(directory_)) && !lies_in(real, source_)) {
    throw Error(thing, "has its data in " + path.string() + ", which is a link that leads out of the model's directory",
                "copy the file itself there");
  }
  const auto& file = files_.emplace(location, MappedFile::open(path)).first->second;
  paths_.push_back(path);
  return file;
}

ConstantPtr ExternalFiles::constant(const std::string& thing, const ExternalLocation& where, DType dtype,
                                    const Shape& shape) {
  const auto needed = static_cast<uint64_t>(element_count(shape)) * size_of(dtype);
  if (where.length && *where.length != needed) {
    throw Error(
        thing, "needs " + std::to_string(needed) + " bytes, but its external data has " + std::to_string(*where.length),
        "export it again");
  }
  const std::shared_ptr<const MappedFile>& file = open(thing, where.location);
  const size_t size = file->bytes().size();
  if (where.offset > size || needed > size - where.offset) {
    throw Error(thing,
                "has its data at " + std::to_string(where.offset) + " + " + std::to_string(needed) + " of " +
                    file->path().string() + ", which has " + std::to_string(size) + " bytes",
                fetch);
  }
  return make_file_constant(dtype, shape, file, static_cast<size_t>(where.offset));
}

}  // namespace incipit::onnx
