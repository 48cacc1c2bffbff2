#include "base/machine_memory.h"

#include <unistd.h>

#include <algorithm>

#include "base/cgroup.h"

namespace incipit {

int64_t machine_memory() {
  const int64_t bytes = int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGESIZE);
  return std::min(bytes, cgroup_memory().value_or(bytes));
}

}  // namespace incipit
