#include "import/hf/checkpoint.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/paths.h"
#include "graph/finite_constant.h"

namespace incipit {
namespace {

constexpr std::string_view single_name = "model.safetensors";
constexpr std::string_view index_name = "model.safetensors.index.json";

/// tensor → shard file, from the index's weight_map.
std::map<std::string, std::string> read_index(const std::filesystem::path& path) {
  const std::string name = path.string();
  const boost::json::value parsed = parse_json(read_text_file(path), name);
  const boost::json::object* root = parsed.if_object();
  const boost::json::value* weight_map = root == nullptr ? nullptr : root->if_contains("weight_map");
  if (weight_map == nullptr || !weight_map->is_object())
    throw Error(name, "has no weight_map", "fetch the model again");
  std::map<std::string, std::string> index;
  for (const auto& [key, value] : weight_map->get_object()) {
    const std::string tensor(key.data(), key.size());
    if (!value.is_string()) throw Error(name, fmt::format("weight_map.{} is not a string", tensor));
    const boost::json::string& file = value.get_string();
    const std::filesystem::path shard(std::string(file.data(), file.size()));
    if (shard.empty() || shard.filename() != shard || shard == "." || shard == "..") {
      throw Error(name, fmt::format("weight_map.{} is '{}'", tensor, shard.string()),
                  "it must name a file in the same directory");
    }
    index.emplace(tensor, shard.string());
  }
  return index;
}

}  // namespace

ConstantPtr constant_of(const SafetensorsFile& file, std::string_view tensor) {
  TensorView source = file.tensor(tensor);
  if (file.file() == nullptr) {
    return make_mapped_constant(source.dtype, std::move(source.shape), source.data, file.owner());
  }
  const auto offset = static_cast<size_t>(source.data - file.file()->bytes().data());
  return make_file_constant(source.dtype, std::move(source.shape), file.file(), offset);
}

Checkpoint Checkpoint::open(const std::filesystem::path& directory, bool allow_non_finite) {
  Checkpoint checkpoint;
  checkpoint.allow_non_finite_ = allow_non_finite;
  if (is_there(directory / single_name)) {
    checkpoint.name_ = (directory / single_name).string();
    checkpoint.file_names_.emplace_back(single_name);
    checkpoint.files_.push_back(SafetensorsFile::open(directory / single_name));
    for (std::string& tensor : checkpoint.files_.front().names()) checkpoint.places_.emplace(std::move(tensor), 0);
    return checkpoint;
  }
  if (!is_there(directory / index_name)) {
    throw Error(directory.string(), fmt::format("holds neither {} nor {}", single_name, index_name),
                "save the model in the safetensors format");
  }
  checkpoint.name_ = (directory / index_name).string();
  checkpoint.file_names_.emplace_back(index_name);
  std::map<std::string, size_t> shards;
  for (const auto& [tensor, shard] : read_index(directory / index_name)) {
    const auto [place, is_new] = shards.emplace(shard, checkpoint.files_.size());
    if (is_new) {
      checkpoint.file_names_.push_back(shard);
      checkpoint.files_.push_back(SafetensorsFile::open(directory / shard));
    }
    if (!checkpoint.files_[place->second].contains(tensor)) {
      throw Error(checkpoint.name_, fmt::format("says that {} lies in {}, which has no such tensor", tensor, shard),
                  "fetch the model again");
    }
    checkpoint.places_.emplace(tensor, place->second);
  }
  return checkpoint;
}

ConstantPtr Checkpoint::take(const std::string& tensor, const Shape& shape) {
  const auto place = places_.find(tensor);
  if (place == places_.end()) {
    throw Error(name_, fmt::format("tensor {} [{}] is missing", tensor, fmt::join(shape, ", ")),
                "the checkpoint does not fit its config.json, or is incomplete");
  }
  const SafetensorsFile& file = files_[place->second];
  const Shape& found = file.shape(tensor);
  if (found != shape) {
    throw Error(file.name(),
                fmt::format("tensor {} has shape [{}], config.json asks for [{}]", tensor, fmt::join(found, ", "),
                            fmt::join(shape, ", ")),
                "the checkpoint does not fit its config.json");
  }
  ConstantPtr constant = constant_of(file, tensor);
  const DType dtype = constant->dtype();
  if (dtype != DType::f32 && dtype != DType::f16 && dtype != DType::bf16) {
    throw Error(file.name(), fmt::format("tensor {} has element type {}", tensor, name_of(dtype)),
                "weights are read in f32, f16 or bf16");
  }
  taken_.insert(tensor);
  return name_tensor(refuse_unless_finite(std::move(constant), tensor), tensor);
}

ConstantPtr Checkpoint::take_stored(const std::string& tensor) {
  const auto place = places_.find(tensor);
  if (place == places_.end()) throw Error(name_, fmt::format("tensor {} is missing", tensor));
  taken_.insert(tensor);
  return constant_of(files_[place->second], tensor);
}

ConstantPtr Checkpoint::refuse_unless_finite(ConstantPtr constant, const std::string& tensor) const {
  if (allow_non_finite_) return constant;
  const auto place = places_.find(tensor);
  const std::string& file = place == places_.end() ? name_ : files_[place->second].name();
  return refuse_not_finite(std::move(constant), fmt::format("{}: tensor {}", file, tensor), NotFinite::any);
}

std::vector<std::string> Checkpoint::untaken() const {
  std::vector<std::string> names;
  for (const auto& [name, file] : places_) {
    if (!taken_.contains(name)) names.push_back(name);
  }
  return names;
}

}  // namespace incipit
