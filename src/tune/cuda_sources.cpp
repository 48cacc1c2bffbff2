#include "tune/cuda_sources.h"

#include <algorithm>

namespace incipit {
namespace {

/// The names that a text includes.
std::vector<std::string_view> includes_of(std::string_view text) {
  std::vector<std::string_view> names;
  constexpr std::string_view directive = "#include ";
  for (size_t at = text.find(directive); at != text.npos; at = text.find(directive, at)) {
    at += directive.size();
    const bool begins_line = at == directive.size() || text[at - directive.size() - 1] == '\n';
    const char closing = text[at] == '<' ? '>' : '"';
    const size_t end = text.find(closing, at + 1);
    if (begins_line && end != text.npos) names.push_back(text.substr(at + 1, end - at - 1));
  }
  return names;
}

}  // namespace

const CudaSource* find_cuda_source(std::string_view name) {
  const std::span<const CudaSource> all = cuda_sources();
  const auto found = std::ranges::find(all, name, &CudaSource::name);
  return found == all.end() ? nullptr : &*found;
}

std::vector<const CudaSource*> included_by(const CudaSource& source) {
  std::vector<const CudaSource*> list;
  const auto add = [&](const auto& self, const CudaSource& from) -> void {
    for (const std::string_view name : includes_of(from.text)) {
      const CudaSource* included = find_cuda_source(name);
      if (included == nullptr || std::ranges::find(list, included) != list.end()) continue;
      list.push_back(included);
      self(self, *included);
    }
  };
  add(add, source);
  return list;
}

}  // namespace incipit
