#include "device/host_memory.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace incipit {

HostMemory::HostMemory(size_t bytes, int protection, std::string_view what) : size_(std::max<size_t>(bytes, 1)) {
  void* memory = ::mmap(nullptr, size_, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    size_ = 0;
    throw Error("memory", fmt::format("{} bytes for {} are more than the system gives", bytes, what),
                "build the engine with a smaller --max-context, --max-batch or --memory");
  }
  data_ = static_cast<std::byte*>(memory);
  if (protection != PROT_NONE) ::madvise(memory, size_, MADV_HUGEPAGE);  // a refusal costs speed only
}

HostMemory::HostMemory(size_t bytes, std::string_view what) : HostMemory(bytes, PROT_READ | PROT_WRITE, what) {}

void HostMemory::give_back() { ::madvise(data_, size_, MADV_DONTNEED); }

HostMemory HostMemory::inaccessible(size_t bytes) { return {bytes, PROT_NONE, "addresses"}; }

HostMemory::~HostMemory() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

HostMemory::HostMemory(HostMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

HostMemory& HostMemory::operator=(HostMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace incipit
