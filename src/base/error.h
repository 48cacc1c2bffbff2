// The one exception of the project: a bad file, option or request, told in one line.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace incipit {

/// Thrown for anything that is the caller's to mend (a file, an option, a model). It names the thing, the
/// fault and the remedy; the command line prints `what()` on one line and exits non-zero.
/// Our own bugs are not Errors: they assert (INCIPIT_ASSERT).
class Error : public std::runtime_error {
 public:
  /// `thing`: what is bad ("models/x/config.json"). `fault`: what is wrong with it ("head_dim is 0").
  /// `remedy`: what the user can do ("give a positive head_dim"); may be empty when nothing helps.
  Error(std::string_view thing, std::string_view fault, std::string_view remedy = {});

  const std::string& thing() const { return thing_; }
  const std::string& fault() const { return fault_; }
  const std::string& remedy() const { return remedy_; }

 private:
  std::string thing_;
  std::string fault_;
  std::string remedy_;
};

namespace detail {
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);
}  // namespace detail

}  // namespace incipit

/// A broken invariant of our own. Stays on in release builds: an engine must not go on with a wrong state.
#define INCIPIT_ASSERT(condition) \
  ((condition) ? (void)0 : ::incipit::detail::assertion_failed(#condition, __FILE__, __LINE__))
