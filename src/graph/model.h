// What an importer hands over: the graph and what the run time needs to know beside it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace incipit {

struct SourceFile {
  std::string name;  // relative to the model directory
  int64_t bytes = 0;
  std::string digest;  // hex; of the whole file
};

struct Model {
  std::string name;  // in messages: where it was read from
  Graph graph;       // decoder form
  /// What the file calls the graph's outputs, in their order: values have names of their own. Empty: as the values.
  std::vector<std::string> outputs;
  std::string architecture;  // "LlamaForCausalLM"
  int64_t vocabulary = 0;
  int64_t hidden = 0;
  int64_t layers = 0;
  int64_t max_position = 0;      // trained context length
  std::vector<int64_t> end_ids;  // eos_token_id(s) of generation_config.json, else config.json
  int64_t begin_id = -1;
  std::string generation_defaults;  // JSON: temperature, top_p, top_k … from generation_config.json ("{}" when absent)
  std::string chat_template;        // Jinja source; empty when there is none
  std::filesystem::path directory;  // where tokenizer.json lies; empty for --geometry
  std::vector<SourceFile> sources;
};

}  // namespace incipit
