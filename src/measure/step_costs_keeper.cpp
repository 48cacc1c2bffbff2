#include "measure/step_costs_keeper.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <string_view>
#include <system_error>

#include "base/cuda_driver.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "engine/engine.h"
#include "measure/measure.h"

namespace incipit {
namespace {

std::string key_of_costs(const Gateway& gateway) {
  const Engine& engine = gateway.engine();
  std::string machine = machine_of(engine);
  if (engine.target().backend == Backend::cuda) {
    int driver = 0;
    cuda::driver().driver_version(&driver);
    machine += fmt::format(" | driver {}", driver);
  }
  return fmt::format("{} | {} | threads={} | ", engine.body_digest().hex(), machine, gateway.workers());
}

bool take_number(std::string_view& text, std::string_view name, int64_t& value) {
  if (!text.starts_with(name)) return false;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + name.size(), end, value);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(stop - text.data()));
  return true;
}

/// "tokens=64 sequences=4 context=1024 us=5120"
bool take_cost(std::string_view text, StepCosts& costs) {
  int64_t tokens = 0, sequences = 0, context = 0, us = 0;
  return take_number(text, "tokens=", tokens) && take_number(text, " sequences=", sequences) &&
         take_number(text, " context=", context) && take_number(text, " us=", us) && text.empty() &&
         costs.set({static_cast<int32_t>(tokens), static_cast<int32_t>(sequences), static_cast<int32_t>(context)}, us);
}

template <typename Visit>
void each_line(std::string_view text, Visit visit) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    visit(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

}  // namespace

std::vector<std::filesystem::path> StepCostsKeeper::places(const Engine& engine) {
  std::vector<std::filesystem::path> places{engine.path().string() + ".costs"};
  const char* const cache = std::getenv("XDG_CACHE_HOME");  // NOLINT(concurrency-mt-unsafe): nobody changes it
  const char* const home = std::getenv("HOME");             // NOLINT(concurrency-mt-unsafe)
  const std::string name = engine.body_digest().hex() + ".costs";
  if (cache != nullptr && *cache == '/') {
    places.push_back(std::filesystem::path(cache) / "incipit" / name);
  } else if (home != nullptr && *home == '/') {
    places.push_back(std::filesystem::path(home) / ".cache" / "incipit" / name);
  }
  return places;
}

StepCostsKeeper::StepCostsKeeper(Gateway& gateway) : gateway_(gateway), key_(key_of_costs(gateway)) {
  gateway.run_alone([&](Session& session) { costs_ = session.costs(); });
  for (const std::filesystem::path& place : places(gateway.engine())) {
    std::error_code missing;
    if (!std::filesystem::is_regular_file(place, missing)) continue;
    try {
      each_line(read_text_file(place), [&](std::string_view line) {
        if (line.starts_with(key_)) take_cost(line.substr(key_.size()), costs_);
      });
    } catch (const Error& error) {
      log_warning("{}; steps are measured again", error.what());
    }
  }
  for (const StepCosts::Cell& cell : costs_.cells()) {
    if (!costs_.measured(cell)) missing_.push_back(cell);
  }
  gateway.run_alone([&](Session& session) { session.set_costs(costs_); });
}

StepCostsKeeper::~StepCostsKeeper() {
  if (unsaved_) save();
}

void StepCostsKeeper::measure_step() {
  if (complete()) return;
  try {
    time_next();
  } catch (const Error& error) {
    // A device that fails is told of by the requests that it fails.
    log_warning("{}; what steps take is not measured", error.what());
    next_ = missing_.size();
    return;
  }
  if (complete()) save();
}

void StepCostsKeeper::time_next() {
  gateway_.run_if_idle([&](Session& session) {
    const StepCosts::Cell& cell = missing_[next_];
    const std::optional<int64_t> us = session.time_step(cell);
    if (us && !first_time_) {
      first_time_ = us;
      return;
    }
    if (us) {
      costs_.set(cell, std::min(*us, *first_time_));
      unsaved_ = true;
      StepCosts corrected = costs_;
      session.set_costs(std::move(corrected));
    }
    first_time_.reset();
    ++next_;  // what has too few pages never runs
  });
}

void StepCostsKeeper::measure_for(std::chrono::microseconds longest) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + longest;
  while (!complete() && Clock::now() < end) {
    const StepCosts::Cell& cell = missing_[next_];
    StepWork work;
    const int32_t sequences = cell.sequences;
    for (int32_t s = 0; s < sequences; ++s) work.add_chunk(cell.context, cell.tokens / sequences);
    if (Clock::now() + std::chrono::microseconds(costs_.predict(work)) >= end) return;
    measure_step();
  }
}

void StepCostsKeeper::save() {
  unsaved_ = false;  // where it fails it would again
  std::string fault;
  for (const std::filesystem::path& place : places(gateway_.engine())) {
    try {
      if (place.has_parent_path()) std::filesystem::create_directories(place.parent_path());
      const DirectoryLock turn(place);
      std::string others;
      std::error_code missing;
      if (std::filesystem::is_regular_file(place, missing)) {
        // Lines of an engine that was here before say nothing of this one.
        const std::string digest = gateway_.engine().body_digest().hex();
        each_line(read_text_file(place), [&](std::string_view line) {
          if (line.starts_with(digest) && !line.starts_with(key_)) others += fmt::format("{}\n", line);
        });
      }
      AtomicFile file(place);
      file.write(others);
      for (const StepCosts::Cell& cell : costs_.cells()) {
        if (const auto us = costs_.measured(cell)) {
          file.write(fmt::format("{}tokens={} sequences={} context={} us={}\n", key_, cell.tokens, cell.sequences,
                                 cell.context, *us));
        }
      }
      file.commit();
      return;
    } catch (const std::exception& error) {
      fault = error.what();
    }
  }
  log_warning("{}; what steps take is measured again at the next start", fault);
}

}  // namespace incipit
