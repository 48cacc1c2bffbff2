#include "attention_chunks.h"

namespace incipit {
namespace {

TEST(Attention, DoesNotDependOnChunking) { check_chunking(Attention::kernels()); }

}  // namespace
}  // namespace incipit
