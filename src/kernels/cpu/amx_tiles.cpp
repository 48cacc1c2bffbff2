#include "kernels/cpu/amx_tiles.h"

#if defined(__x86_64__)

namespace incipit {
namespace {

thread_local TileConfig current{.palette = 0};  // palette 0: a new thread's tiles are not configured

}  // namespace

void configure_tiles(const TileConfig& config) {
  if (current == config) return;
  asm volatile("ldtilecfg %0" ::"m"(config));
  current = config;
}

}  // namespace incipit

#endif
