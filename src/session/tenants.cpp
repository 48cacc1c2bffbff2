#include "session/tenants.h"

#include <algorithm>
#include <optional>

#include "base/error.h"

namespace incipit {

void Tenants::enter(uint64_t tenant, int32_t weight) {
  INCIPIT_ASSERT(weight > 0);
  constexpr size_t many = 4096;
  if (tenants_.size() >= many) {
    std::erase_if(tenants_, [](const auto& entry) { return entry.second.sequences == 0; });
  }
  Tenant& one = tenants_[tenant];
  one.weight = weight;
  if (one.sequences++ > 0) return;
  std::optional<int64_t> least;
  for (const auto& [other, entry] : tenants_) {
    if (other == tenant || entry.sequences == 0) continue;
    least = least ? std::min(*least, entry.counter) : entry.counter;
  }
  one.counter = std::max(one.counter, least.value_or(left_));
}

void Tenants::leave(uint64_t tenant) {
  Tenant& one = tenants_.at(tenant);
  INCIPIT_ASSERT(one.sequences > 0);
  if (--one.sequences == 0) left_ = std::max(left_, one.counter);
}

void Tenants::charge(uint64_t tenant, int64_t us) {
  // One that has left since may have been forgotten.
  if (const auto found = tenants_.find(tenant); found != tenants_.end()) {
    found->second.counter += us * scale / found->second.weight;
  }
}

}  // namespace incipit
