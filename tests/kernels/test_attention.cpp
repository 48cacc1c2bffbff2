#include "attention_chunks.h"

namespace incipit {
namespace {

TEST(Attention, DoesNotDependOnChunking) { check_chunking(Attention::kernels()); }

TEST(Attention, AddsUpPartsOfContexts) { check_parts(Attention::kernels()); }

TEST(Attention, HoldsSteepScores) { check_steep_scores(Attention::kernels()); }

}  // namespace
}  // namespace incipit
