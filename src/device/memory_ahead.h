// Memory that the system gives before somebody writes there.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>

namespace incipit {

/// A system gives memory at its first touch, zeroed, and whoever touches it waits: some 130 ms for the keys and values
/// of 1,024 tokens of a `llama-0.5b` on a virtual machine, a fifth of that prompt's time. A thread that gives way to
/// all others asks for it ahead, range by range in the order of add(), each from its first byte on. In all it asks for
/// no more than a quarter of the machine's memory, which files that are mapped live in, too.
class MemoryAhead {
 public:
  MemoryAhead();
  ~MemoryAhead();
  MemoryAhead(const MemoryAhead&) = delete;
  MemoryAhead& operator=(const MemoryAhead&) = delete;

  /// Page-aligned memory, straight from the system. Without a thread to be had it stays as it is.
  void add(std::byte* data, size_t bytes);
  /// To be called before a range goes back to the system, whether it was added or not. Waits for the piece that is
  /// asked for.
  void remove(const std::byte* data);
  /// Work begins and ends, from one thread: between them, and for some milliseconds behind them, nothing is asked for.
  void begin_work();
  void end_work();
  /// Asks for the rest, but while there is work, and waits until all that was added is there or the system has refused
  /// a piece; false when that takes longer.
  bool wait(std::chrono::nanoseconds timeout);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace incipit
