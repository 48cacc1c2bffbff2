// Progress of long work on standard error: stage, share done, speed, time left. A terminal gets a line that is redrawn;
// anything else gets nothing, or a line now and then where the work may take minutes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace incipit {

/// One stage of work at a time, driven by one thread. Cheap to call often: redraws at most ten times a second.
/// Destroyed in mid-stage (an exception), it clears its line.
class Progress {
 public:
  /// Seconds since some moment.
  using Clock = double (*)();
  static double steady_seconds();

  /// `visible`: false draws nothing. Progress::for_terminal() is true where standard error is a terminal that can erase
  /// a line. Tests give a clock of their own.
  explicit Progress(bool visible = for_terminal(), Clock clock = steady_seconds);
  ~Progress();
  static bool for_terminal();
  /// Where there is no such terminal: whole lines about stages that take more than a second.
  static Progress for_long_work(bool terminal = for_terminal(), Clock clock = steady_seconds);

  /// Starts a stage of `total` units ("weights", 30 << 20, "B"); total 0: unknown, a spinner.
  void stage(std::string_view name, int64_t total, std::string_view unit = {});
  void advance(int64_t units);
  /// So many units fewer are to be done than the stage was said to have.
  void skip(int64_t units) { total_ -= units; }
  /// Ends the current stage and leaves one line with its time.
  void finish();

 private:
  void draw(bool last);
  bool visible_;
  bool lines_ = false;  // whole lines instead of one that is redrawn
  Clock clock_;
  std::string name_, unit_;
  int64_t total_ = 0, done_ = 0;
  double started_ = 0, drawn_ = 0;
};

/// True once the user has pressed Ctrl-C (SIGINT), or SIGTERM or SIGHUP arrived. install_interrupt_handler() makes the
/// first signal set this flag and the second, whichever it is, end the process at once with a line that says so.
bool interrupted();
/// The signal that set the flag; 0 where none did.
int interrupting_signal();
void install_interrupt_handler();
/// From now on SIGHUP interrupts nothing: take_hangup() is true once for it. For programs that go on without a
/// terminal.
void keep_hangups();
bool take_hangup();
/// What the second signal's handler does before the process ends: something that is safe in a handler. Null: nothing.
void set_last_act(void (*act)());
/// True once for a Ctrl-C, which is forgotten, for programs that only stop what they are at. SIGTERM and SIGHUP stay.
bool take_ctrl_c();
/// Throws Error("interrupted") when interrupted(); long work calls it between units so that destructors clean up.
void check_interrupt();

}  // namespace incipit
