// What a model was made from, for the engine's manifest.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "graph/model.h"

namespace incipit {

/// Reads the file once, in pieces that it lets go of again.
SourceFile digest_source(const std::filesystem::path& directory, std::string_view name);
/// Everything in a model's directory that can shape an engine, beside the weights: config, tokenizer, chat template.
void add_small_sources(const std::filesystem::path& directory, std::vector<SourceFile>& sources);

}  // namespace incipit
