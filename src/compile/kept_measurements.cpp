#include "compile/kept_measurements.h"

#include <exception>
#include <utility>

#include "base/error.h"
#include "base/log.h"

namespace incipit {

KeptMeasurements::KeptMeasurements(const std::filesystem::path& path)
    : path_(path), cache_(path.empty() ? TuningCache() : TuningCache::load(path)) {}

KeptMeasurements::~KeptMeasurements() {
  try {
    save();
  } catch (const std::exception& error) {
    log_warning("{}", error.what());
  }
}

void KeptMeasurements::save_some() {
  if (path_.empty() || !cache_.unsaved()) return;
  if (!tried_) {
    save();
  } else if (Clock::now() - *tried_ >= std::chrono::seconds(1)) {
    save_if_possible();
  }
  tried_ = Clock::now();
}

void KeptMeasurements::save_if_possible() {
  try {
    if (!path_.empty() && cache_.unsaved()) cache_.save(path_);
  } catch (const Error& error) {
    log_debug("{}", error.what());
  }
}

void KeptMeasurements::save() {
  if (path_.empty() || !cache_.unsaved()) return;
  const std::filesystem::path path = std::exchange(path_, {});
  cache_.save(path);
  path_ = path;
}

}  // namespace incipit
