// The engine reader over any bytes. The first byte says how far they are helped past the digests:
//   0  the bytes as they are
//   1  an engine whose header, sections and trailer digests are made right before reading
//   2  the bytes as a plan
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "base/error.h"
#include "engine/check_plan.h"
#include "engine/engine.h"
#include "engine/small_engine.h"

namespace {

using namespace incipit;

void read_engine(AlignedBytes& bytes) {
  Engine::OpenOptions options;
  options.check_target = false;
  const auto engine = Engine::from_bytes(bytes.bytes(), "fuzzed", options);
  if (describe_plan(engine->plan()).empty()) __builtin_trap();
  engine->check_weights();
}

void read_plan_alone(AlignedBytes& bytes) {
  const plan::Plan& plan = read_plan(bytes.bytes(), "fuzzed");
  check_plan(plan, engine_page, engine_page + 4096, "fuzzed");
  if (describe_plan(plan).empty()) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  AlignedBytes bytes(std::as_bytes(std::span(data + 1, size - 1)));
  try {
    switch (data[0] % 3) {
      case 0: read_engine(bytes); break;
      case 1:
        if (bytes.bytes().size() >= sizeof(EngineHeader)) {
          bytes.header().magic = engine_magic;
          bytes.header().version = engine_version;
          bytes.seal_all();
        }
        read_engine(bytes);
        break;
      default: read_plan_alone(bytes); break;
    }
  } catch (const Error&) {
  }
  return 0;
}
