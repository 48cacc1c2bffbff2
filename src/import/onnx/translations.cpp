// Every table of translations.
#include <algorithm>
#include <map>
#include <utility>

#include "import/onnx/call.h"

namespace incipit::onnx {
namespace {

using Key = std::pair<std::string_view, std::string_view>;

std::map<Key, const Translation*> all_translations() {
  std::map<Key, const Translation*> found;
  for (const std::span<const Translation> table :
       {elementwise_translations(), quantization_translations(), layout_translations(), indexing_translations(),
        reduction_translations(), network_translations(), control_translations(), microsoft_translations()}) {
    for (const Translation& one : table) {
      const bool is_new = found.emplace(Key(one.domain, one.op_type), &one).second;
      INCIPIT_ASSERT(is_new);
    }
  }
  return found;
}

}  // namespace

const Translation* find_translation(std::string_view domain, std::string_view op_type) {
  static const std::map<Key, const Translation*> table = all_translations();
  const auto found = table.find(Key(domain, op_type));
  return found == table.end() ? nullptr : found->second;
}

}  // namespace incipit::onnx
