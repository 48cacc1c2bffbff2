// incipit run --batch: answers a file of requests, many at once.
#pragma once

#include <filesystem>

#include "session/gateway.h"

namespace incipit::cli {

struct BatchFiles {
  std::filesystem::path input;   // a request a line: the OpenAI API's batch format
  std::filesystem::path output;  // an answer a line, in the order in which they are done
};

/// Answers every request of the input that the output does not hold yet. Each answer is appended as one whole line, so
/// that a run may be killed at any moment and the next one goes on; what was cut off in the middle is done again.
/// Returns the exit status. Throws Error for files that cannot be read or written, a custom_id that is there twice, an
/// output that belongs to another input or another engine, and when every request was refused.
int run_batch(Gateway& gateway, const BatchFiles& files);

}  // namespace incipit::cli
