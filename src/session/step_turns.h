// Whose step is next on a device that several engines share. Pure integers: no clock, no threads.
//
// One step runs at a time. An engine that has work is due max_gap after its last step (twice as long while nobody on
// the device streams): by then its next step should have ended. Of those with work the one is next that has had least
// of the device's time, unless somebody would be late behind the least step of that one: then the one that is due
// first. A step may take as long as leaves everybody else in time for a least step. So streams keep their gap over all
// engines together, or what their least steps take in sum; every engine gets a step in each gap; and what is left is
// shared fairly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "session/tenants.h"

namespace incipit {

/// What an engine's next step is for.
struct StepWish {
  int64_t least_us = 0;  // its streams' tokens, and the least chunk of a prompt, which may come at any time
  bool streams = false;
};

class StepTurns {
 public:
  using Engine = int32_t;
  static constexpr Engine nobody = -1;

  /// 0: no bound.
  explicit StepTurns(int64_t max_gap_us) : max_gap_us_(max_gap_us) {}

  Engine join() { return engines_++; }
  /// It has work: from now on, or still. Every engine with work takes its turn sooner or later.
  void want(Engine engine, const StepWish& wish, int64_t now);
  /// It has none.
  void rest(Engine engine);
  /// Its step, which ended now, took so long.
  void ran(Engine engine, int64_t us, int64_t now);

  Engine next(int64_t now) const;
  /// The longest that a step of that engine's may take which begins now: INT64_MAX where nobody waits for its end.
  int64_t longest(Engine engine, int64_t now) const;
  /// How many have work.
  size_t busy() const { return wanting_.size(); }
  bool wants(Engine engine) const { return wanting_.contains(engine); }

 private:
  struct Wanting {
    StepWish wish;
    int64_t last = 0;     // when its last step ended, or it came
    bool waited = false;  // others have had a step since
  };
  int64_t gap() const;

  int64_t max_gap_us_;
  Engine engines_ = 0;
  std::map<Engine, Wanting> wanting_;
  Tenants shares_;  // of the device's time
};

}  // namespace incipit
