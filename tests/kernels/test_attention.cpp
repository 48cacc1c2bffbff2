#include "attention_chunks.h"

namespace incipit {
namespace {

TEST(Attention, DoesNotDependOnChunking) { check_chunking(kernels<Attention>()); }

}  // namespace
}  // namespace incipit
