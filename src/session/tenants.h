// Who has had how much of the engine's time: virtual counters (Sheng et al., Fairness in Serving Large Language Models,
// 2024), charged in measured µs. Integers only.
//
// A tenant's counter grows by the time of its work over its weight. Whoever has least comes first; counters that lie
// within a quantum count as equal, so that among those the shorter slack decides. One that comes back after a pause
// begins at the least of those that stayed, or at the most of those that left where nobody did: a pause earns nothing,
// and nobody owes what it had while it was alone.
#pragma once

#include <cstdint>
#include <map>

namespace incipit {

class Tenants {
 public:
  /// One more, or one less, of its sequences waits or runs.
  void enter(uint64_t tenant, int32_t weight);
  void leave(uint64_t tenant);
  void charge(uint64_t tenant, int64_t us);
  int64_t counter(uint64_t tenant) const { return tenants_.at(tenant).counter; }
  int32_t weight(uint64_t tenant) const { return tenants_.at(tenant).weight; }

  static constexpr int64_t scale = 1024;               // a µs of a tenant of weight 1
  static constexpr int64_t quantum = 200'000 * scale;  // 0.2 s

 private:
  struct Tenant {
    int64_t counter = 0;
    int32_t weight = 1;
    int32_t sequences = 0;
  };
  std::map<uint64_t, Tenant> tenants_;
  int64_t left_ = 0;  // the largest counter of those that have left
};

}  // namespace incipit
